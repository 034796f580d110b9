//! The Jobs that exist, as far as decisions read them.
//!
//! A Job is four kilobytes in the API and a few hundred bytes here, which is why the operator stays small.

use std::collections::{BTreeMap, BTreeSet};

use api::Operation;
use api::{RECONCILE_ANNOTATION, RETRY_ANNOTATION, UID_LABEL};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::jiff::Timestamp;

use crate::job::build as job;

/// A Job of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownJob {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The uid of the Database that it works on.
    pub uid: String,
    /// Name of that Database.
    pub database: String,
    /// Namespace of that Database: another one for `release`.
    pub database_namespace: String,
    /// What it does.
    pub operation: Operation,
    /// The generation that it was built from.
    pub generation: i64,
    /// The uid of the Backup or Restore that it works on.
    pub request: Option<String>,
    /// Counts the Jobs of one operation on one generation.
    pub attempt: u32,
    /// The value of `db.isotoma.com/retry` when it was launched.
    pub retry: Option<String>,
    /// The value of `db.isotoma.com/reconcile` when it was launched.
    pub reconcile: Option<String>,
    /// The uid of the Backup that was complete when it was launched to load it.
    pub source: Option<String>,
    /// The image of its container.
    pub image: String,
    /// How far it is.
    pub state: JobState,
}

/// How far a Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It has no terminal condition.
    Active {
        /// Since when its pods are so: since its start, or since we saw them change.
        since: Timestamp,
        /// What is known of its pods.
        pods: Pods,
    },
    /// Somebody, such as Kueue, has suspended it.
    Suspended,
    /// It has failed for good.
    Failed {
        /// Whether the driver said (exit code 42) that repeating cannot help.
        permanent: bool,
        /// When.
        at: Timestamp,
    },
    /// Its pod has ended with exit code 0.
    Complete {
        /// When.
        at: Timestamp,
    },
}

impl JobState {
    /// The state that comes after this one. A Job does not say since when its pods are as they are.
    fn followed_by(self, next: Self, now: Timestamp) -> Self {
        match (self, next) {
            (Self::Active { since, pods: before }, Self::Active { pods, .. }) => {
                Self::Active { since: if before == pods { since } else { now }, pods }
            }
            _ => next,
        }
    }
}

/// What is known of an active Job's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// None was ever made.
    None,
    /// The first one exists, and its container does not run.
    Starting,
    /// One runs, or one has run before.
    Ran,
}

impl KnownJob {
    /// What `job` is, if its labels and annotations are ours.
    pub fn of(job: &Job) -> Option<Self> {
        let metadata = &job.metadata;
        let label = |name: &str| metadata.labels.as_ref()?.get(name);
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name).cloned();
        let spec = job.spec.as_ref();
        let container = spec.and_then(|spec| spec.template.spec.as_ref()?.containers.first());
        Some(Self {
            name: metadata.name.clone()?,
            namespace: metadata.namespace.clone()?,
            uid: label(UID_LABEL)?.clone(),
            database: annotation(job::DATABASE_ANNOTATION)?,
            database_namespace: annotation(job::NAMESPACE_ANNOTATION)?,
            operation: label(job::OPERATION_LABEL)?.parse().ok()?,
            generation: label(job::GENERATION_LABEL)?.parse().ok()?,
            request: label(job::REQUEST_LABEL).cloned(),
            attempt: label(job::ATTEMPT_LABEL)?.parse().ok()?,
            retry: annotation(RETRY_ANNOTATION),
            reconcile: annotation(RECONCILE_ANNOTATION),
            source: annotation(job::SOURCE_ANNOTATION),
            image: container.and_then(|container| container.image.clone()).unwrap_or_default(),
            state: state(job)?,
        })
    }

    /// Whether it has no terminal condition.
    pub fn is_active(&self) -> bool {
        match self.state {
            JobState::Active { .. } | JobState::Suspended => true,
            JobState::Failed { .. } | JobState::Complete { .. } => false,
        }
    }
}

