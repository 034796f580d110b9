//! What the operator sees: the objects that its watches bring, and what it is about to do.
//!
//! Losing any of it costs nothing but the time to list again.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Operation;
use api::{BackupTarget, Database, DriverRegistration};
use kube::runtime::reflector::{ObjectRef, Store};

use api::lifecycle::is_past;

use crate::database::decide::Launch;
use crate::database::facts::{Registered, is_recorded, is_trusted};
use crate::job::build::{StoreKeys, moves_data};
use crate::seen::jobs::{Jobs, KnownJob};
use crate::seen::requests::Requests;
use crate::slots::{Limits, Load, Place};
use crate::subject::Guarded;

/// Jobs, Drivers, and the Databases that wait for a slot. Databases themselves are in the controller's store.
#[derive(Debug, Default)]
pub struct World {
    /// The Jobs that exist.
    pub jobs: Jobs,
    /// The Drivers that are registered, by name.
    pub drivers: BTreeMap<String, Arc<DriverRegistration>>,
    /// The Backups and Restores that exist.
    pub requests: Requests,
    launching: BTreeMap<String, Place>,
    refusals: BTreeMap<String, u32>,
    waiting: BTreeMap<String, Waiter>,
    arrivals: u64,
}

#[derive(Debug)]
struct Waiter {
    arrival: u64,
    place: Place,
    who: ObjectRef<Database>,
}

impl World {
    /// Which Driver there is for a Database that names `driver`.
    pub fn registered(&self, driver: &str) -> Registered {
        if self.drivers.contains_key(driver) {
            Registered::Named
        } else if self.drivers.is_empty() {
            Registered::None
        } else {
            Registered::Others
        }
    }

    /// The Driver whose image is to run `operation`: the one named, and for what takes no engine, the first if
    /// there is none of that name.
    pub fn driver_for(&self, operation: Operation, driver: &str) -> Option<Arc<DriverRegistration>> {
        let takes_none = matches!(operation, Operation::DeleteBackup | Operation::Release);
        let any = || self.drivers.values().next().filter(|_| takes_none);
        self.drivers.get(driver).or_else(any).cloned()
    }

    /// The secrets of the object store that `launch` moves data to or from, or deletes in.
    pub fn store_keys(&self, object: Guarded<'_>, launch: &Launch) -> StoreKeys {
        let database = match object {
            Guarded::Database(database) => database,
            Guarded::Backup(backup) => {
                return StoreKeys::of(backup.location().map(|location| location.s3.clone()), None);
            }
        };
        let from = match launch.operation {
            Operation::Backup | Operation::BackupBeforeDelete | Operation::Delete => {
                return StoreKeys::of(database.spec.backup_to.as_ref().and_then(BackupTarget::s3), None);
            }
            Operation::Restore => {
                let uid = launch.request.as_ref().map(|request| request.uid.as_str()).unwrap_or_default();
                self.requests.get(uid).and_then(|restore| restore.from.as_ref())
            }
            Operation::Create => {
                database.spec.restore_from.as_ref().filter(|_| moves_data(object, launch.operation))
            }
            Operation::Rotate | Operation::DeleteBackup | Operation::Release => None,
        };
        let Some(from) = from else { return StoreKeys::default() };
        let namespace = database.metadata.namespace.as_deref().unwrap_or_default();
        let stored = from.backup.as_ref().and_then(|name| self.requests.backup(namespace, name));
        let target = match &from.location {
            Some(location) => Some(location.s3.clone()),
            None => stored.and_then(|backup| backup.stored_in.clone()),
        };
        StoreKeys::of(target, from.decryption_key.clone())
    }

    /// The Jobs in flight: one for each Database that has an active Job whose work is not recorded as done, for
    /// each Backup that has one, and one for each that is being launched. A Job counts by what its object says,
    /// not by its own labels.
    pub fn load(&self, databases: &Store<Database>, operator_namespace: &str) -> Load {
        let mut in_flight = self.launching.clone();
        for job in self.jobs.active() {
            if let Some(backup) = self.requests.get(&job.uid) {
                if job.namespace == backup.namespace || job.namespace == operator_namespace {
                    in_flight.insert(job.uid.clone(), backup.place());
                }
                continue;
            }
            let key = ObjectRef::new(&job.database).within(&job.database_namespace);
            let Some(database) = databases.get(&key) else { continue };
            if self.is_in_flight(job, &database, operator_namespace) {
                in_flight.insert(job.uid.clone(), Guarded::from(&*database).place());
            }
        }
        let mut load = Load::default();
        for place in in_flight.values() {
            load.add(place);
        }
        load
    }

    /// Takes a slot for `object`, or a place in the queue. A Backup has none there: it asks again.
    pub fn reserve(
        &mut self,
        object: Guarded<'_>,
        databases: &Store<Database>,
        operator_namespace: &str,
        limits: &Limits,
    ) -> bool {
        let (uid, place) = (object.uid().to_owned(), object.place());
        if self.load(databases, operator_namespace).has_room_for(&place, limits) {
            self.waiting.remove(&uid);
            self.launching.insert(uid, place);
            return true;
        }
        if let Guarded::Database(database) = object {
            let arrival = self.arrivals;
            self.arrivals += 1;
            let who = ObjectRef::from(database);
            self.waiting.entry(uid).or_insert(Waiter { arrival, place, who });
        }
        false
    }

