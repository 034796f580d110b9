//! What the operator sees: one World, which takes what every watch brings, and says who is to be looked at for it.
//!
//! Losing any of it costs nothing but the time to list again.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Operation;

use super::change::Change;
use super::database::KnownDatabase;
use super::databases::Databases;
use super::decode::{Broken, KnownNamespace, Object};
use super::driver::KnownDriver;
use super::jobs::Jobs;
use super::metadata::Uid;
use super::request::KnownRequest;
use super::requests::Requests;
use crate::clock::Now;
use crate::job_name::Series;
use crate::kind::Kind;

mod wakes;

/// Everything that is watched.
#[derive(Debug, Default)]
pub struct World {
    /// The Databases that exist.
    pub databases: Databases,
    /// The Backups and Restores that exist.
    pub requests: Requests,
    /// The Jobs that exist.
    pub jobs: Jobs,
    drivers: BTreeMap<Arc<str>, (KnownDriver, u32)>,
    terminating: BTreeMap<Arc<str>, (Uid, u32)>,
    broken: BTreeMap<Uid, (Broken, u32)>,
    /// By kind, how many lists were begun, and whether one was whole.
    lists: BTreeMap<Kind, (u32, bool)>,
}

/// What follows from a change.
#[derive(Debug, Default)]
pub struct Touched {
    /// What is to be looked at.
    pub woken: Vec<Uid>,
    /// What is to be looked at when nothing else is.
    pub woken_later: Vec<Uid>,
    /// What is gone.
    pub gone: Vec<Uid>,
    /// Backups and Restores that are complete now.
    pub completed: Vec<KnownRequest>,
    /// Backups that are gone, and what they stored with them.
    pub erased: Vec<KnownRequest>,
}