fn state(job: &Job) -> Option<JobState> {
    let created = job.metadata.creation_timestamp.as_ref()?.0;
    let none = JobStatus::default();
    let status = job.status.as_ref().unwrap_or(&none);
    // `FailureTarget` and `SuccessCriteriaMet` come earlier, while a pod may still be alive.
    let terminal = |kind: &str| {
        let conditions = status.conditions.iter().flatten();
        conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True")
    };
    let at = |condition: &JobCondition| {
        condition.last_transition_time.as_ref().map_or(created, |transition| transition.0)
    };
    if let Some(failed) = terminal("Failed") {
        let permanent = failed.reason.as_deref() == Some("PodFailurePolicy");
        return Some(JobState::Failed { permanent, at: at(failed) });
    }
    if let Some(complete) = terminal("Complete") {
        return Some(JobState::Complete { at: at(complete) });
    }
    if job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true)) {
        return Some(JobState::Suspended);
    }
    let since = status.start_time.as_ref().map_or(created, |start| start.0);
    Some(JobState::Active { since, pods: pods(status) })
}

fn pods(status: &JobStatus) -> Pods {
    let some = |count: Option<i32>| count.unwrap_or(0) > 0;
    let uncounted = status.uncounted_terminated_pods.as_ref().is_some_and(|pods| {
        pods.failed.iter().flatten().chain(pods.succeeded.iter().flatten()).next().is_some()
    });
    let ended = some(status.failed) || some(status.succeeded) || some(status.terminating) || uncounted;
    if ended || some(status.ready) {
        Pods::Ran
    } else if some(status.active) {
        Pods::Starting
    } else {
        Pods::None
    }
}

/// All Jobs that exist, by the uid of their Database.
#[derive(Debug, Default)]
pub struct Jobs {
    by_uid: BTreeMap<String, Vec<KnownJob>>,
    // The uids that have an active Job: few, while finished Jobs stay for an hour.
    active: BTreeSet<String>,
}

impl Jobs {
    /// Takes a Job as it is first seen. What is known of it already is newer, and stays.
    pub fn add(&mut self, job: KnownJob) {
        let uid = job.uid.clone();
        let jobs = self.by_uid.entry(uid.clone()).or_default();
        if !jobs.iter().any(|known| is_same(known, &job)) {
            jobs.push(job);
        }
        self.index(uid);
    }

    /// Takes a Job as the watch shows it now.
    pub fn apply(&mut self, mut job: KnownJob, now: Timestamp) {
        let uid = job.uid.clone();
        let jobs = self.by_uid.entry(uid.clone()).or_default();
        match jobs.iter_mut().find(|known| is_same(known, &job)) {
            Some(known) => {
                job.state = known.state.followed_by(job.state, now);
                *known = job;
            }
            None => jobs.push(job),
        }
        self.index(uid);
    }

    /// Forgets a Job.
    pub fn delete(&mut self, job: &KnownJob) {
        if let Some(jobs) = self.by_uid.get_mut(&job.uid) {
            jobs.retain(|known| !is_same(known, job));
        }
        self.index(job.uid.clone());
    }

    /// The Jobs of a Database.
    pub fn of(&self, uid: &str) -> &[KnownJob] {
        self.by_uid.get(uid).map_or(&[], Vec::as_slice)
    }

    /// The Jobs that are active.
    pub fn active(&self) -> impl Iterator<Item = &KnownJob> {
        self.active.iter().flat_map(|uid| self.of(uid)).filter(|job| job.is_active())
    }

    fn index(&mut self, uid: String) {
        if self.of(&uid).is_empty() {
            self.by_uid.remove(&uid);
        }
        if self.of(&uid).iter().any(KnownJob::is_active) {
            self.active.insert(uid);
        } else {
            self.active.remove(&uid);
        }
    }
}

fn is_same(one: &KnownJob, other: &KnownJob) -> bool {
    one.name == other.name && one.namespace == other.namespace
}

#[cfg(test)]
mod tests;