    /// Gives the slot back to the Job, if one was launched, or to others.
    pub fn settle(&mut self, uid: &str, launched: Option<KnownJob>) {
        self.launching.remove(uid);
        match launched {
            Some(job) => {
                self.refusals.remove(uid);
                self.jobs.add(job);
            }
            None => *self.refusals.entry(uid.to_owned()).or_default() += 1,
        }
    }

    /// How often in a row a launch was not taken.
    pub fn refused(&self, uid: &str) -> u32 {
        self.refusals.get(uid).copied().unwrap_or_default()
    }

    /// Forgets that a Database waits.
    pub fn leave_queue(&mut self, uid: &str) {
        self.waiting.remove(uid);
    }

    /// Forgets an object that is gone.
    pub fn forget(&mut self, uid: &str) {
        self.waiting.remove(uid);
        self.refusals.remove(uid);
    }

    /// The Databases that waited for a slot and have one now.
    pub fn admitted(
        &self,
        databases: &Store<Database>,
        operator_namespace: &str,
        limits: &Limits,
    ) -> Vec<ObjectRef<Database>> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let mut waiting: Vec<_> = self.waiting.values().collect();
        waiting.sort_by_key(|waiter| waiter.arrival);
        let load = self.load(databases, operator_namespace);
        load.admit(waiting.iter().map(|waiter| (&waiter.who, &waiter.place)), limits)
            .into_iter()
            .cloned()
            .collect()
    }

    fn is_in_flight(&self, job: &KnownJob, database: &Database, operator_namespace: &str) -> bool {
        is_trusted(job, database, operator_namespace)
            && !is_recorded(job, database, &self.requests)
            && !is_past(job.operation, database.phase())
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::{reflector::store, watcher::Event};

    use super::*;
    use crate::seen::jobs::JobState;

    const LIMITS: Limits = Limits { total: 2, per_server: 2 };

    fn database(uid: &str, status: &serde_json::Value) -> Database {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
            "metadata": {"name": uid, "namespace": "shop", "uid": uid},
            "spec": {"driver": "engine", "connect": {"host": "H"},
                     "credentials": {"username": {"value": "u"}, "password": {"value": "p"}}},
            "status": status,
        }))
        .unwrap()
    }

    fn stored(databases: &[Database]) -> Store<Database> {
        let (reader, mut writer) = store();
        for database in databases {
            writer.apply_watcher_event(&Event::Apply(database.clone()));
        }
        reader
    }

    fn job(uid: &str, name: &str) -> KnownJob {
        KnownJob {
            name: name.into(),
            namespace: "shop".into(),
            uid: uid.into(),
            database: uid.into(),
            database_namespace: "shop".into(),
            operation: Operation::Create,
            generation: 1,
            request: None,
            attempt: 1,
            retry: None,
            reconcile: None,
            source: None,
            image: String::new(),
            state: JobState::Suspended,
        }
    }

    #[test]
    fn a_job_takes_its_slot_before_the_watch_shows_it() {
        let (one, two) = (database("1", &serde_json::Value::Null), database("2", &serde_json::Value::Null));
        let databases = stored(&[one.clone(), two.clone()]);
        let mut world = World::default();
        assert!(world.reserve(Guarded::from(&one), &databases, "system", &LIMITS));
        assert!(
            !world.reserve(Guarded::from(&two), &databases, "system", &LIMITS),
            "the last slot is for others"
        );
        assert!(world.admitted(&databases, "system", &LIMITS).is_empty());

        world.settle("1", Some(job("1", "j")));
        assert_eq!(world.load(&databases, "system").total(), 1);
        world.jobs.delete(&job("1", "j"));
        assert_eq!(world.admitted(&databases, "system", &LIMITS), [ObjectRef::from(&two)]);
        assert!(world.reserve(Guarded::from(&two), &databases, "system", &LIMITS));
        assert!(world.admitted(&databases, "system", &LIMITS).is_empty(), "nobody waits any more");
    }

    #[test]
    fn recorded_work_frees_the_slot_while_kubernetes_still_shows_the_job_active() {
        let mut world = World::default();
        world.jobs.add(job("1", "j"));
        let load =
            |status: serde_json::Value| world.load(&stored(&[database("1", &status)]), "system").total();
        assert_eq!(load(serde_json::json!({"phase": "Creating"})), 1);
        assert_eq!(load(serde_json::json!({"phase": "Created", "lastCompletedJob": "j"})), 0);
        assert_eq!(world.load(&stored(&[]), "system").total(), 0, "its Database is gone");
    }

    #[test]
    fn nobody_can_take_slots_with_labels() {
        let mut world = World::default();
        world.jobs.add(KnownJob { namespace: "elsewhere".into(), ..job("1", "j") });
        let databases = stored(&[database("1", &serde_json::Value::Null)]);
        assert_eq!(world.load(&databases, "system").total(), 0);
    }
}
