//! Attempts: what the Jobs of an object say about the next one. The same for every kind, and pure.

use std::sync::Arc;
use std::time::Duration;

use api::Operation;

use crate::clock::doubled;
use crate::decision::{Decision, Launch, Stuck, Wait, Wish};
use crate::job_name::Series;

/// The wait before the second attempt. It doubles with each further one.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(30);

/// The longest wait between two attempts.
pub const LONGEST_BACKOFF: Duration = Duration::from_mins(30);

/// How long a Job may be without a pod before we say so.
pub const NO_POD_AFTER: Duration = Duration::from_secs(10);

/// How long a Job's first pod may be without a running container before we say so: a large image takes a while.
pub const NOT_RUNNING_AFTER: Duration = Duration::from_mins(1);

/// How long a Job may be without a running container before it no longer holds up other operations: its own deadline
/// may be a day.
pub const GIVEN_UP_AFTER: Duration = Duration::from_mins(10);

/// What a decision reads of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFact {
    pub name: Arc<str>,
    /// What it does.
    pub operation: Operation,
    /// The generation that it was built from.
    pub generation: i64,
    /// The uid of the Backup or Restore that it works on.
    pub request: Option<Arc<str>>,
    /// Counts the Jobs of one operation on one generation, or on one Backup or Restore.
    pub attempt: u32,
    /// What was wished for when it was launched.
    pub wishes: Wishes,
    /// The image of its container.
    pub image: Arc<str>,
    /// Whether a new Job would have another pod than this one, because its Driver has changed.
    pub outdated: bool,
    /// Whether the status says that its work is done. Kubernetes reports it complete three seconds later.
    pub recorded: bool,
    /// How far it is.
    pub progress: JobProgress,
}

/// How far a Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobProgress {
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
        /// Why.
        why: Failed,
        /// How long ago.
        age: Duration,
    },
    /// Its pod has ended with exit code 0.
    Complete {
        /// How long ago.
        age: Duration,
    },
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

/// Why a Job has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The driver has ended with an error that may pass.
    Error,
    /// The driver has said (exit code 42) that repeating cannot help.
    Permanent,
    /// Its container was killed (exit code 137), as is one that takes more memory than its limit.
    Killed,
    /// Its pod was evicted, preempted, or lost with its node.
    Disrupted,
    /// It was not done in the time that it has.
    Deadline,
}

/// How far the attempts of a series got whose Jobs are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// What they did.
    pub operation: Operation,
    /// What they were counted on.
    pub series: Series,
    /// The highest of them.
    pub attempt: u32,
}

impl Spent {
    /// Whether it counts the attempts of that operation on that.
    pub fn is_of(&self, operation: Operation, series: &Series) -> bool {
        self.operation == operation && self.series == *series
    }
}

/// The highest of them, of one series.
pub fn highest(spent: &[Spent], operation: Operation, series: &Series) -> u32 {
    let of_series = spent.iter().filter(|spent| spent.is_of(operation, series));
    of_series.map(|spent| spent.attempt).max().unwrap_or_default()
}

/// What asks for a run: annotations, and a Backup that was waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `db.isotoma.com/retry`.
    pub retry: Option<Wish>,
    /// `db.isotoma.com/reconcile`.
    pub reconcile: Option<Wish>,
    /// The uid of the Backup that is to be loaded, once that is complete.
    pub source: Option<Arc<str>>,
}

impl Wishes {
    /// Whether somebody asks for something here that was not asked for yet in `earlier`.
    pub fn is_new_since(&self, earlier: &Self) -> bool {
        let Self { retry, reconcile, source } = self;
        (retry.is_some() && *retry != earlier.retry)
            || (reconcile.is_some() && *reconcile != earlier.reconcile)
            || (source.is_some() && *source != earlier.source)
    }
}

/// What the attempts of one operation on one subject are counted on, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Attempts<'a> {
    pub operation: Operation,
    /// The Job with the highest attempt that exists.
    pub newest: Option<&'a JobFact>,
    /// The highest attempt that is known to have been launched: its Job may be gone.
    pub spent: u32,
    /// The attempt that last did its work.
    pub done: u32,
    /// What is wished for now.
    pub wishes: &'a Wishes,
    /// The generation now.
    pub generation: i64,
    /// Whether waiting is pointless.
    pub at_once: bool,
}

