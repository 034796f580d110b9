//! API objects → plain facts. Total and pure: the caller says what time it is.

use std::time::Duration;

use api::Operation;
use api::lifecycle::{Intent, begun};
use api::names::short_hash;
use api::{
    Conditions, Database, DatabasePhase, DatabaseStatus, READY, RECONCILE_ANNOTATION, RETRY_ANNOTATION,
};
use k8s_openapi::jiff::Timestamp;

use crate::job::build::JobName;
use crate::seen::jobs::{JobState, KnownJob, Pods};
use crate::seen::requests::{KnownRequest, Requests};

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
    /// The Backup or Restore whose turn it is.
    pub request: Option<Request>,
    /// The others that wait, the oldest first.
    pub waiting: Vec<Request>,
    /// Its Jobs, in no particular order.
    pub jobs: Vec<JobFact>,
}

/// A Backup or Restore whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it asks for: [`Operation::Backup`] or [`Operation::Restore`].
    pub operation: Operation,
    /// Its name.
    pub name: String,
    /// Its uid; one that no object has where it is gone, and what was begun is to be given up.
    pub uid: String,
    /// The value of its annotation `db.isotoma.com/retry`.
    pub retry: Option<String>,
    /// Of a Restore: the uid of the Backup that it names, once that is complete.
    pub source: Option<String>,
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

/// What asks for a run: the values of annotations, and a Backup that was waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `db.isotoma.com/retry`.
    pub retry: Option<String>,
    /// `db.isotoma.com/reconcile`.
    pub reconcile: Option<String>,
    /// The uid of the Backup that is to be loaded, once that is complete.
    pub source: Option<String>,
}

impl Wishes {
    /// Whether somebody asks for something here that was not asked for yet in `earlier`.
    pub fn is_new_since(&self, earlier: &Self) -> bool {
        let Self { retry, reconcile, source } = self;
        let is_new = |wish: &Option<String>, earlier: &Option<String>| wish.is_some() && wish != earlier;
        is_new(retry, &earlier.retry)
            || is_new(reconcile, &earlier.reconcile)
            || is_new(source, &earlier.source)
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
    /// The uid of the Backup or Restore that it works on.
    pub request: Option<String>,
    /// Counts the Jobs of one operation on one generation, or on one Backup or Restore.
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
    /// The Backups and Restores that exist.
    pub requests: &'a Requests,
}

impl Facts {
    /// The facts about `database`, whose Jobs are among `jobs`.
    pub fn of(database: &Database, jobs: &[KnownJob], around: &Surroundings<'_>) -> Self {
        let none = DatabaseStatus::default();
        let status = database.status.as_ref().unwrap_or(&none);
        let generation = database.metadata.generation.unwrap_or_default();
        let intent = Intent::of(database);
        // What is being deleted is not loaded any more.
        let restore_from = database.spec.restore_from.as_ref().filter(|_| intent == Intent::Keep);
        let namespace = database.metadata.namespace.as_deref().unwrap_or_default();
        let wishes = Wishes {
            retry: database.annotation(RETRY_ANNOTATION).map(str::to_owned),
            reconcile: database.annotation(RECONCILE_ANNOTATION).map(str::to_owned),
            source: around.requests.complete_source(namespace, restore_from),
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
        let mut requests = requests_of(database, status, around.requests).into_iter();
        Self {
            phase: database.phase(),
            intent,
            was_created: status.created_at.is_some(),
            guarded,
            current: guarded && ready && reconciled && verify_in != Some(Duration::ZERO),
            verify_in,
            generation,
            wishes,
            driver: around.driver,
            completed: status.last_completed_job.as_deref().and_then(|name| completed(name, database)),
            request: requests.next(),
            waiting: requests.collect(),
            jobs: jobs
                .iter()
                .filter(|job| is_trusted(job, database, around.operator_namespace))
                .map(|job| job_fact(job, is_recorded(job, database, around.requests), around.now))
                .collect(),
        }
    }

    /// Who asks for an attempt: the owner of the Database, or of the Backup or Restore that it would work on.
    pub fn wishes_for(&self, request: Option<&Request>) -> Wishes {
        request.map_or_else(
            || self.wishes.clone(),
            |request| Wishes {
                retry: request.retry.clone(),
                reconcile: None,
                source: request.source.clone(),
            },
        )
    }

    /// The Job that lets it go because its namespace is terminating, if there is one.
    pub fn released_by(&self) -> Option<&str> {
        let release = self.jobs.iter().find(|job| job.operation == Operation::Release)?;
        (self.intent != Intent::Keep).then_some(release.name.as_str())
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

/// Whether a status says that the work of a Job is done.
pub(crate) fn is_recorded(job: &KnownJob, database: &Database, requests: &Requests) -> bool {
    let recorded = match &job.request {
        None => database.status.as_ref().and_then(|status| status.last_completed_job.as_ref()),
        Some(uid) => requests.get(uid).and_then(|request| request.completed_by.as_ref()),
    };
    recorded == Some(&job.name)
}

/// The Backups and Restores that wait for a Database: the one that is begun, then the oldest first.
fn requests_of(database: &Database, status: &DatabaseStatus, requests: &Requests) -> Vec<Request> {
    let begun = begun(status.phase);
    let active = status.active_operation.as_ref();
    let active_name = active.and_then(|active| active.backup.as_ref().or(active.restore.as_ref()));
    let is_begun =
        |request: &KnownRequest| Some(request.operation) == begun && Some(&request.name) == active_name;
    let is_of_the_kind =
        |request: &KnownRequest| begun.is_none_or(|operation| operation == request.operation);
    let mut known: Vec<_> = requests
        .about(database)
        // What is complete may not be written down in the Database yet.
        .filter(|request| is_begun(request) || (request.is_pending() && is_of_the_kind(request)))
        .collect();
    known.sort_by_key(|request| (!is_begun(request), request.created, request.name.clone()));
    if let (true, Some(operation)) = (known.is_empty(), begun) {
        let name = active_name.cloned().unwrap_or_default();
        // No object has that uid: the run that gets it gives up what was begun.
        let uid = format!("gone-{}", short_hash(&name, 10));
        return vec![Request { operation, name, uid, retry: None, source: None }];
    }
    let all = known.into_iter().map(|request| Request {
        operation: request.operation,
        name: request.name.clone(),
        uid: request.uid.clone(),
        retry: request.retry.clone(),
        source: requests.complete_source(&request.namespace, request.from.as_ref()),
    });
    all.collect()
}

pub(crate) fn job_fact(job: &KnownJob, recorded: bool, now: Timestamp) -> JobFact {
    JobFact {
        name: job.name.clone(),
        operation: job.operation,
        generation: job.generation,
        request: job.request.clone(),
        attempt: job.attempt,
        wishes: Wishes {
            retry: job.retry.clone(),
            reconcile: job.reconcile.clone(),
            source: job.source.clone(),
        },
        image: job.image.clone(),
        recorded,
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
