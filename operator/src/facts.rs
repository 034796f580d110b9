//! API objects → plain facts. Total and pure: the caller says what time it is.

use std::time::Duration;

use driver_api::api::{
    Backup, BackupPhase, Conditions, Database, DatabasePhase, READY, RECONCILE_ANNOTATION, RETRY_ANNOTATION,
};
use driver_api::lifecycle::{Intent, Operation};
use driver_api::names::short_hash;
use k8s_openapi::jiff::Timestamp;

use crate::job::JobName;
use crate::jobs::{JobState, KnownJob, Pods};

/// What a decision about one Database rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How far the work got.
    pub phase: Option<DatabasePhase>,
    /// What the owner wants.
    pub intent: Intent,
    /// Whether it was complete once, so that it may hold rows.
    pub was_created: bool,
    /// Whether our finalizer is set, so that something may be on the server.
    pub guarded: bool,
    /// Whether a run has verified it as it is now asked for.
    pub current: bool,
    /// In what time it is to be verified again, where there is a resync interval.
    pub verify_in: Option<Duration>,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether somebody asks for an attempt by annotation, and how.
    pub wishes: Wishes,
    /// Which `Driver` there is for it.
    pub driver: Registered,
    /// The Job that last completed its operation.
    pub completed: Option<JobName>,
    /// Its Jobs, in no particular order.
    pub jobs: Vec<JobFact>,
}

/// Which `Driver` there is for a Database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The one that it names.
    Named,
    /// Only others, whose images can do what needs no engine.
    Others,
    /// None at all.
    None,
}

/// The values of the annotations that ask for a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `db.isotoma.com/retry`.
    pub retry: Option<String>,
    /// `db.isotoma.com/reconcile`.
    pub reconcile: Option<String>,
}

impl Wishes {
    /// Whether somebody asks for something here that was not asked for yet in `earlier`.
    pub fn is_new_since(&self, earlier: &Self) -> bool {
        let Self { retry, reconcile } = self;
        (retry.is_some() && *retry != earlier.retry)
            || (reconcile.is_some() && *reconcile != earlier.reconcile)
    }
}

/// What a decision reads of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFact {
    /// Its name.
    pub name: String,
    /// What it does.
    pub operation: Operation,
    /// The generation that it was built from.
    pub generation: i64,
    /// Counts the Jobs of one operation on one generation.
    pub attempt: u32,
    /// What was wished for when it was launched.
    pub wishes: Wishes,
    /// The image of its container.
    pub image: String,
    /// Whether the status says that its work is done. Kubernetes reports it complete three seconds later.
    pub recorded: bool,
    /// How far it is.
    pub progress: Progress,
}

/// [`JobState`] with ages in place of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has no terminal condition.
    Active {
        /// For how long its pods are so.
        age: Duration,
        /// What is known of its pods.
        pods: Pods,
    },
    /// Somebody has suspended it.
    Suspended,
    /// It has failed for good.
    Failed {
        /// Whether the driver said that repeating cannot help.
        permanent: bool,
        /// How long ago.
        age: Duration,
    },
    /// Its pod has ended with exit code 0.
    Complete {
        /// How long ago.
        age: Duration,
    },
}

/// What facts need besides the objects.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// The time.
    pub now: Timestamp,
    /// The operator's own namespace.
    pub operator_namespace: &'a str,
    /// How often a Database is verified unasked.
    pub resync: Option<Duration>,
    /// Which `Driver` there is for the Database.
    pub driver: Registered,
}