impl World {
    /// Whether every object was seen once.
    pub fn is_whole(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.lists.get(kind).is_some_and(|(_, whole)| *whole))
    }

    /// The Drivers that are registered, by name.
    pub fn drivers(&self) -> impl Iterator<Item = &KnownDriver> {
        self.drivers.values().map(|(driver, _)| driver)
    }

    /// The Driver of that name.
    pub fn driver(&self, name: &str) -> Option<&KnownDriver> {
        self.drivers.get(name).map(|(driver, _)| driver)
    }

    /// Whether a namespace is terminating, so that it takes no Jobs any more.
    pub fn is_terminating(&self, namespace: &str) -> bool {
        self.terminating.contains_key(namespace)
    }

    /// What cannot be decoded under that uid.
    pub fn broken(&self, uid: &str) -> Option<&Broken> {
        self.broken.get(uid).map(|(broken, _)| broken)
    }

    /// How many objects of a kind cannot be decoded.
    pub fn broken_of(&self, kind: Kind) -> usize {
        self.broken.values().filter(|(broken, _)| broken.kind == kind).count()
    }

    /// Takes what a watch brings.
    pub fn take(&mut self, change: Change, now: &Now) -> Touched {
        let mut touched = Touched::default();
        match change {
            Change::Begin(kind) => self.begin(kind),
            Change::Complete(kind) => self.complete(kind, &mut touched),
            Change::Listed(object) => {
                self.applied(object, now, false, &mut touched);
                // Very many may come at once. Whoever is told of meanwhile does not wait behind them.
                touched.woken_later.append(&mut touched.woken);
            }
            Change::Applied(object) => self.applied(object, now, true, &mut touched),
            Change::Gone(object) => self.removed(object, &mut touched),
            Change::Broken(broken) => self.broke(broken, &mut touched),
            Change::BrokenGone(broken) => {
                self.broken.remove(&broken.uid);
                touched.gone.push(broken.uid);
            }
        }
        touched
    }

    fn begin(&mut self, kind: Kind) {
        self.lists.entry(kind).or_default().0 += 1;
        match kind {
            Kind::Database => self.databases.begin(),
            Kind::Backup => self.requests.begin(Operation::Backup),
            Kind::Restore => self.requests.begin(Operation::Restore),
            Kind::Job => self.jobs.begin(),
            Kind::Driver | Kind::Namespace => {}
        }
    }

    fn complete(&mut self, kind: Kind, touched: &mut Touched) {
        let list = self.lists.entry(kind).or_default();
        list.1 = true;
        let (epoch, mut unseen) = (list.0, Vec::new());
        self.broken.retain(|uid, (broken, seen)| {
            let stays = broken.kind != kind || *seen == epoch;
            if !stays {
                unseen.push(Arc::clone(uid));
            }
            stays
        });
        match kind {
            Kind::Database => {
                for database in self.databases.complete() {
                    self.database_gone(&database, touched);
                }
            }
            Kind::Backup | Kind::Restore => {
                let operation = if kind == Kind::Backup { Operation::Backup } else { Operation::Restore };
                for request in self.requests.complete(operation) {
                    self.request_gone(&request, touched);
                }
            }
            Kind::Job => {
                for uid in self.jobs.complete() {
                    self.prune(&uid);
                    touched.woken.push(uid);
                }
            }
            Kind::Driver => {
                let gone: Vec<_> = self.drivers.extract_if(.., |_, (_, seen)| *seen != epoch).collect();
                for (name, _) in gone {
                    self.wake_driven(&name, touched);
                }
            }
            Kind::Namespace => {
                let gone: Vec<_> = self.terminating.extract_if(.., |_, (_, seen)| *seen != epoch).collect();
                for (name, _) in gone {
                    self.wake_namespace(&name, touched);
                }
            }
        }
        // One that could be decoded in the meantime is known by then.
        touched.gone.extend(unseen.into_iter().filter(|uid| !self.knows(uid)));
    }

    fn applied(&mut self, object: Object, now: &Now, live: bool, touched: &mut Touched) {
        match object {
            Object::Database(database) => self.database(*database, touched),
            Object::Request(request) => self.request(*request, touched),
            Object::Driver(driver) => self.registered(&driver, touched),
            Object::Job(job) => {
                self.wake_worked_on(&job, live, touched);
                self.jobs.apply(*job, now, live);
            }
            Object::Namespace(namespace) => self.namespace(namespace, touched),
        }
    }

    fn removed(&mut self, object: Object, touched: &mut Touched) {
        match object {
            Object::Database(database) => {
                self.broken.remove(&database.uid);
                self.databases.remove(&database.uid);
                self.database_gone(&database, touched);
            }
            Object::Request(request) => {
                self.broken.remove(&request.uid);
                self.requests.remove(&request.uid);
                self.request_gone(&request, touched);
            }
            Object::Driver(driver) => {
                self.drivers.remove(&driver.name);
                self.wake_driven(&driver.name, touched);
            }
            Object::Job(job) => {
                self.jobs.remove(&job);
                self.prune(&job.uid);
                self.wake_worked_on(&job, true, touched);
            }
            Object::Namespace(namespace) => {
                if self.terminating.get(&namespace.name).is_some_and(|(uid, _)| *uid == namespace.uid) {
                    self.terminating.remove(&namespace.name);
                    // One of its name may be there again, and what is in it is known already.
                    self.wake_namespace(&namespace.name, touched);
                }
            }
        }
    }

    /// What was known of it before is not so any more, whatever it is now.
    fn broke(&mut self, broken: Broken, touched: &mut Touched) {
        match broken.kind {
            Kind::Database => drop(self.databases.remove(&broken.uid)),
            Kind::Backup | Kind::Restore => drop(self.requests.remove(&broken.uid)),
            Kind::Driver => {
                self.drivers.remove(&broken.name);
                self.wake_driven(&broken.name, touched);
            }
            Kind::Job | Kind::Namespace => {}
        }
        touched.woken.push(Arc::clone(&broken.uid));
        let epoch = self.epoch(broken.kind);
        self.broken.insert(Arc::clone(&broken.uid), (broken, epoch));
    }

    fn database(&mut self, database: KnownDatabase, touched: &mut Touched) {
        let was_broken = self.broken.remove(&database.uid).is_some();
        let now = database.clone();
        let (before, replaced) = self.databases.apply(database);
        if let Some(replaced) = replaced {
            self.database_gone(&replaced, touched);
        }
        if before.is_none() {
            // They may have waited for it.
            touched.woken.extend(self.requests.about(&now).map(|request| Arc::clone(&request.uid)));
        }
        if was_broken || before.as_ref() != Some(&now) {
            touched.woken.push(now.uid);
        }
    }

    fn database_gone(&mut self, database: &KnownDatabase, touched: &mut Touched) {
        touched.gone.push(Arc::clone(&database.uid));
        touched.woken.extend(self.requests.about(database).map(|request| Arc::clone(&request.uid)));
        self.prune(&database.uid);
    }

    fn request(&mut self, request: KnownRequest, touched: &mut Touched) {
        let was_broken = self.broken.remove(&request.uid).is_some();
        let now = request.clone();
        let before = self.requests.apply(request);
        let was_complete = before.as_ref().is_some_and(|before| before.completed);
        if now.completed && before.is_some() && !was_complete {
            touched.completed.push(now.clone());
        }
        if was_broken || before.as_ref() != Some(&now) {
            self.wake_about(&now, touched);
        }
    }

    fn request_gone(&mut self, request: &KnownRequest, touched: &mut Touched) {
        if request.erased {
            touched.erased.push(request.clone());
        }
        touched.gone.push(Arc::clone(&request.uid));
        self.wake_about(request, touched);
        self.prune(&request.uid);
    }

    fn registered(&mut self, driver: &KnownDriver, touched: &mut Touched) {
        let (name, epoch) = (Arc::clone(&driver.name), self.epoch(Kind::Driver));
        if let Some(uid) = driver.state.split('/').next() {
            self.broken.remove(uid);
            touched.gone.push(uid.into());
        }
        let before = self.drivers.insert(Arc::clone(&name), (driver.clone(), epoch));
        if before.is_none_or(|(before, _)| before.state != driver.state) {
            self.wake_driven(&name, touched);
        }
    }

    fn namespace(&mut self, namespace: KnownNamespace, touched: &mut Touched) {
        let KnownNamespace { name, uid, terminating } = namespace;
        let epoch = self.epoch(Kind::Namespace);
        let was = self.is_terminating(&name);
        if terminating {
            self.terminating.insert(Arc::clone(&name), (uid, epoch));
        } else {
            self.terminating.remove(&name);
        }
        if was != terminating {
            self.wake_namespace(&name, touched);
        }
    }

    /// Forgets attempts that nobody counts on any more.
    fn prune(&mut self, uid: &Uid) {
        let Self { databases, requests, jobs, broken, .. } = self;
        if broken.contains_key(uid) {
            return;
        }
        let database = databases.get(uid);
        let backup = requests.get(uid).and_then(|request| request.deletion.as_ref());
        let generation = database.map(|it| it.generation).or_else(|| backup.map(|it| it.generation));
        let pending: Vec<_> = database
            .into_iter()
            .flat_map(|database| requests.about(database))
            .map(|request| Series::of_request(&request.uid))
            .collect();
        jobs.prune(uid, |series| match series {
            Series::Generation(of) => generation == Some(*of),
            Series::Request(_) => pending.contains(series),
        });
    }

    fn knows(&self, uid: &str) -> bool {
        self.databases.get(uid).is_some() || self.requests.get(uid).is_some()
    }

    fn epoch(&self, kind: Kind) -> u32 {
        self.lists.get(&kind).map(|(epoch, _)| *epoch).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
