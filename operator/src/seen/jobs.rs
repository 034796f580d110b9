//! The Jobs that exist, by the object that they work on, and how far attempts got whose Jobs are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::job::{JobState, KnownJob};
use super::metadata::{Key, Uid};
use crate::attempts::{JobFact, JobProgress, Spent};
use crate::clock::{Moment, Now};
use crate::job_name::{JobName, Series};

/// All Jobs that exist.
#[derive(Debug, Default)]
pub struct Jobs {
    by_uid: BTreeMap<Uid, Of>,
    epoch: u32,
}

/// The Jobs of one object.
#[derive(Debug, Default)]
struct Of {
    /// By namespace and name.
    jobs: BTreeMap<Key, Tracked>,
    /// By namespace, how far attempts got whose Jobs are gone: as long as that is known, a name does not come again.
    spent: Vec<(Arc<str>, Spent)>,
}

/// A Job, and since when it is as it is.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// The Job.
    pub job: KnownJob,
    /// Since when, by our own clock.
    pub since: Moment,
    epoch: u32,
}

impl Tracked {
    /// What decisions read of it. `driver` is the state of the Driver that a new Job would be built from, and the image
    /// that it would have.
    pub fn fact(&self, recorded: bool, driver: Option<(&str, &str)>, now: Moment) -> JobFact {
        let Self { job, since, .. } = self;
        let age = now.since(*since);
        let outdated = driver.is_some_and(|(state, image)| match &job.driver {
            Some(built_from) => **built_from != *state,
            // A Job of an earlier release does not say.
            None => *job.image != *image,
        });
        JobFact {
            name: Arc::clone(&job.name),
            operation: job.operation(),
            generation: job.generation,
            request: job.request.clone(),
            attempt: job.named.attempt,
            wishes: job.wishes.clone(),
            image: Arc::clone(&job.image),
            outdated,
            recorded,
            progress: match job.state {
                JobState::Active(pods) => JobProgress::Active { age, pods },
                JobState::Suspended => JobProgress::Suspended,
                JobState::Failed { why, .. } => JobProgress::Failed { why, age },
                JobState::Complete { .. } => JobProgress::Complete { age },
            },
        }
    }
}

impl Jobs {
    /// A list of all begins.
    pub fn begin(&mut self) {
        self.epoch += 1;
    }

    /// The list is whole: forgets what was not in it. Answers the uids of the objects whose Jobs are gone.
    pub fn complete(&mut self) -> Vec<Uid> {
        let (epoch, mut gone) = (self.epoch, Vec::new());
        for (uid, of) in &mut self.by_uid {
            let dead: Vec<_> = of.jobs.extract_if(.., |_, tracked| tracked.epoch != epoch).collect();
            if !dead.is_empty() {
                gone.push(Arc::clone(uid));
            }
            for (_, tracked) in dead {
                of.spend(&tracked.job);
            }
        }
        gone
    }

    /// Takes a Job that we have launched and that the watch may not show yet. What is known of it already is newer.
    pub fn add(&mut self, job: KnownJob, now: &Now) {
        let of = self.by_uid.entry(Arc::clone(&job.uid)).or_default();
        let tracked = Tracked { since: first_seen(&job, now), job, epoch: self.epoch };
        of.jobs.entry(key(&tracked.job)).or_insert(tracked);
    }

    /// Takes a Job as the watch shows it. `live` says that it shows the change as it happens.
    pub fn apply(&mut self, job: KnownJob, now: &Now, live: bool) {
        let of = self.by_uid.entry(Arc::clone(&job.uid)).or_default();
        let told = first_seen(&job, now);
        let since = match of.jobs.get(&key(&job)) {
            None => told,
            Some(known) if is_alike(known.job.state, job.state) => known.since,
            Some(_) if live => now.moment,
            Some(known) => told.max(known.since),
        };
        of.jobs.insert(key(&job), Tracked { job, since, epoch: self.epoch });
    }

    /// Whether a Job of that name was seen.
    pub fn knows(&self, job: &KnownJob) -> bool {
        self.by_uid.get(&job.uid).is_some_and(|of| of.jobs.contains_key(&key(job)))
    }

    /// Forgets a Job, but not its attempt.
    pub fn remove(&mut self, job: &KnownJob) {
        if let Some(of) = self.by_uid.get_mut(&job.uid) {
            of.jobs.remove(&key(job));
            of.spend(job);
        }
    }

    /// Forgets the attempts of an object that do not matter any more: those of series that `keep` does not name.
    pub fn prune(&mut self, uid: &str, keep: impl Fn(&Series) -> bool) {
        if let Some(of) = self.by_uid.get_mut(uid) {
            of.spent.retain(|(_, spent)| keep(&spent.series));
            if of.jobs.is_empty() && of.spent.is_empty() {
                self.by_uid.remove(uid);
            }
        }
    }

    /// The Jobs of an object.
    pub fn of(&self, uid: &str) -> impl Iterator<Item = &Tracked> {
        self.by_uid.get(uid).into_iter().flat_map(|of| of.jobs.values())
    }

    /// How far the attempts of an object got in `namespace` whose Jobs are gone.
    pub fn spent(&self, uid: &str, namespace: &str) -> Vec<Spent> {
        let spent = self.by_uid.get(uid).into_iter().flat_map(|of| &of.spent);
        spent.filter(|(home, _)| **home == *namespace).map(|(_, spent)| spent.clone()).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_uid.values().map(|of| of.jobs.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The uids of the objects that have Jobs or had.
    pub fn uids(&self) -> impl Iterator<Item = &Uid> {
        self.by_uid.keys()
    }
}

impl Of {
    fn spend(&mut self, job: &KnownJob) {
        let JobName { operation, ref series, attempt } = job.named;
        let known = self
            .spent
            .iter_mut()
            .find(|(namespace, spent)| *namespace == job.namespace && spent.is_of(operation, series));
        if let Some((_, spent)) = known {
            spent.attempt = spent.attempt.max(attempt);
        } else {
            let spent = Spent { operation, series: series.clone(), attempt };
            self.spent.push((Arc::clone(&job.namespace), spent));
        }
    }
}

fn key(job: &KnownJob) -> Key {
    (Arc::clone(&job.namespace), Arc::clone(&job.name))
}

/// Since when a Job that is first seen now is as it is: of its end others tell the time, of its pods nobody does.
fn first_seen(job: &KnownJob, now: &Now) -> Moment {
    match job.state {
        JobState::Active(_) | JobState::Suspended => now.moment,
        JobState::Failed { at, .. } | JobState::Complete { at } => {
            at.map_or(now.moment, |at| now.moment_of(at))
        }
    }
}

fn is_alike(before: JobState, now: JobState) -> bool {
    match (before, now) {
        (JobState::Failed { .. }, JobState::Failed { .. })
        | (JobState::Complete { .. }, JobState::Complete { .. }) => true,
        (before, now) => before == now,
    }
}

#[cfg(test)]
mod tests;