impl Facts {
    /// The facts about `database`, whose Jobs are among `jobs`.
    pub fn of(database: &Database, jobs: &[KnownJob], around: &Surroundings<'_>) -> Self {
        let none = driver_api::api::DatabaseStatus::default();
        let status = database.status.as_ref().unwrap_or(&none);
        let generation = database.metadata.generation.unwrap_or_default();
        let wishes = Wishes {
            retry: database.annotation(RETRY_ANNOTATION).map(str::to_owned),
            reconcile: database.annotation(RECONCILE_ANNOTATION).map(str::to_owned),
        };
        let guarded = database.is_guarded();
        let verify_in = around.resync.map(|interval| {
            let interval = jittered(interval, database.metadata.uid.as_deref().unwrap_or_default());
            let age = status.verified_at.as_ref().map(|verified| age(verified.0, around.now));
            age.map_or(Duration::ZERO, |age| interval.saturating_sub(age))
        });
        let ready = Conditions::get(&status.conditions, READY)
            .is_some_and(|ready| ready.status == "True" && ready.observed_generation == Some(generation));
        let reconciled = wishes.reconcile.is_none()
            || wishes.reconcile.as_deref() == status.last_handled_reconcile.as_deref();
        Self {
            phase: database.phase(),
            intent: Intent::of(database),
            was_created: status.created_at.is_some(),
            guarded,
            current: guarded && ready && reconciled && verify_in != Some(Duration::ZERO),
            verify_in,
            generation,
            wishes,
            driver: around.driver,
            completed: status.last_completed_job.as_deref().and_then(|name| completed(name, database)),
            jobs: jobs
                .iter()
                .filter(|job| is_trusted(job, database, around.operator_namespace))
                .map(|job| job_fact(job, status.last_completed_job.as_deref(), around.now))
                .collect(),
        }
    }

    /// The Job that lets it go because its namespace is terminating, if there is one.
    pub fn released_by(&self) -> Option<&str> {
        let release = self.jobs.iter().find(|job| job.operation == Operation::Release)?;
        (self.intent != Intent::Keep).then_some(release.name.as_str())
    }

    /// The phase of a Backup, for [`decide_backup`](crate::decide::decide_backup).
    pub fn of_backup(backup: &Backup) -> Option<BackupPhase> {
        backup.status.as_ref().and_then(|status| status.phase)
    }
}

/// Labels can be set by anybody who may create Jobs, so a Job counts only from where its Jobs run: from the
/// Database's namespace, and for `release` from the operator's. Otherwise one tenant could make us let go of
/// another's database.
pub(crate) fn is_trusted(job: &KnownJob, database: &Database, operator_namespace: &str) -> bool {
    let home = if job.operation == Operation::Release {
        Some(operator_namespace)
    } else {
        database.metadata.namespace.as_deref()
    };
    home == Some(job.namespace.as_str()) && database.metadata.uid.as_deref() == Some(job.uid.as_str())
}

/// What the name of a completed Job says, if it was a Job of this object: a status may be restored from another.
fn completed(name: &str, database: &Database) -> Option<JobName> {
    let uid = database.metadata.uid.as_deref().unwrap_or_default();
    name.parse().ok().filter(|job: &JobName| job.with_uid(uid) == name)
}

fn job_fact(job: &KnownJob, completed: Option<&str>, now: Timestamp) -> JobFact {
    JobFact {
        name: job.name.clone(),
        operation: job.operation,
        generation: job.generation,
        attempt: job.attempt,
        wishes: Wishes { retry: job.retry.clone(), reconcile: job.reconcile.clone() },
        image: job.image.clone(),
        recorded: completed == Some(job.name.as_str()),
        progress: match job.state {
            JobState::Active { since, pods } => Progress::Active { age: age(since, now), pods },
            JobState::Suspended => Progress::Suspended,
            JobState::Failed { permanent, at } => Progress::Failed { permanent, age: age(at, now) },
            JobState::Complete { at } => Progress::Complete { age: age(at, now) },
        },
    }
}

/// How long ago it was; zero where another clock is ahead of ours.
fn age(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// The interval ±10 %, by uid, so that what was created together is not verified together for ever.
fn jittered(interval: Duration, uid: &str) -> Duration {
    let hash = u32::from_str_radix(&short_hash(uid, 4), 16).unwrap_or_default();
    interval / 10 * 9 + interval / 5 * hash / 0xffff
}

#[cfg(test)]
mod tests;