impl Attempts<'_> {
    /// The next attempt, or what stands before it. All of it is read off the Jobs that exist.
    pub fn next(&self) -> Result<Launch, Decision> {
        let launch = |after_lost_work| {
            let before = self.newest.map_or(0, |newest| newest.attempt).max(self.spent).max(self.done);
            Ok(Launch {
                operation: self.operation,
                request: None,
                source: self.wishes.source.clone(),
                attempt: before.saturating_add(1),
                after_lost_work,
                unasked: false,
            })
        };
        let Some(newest) = self.newest else { return launch(false) };
        let mut lost = false;
        let in_a_row = newest.attempt.saturating_sub(self.done);
        let (age, wait) = match newest.progress {
            JobProgress::Failed { why, age } => match why {
                Failed::Permanent => (age, LONGEST_BACKOFF),
                // Nobody's fault, so the first one costs no wait; a node that evicts every pod does.
                Failed::Disrupted if in_a_row <= 1 => (age, Duration::ZERO),
                Failed::Disrupted => (age, backoff(in_a_row - 1)),
                Failed::Error | Failed::Killed | Failed::Deadline => (age, backoff(in_a_row)),
            },
            JobProgress::Complete { age } => {
                lost = !newest.recorded;
                (age, backoff(in_a_row))
            }
            // A new one would not begin either.
            JobProgress::Active { .. } if never_began(newest) && !newest.outdated && !newest.recorded => {
                return Err(await_job(newest));
            }
            JobProgress::Active { .. } if !newest.recorded => (Duration::ZERO, Duration::ZERO),
            // Its work is recorded, and Kubernetes does not know yet.
            JobProgress::Active { .. } | JobProgress::Suspended => (Duration::ZERO, backoff(in_a_row)),
        };
        let asked_again =
            self.at_once || self.wishes.is_new_since(&newest.wishes) || newest.generation != self.generation;
        match wait.checked_sub(age) {
            None | Some(Duration::ZERO) => launch(lost),
            Some(_) if asked_again => launch(lost),
            Some(left) => {
                let permanent = matches!(newest.progress, JobProgress::Failed { why: Failed::Permanent, .. });
                Err(Decision::Wait(Wait::Backoff { operation: self.operation, left, permanent }))
            }
        }
    }
}

/// The wait after that many attempts in a row.
pub fn backoff(attempts: u32) -> Duration {
    doubled(FIRST_BACKOFF, attempts, LONGEST_BACKOFF)
}

/// Whether a Job has no container that runs, and never had one.
pub fn never_began(job: &JobFact) -> bool {
    matches!(job.progress, JobProgress::Active { pods: Pods::None | Pods::Starting, .. })
}

/// Whether a Job is active, and still a reason for others to wait.
///
/// One that never began stops being one: soon if its Driver has changed since, for the next one may begin, and after
/// a while in any case. Should it begin all the same, the lock in the server keeps it from the one after it.
pub fn is_awaited(job: &JobFact) -> bool {
    let patience = if job.outdated { NOT_RUNNING_AFTER } else { GIVEN_UP_AFTER };
    match job.progress {
        JobProgress::Active { age, .. } => age < patience || !never_began(job),
        JobProgress::Suspended => true,
        JobProgress::Failed { .. } | JobProgress::Complete { .. } => false,
    }
}

/// What to do while `job` is active.
pub fn await_job(job: &JobFact) -> Decision {
    let (age, limit, stuck) = match job.progress {
        JobProgress::Active { age, pods: Pods::None } => {
            (age, NO_POD_AFTER, Stuck::NoPod { job: Arc::clone(&job.name) })
        }
        JobProgress::Active { age, pods: Pods::Starting } => (
            age,
            NOT_RUNNING_AFTER,
            Stuck::NotRunning { job: Arc::clone(&job.name), image: Arc::clone(&job.image) },
        ),
        JobProgress::Suspended => return Decision::Wait(Wait::Suspended { job: Arc::clone(&job.name) }),
        JobProgress::Active { pods: Pods::Ran, .. }
        | JobProgress::Failed { .. }
        | JobProgress::Complete { .. } => {
            return Decision::Wait(Wait::Job { look_in: None });
        }
    };
    match limit.checked_sub(age) {
        None | Some(Duration::ZERO) => Decision::Stuck(stuck),
        look_in @ Some(_) => Decision::Wait(Wait::Job { look_in }),
    }
}
