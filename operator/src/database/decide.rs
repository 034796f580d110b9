//! Facts → decision: what the operator does, all of it.
//!
//! [`needed`] says which operation a Database needs, whatever Jobs exist. [`decide`] lays over it what the Jobs
//! say. The phase is the truth and Jobs are evidence. `operator/tests/table.txt` is the whole table.

use std::time::Duration;

use api::DatabasePhase;
use api::Operation;
use api::lifecycle::{Intent, Needed, is_past, needed};

use crate::database::facts::{Facts, JobFact, Progress, Registered, Request, Wishes};
use crate::job::build::Subject;
use crate::seen::jobs::Pods;

/// The wait before the second attempt. It doubles with each further one.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(30);

/// The longest wait between two attempts.
pub const LONGEST_BACKOFF: Duration = Duration::from_mins(30);

/// How long a Job may be without a pod before we say so.
pub const NO_POD_AFTER: Duration = Duration::from_secs(10);

/// How long a Job's first pod may be without a running container before we say so.
pub const NOT_RUNNING_AFTER: Duration = Duration::from_secs(15);

/// How long a Job may be without a running container before the next attempt is made beside it. Its own deadline
/// may be a day, and an image that is corrected is not its image.
pub const GIVEN_UP_AFTER: Duration = Duration::from_mins(10);

/// What to do about a Database.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Launch a Job.
    Launch(Launch),
    /// Wait for something that comes by itself.
    Wait(Wait),
    /// Nothing is to be done.
    Settled(Settled),
    /// It does not go on until somebody does something.
    Stuck(Stuck),
}

/// A Job to be launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What it does.
    pub operation: Operation,
    /// The Backup or Restore that it works on, where it works on one.
    pub request: Option<Request>,
    /// The uid of the Backup that is to be loaded, if that is complete.
    pub source: Option<String>,
    /// Counts the Jobs of one operation on one generation, or on one Backup or Restore.
    pub attempt: u32,
    /// The Job before it ended well, and yet the phase did not move: a driver has broken its contract.
    pub after_lost_work: bool,
}

impl Launch {
    /// The first attempt to let an object go.
    pub const RELEASE: Self = Self {
        operation: Operation::Release,
        request: None,
        source: None,
        attempt: 1,
        after_lost_work: false,
    };
}

/// What a Database waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A Job is at work.
    Job {
        /// When to look whether it has started, if it has not.
        look_in: Option<Duration>,
    },
    /// A Job is suspended, by Kueue or by a person.
    Suspended,
    /// The last attempt failed, and the next one is not due yet.
    Backoff {
        /// The operation.
        operation: Operation,
        /// When it is due.
        left: Duration,
        /// Whether the driver said that repeating cannot help.
        permanent: bool,
    },
    /// As many Jobs run as may.
    Slot,
}

/// Why nothing is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is what its spec asks for.
    Current {
        /// When it is to be verified again.
        verify_in: Option<Duration>,
    },
    /// It is being deleted, and nothing of it is on a server.
    NothingLeft,
}

/// Why it does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// The phase says that it is being deleted, and nobody deletes it.
    Contradiction,
    /// No `Driver` of that name is registered.
    UnknownDriver {
        /// Whether to ask the API server if the namespace is terminating: another Driver can then let it go.
        probe: bool,
    },
    /// The Job has no pod: a quota, an admission policy, or a service account that is missing.
    NoPod {
        /// The Job.
        job: String,
    },
    /// The Job's pod does not run: its image cannot be pulled, or no node takes it.
    NotRunning {
        /// The Job.
        job: String,
        /// The image.
        image: String,
    },
}

/// What to do about a Database. The first rule that matches holds.
pub fn decide(facts: &Facts) -> Decision {
    let operation = match needed_by(facts) {
        Needed::Nothing if facts.intent == Intent::Keep => {
            return Decision::Settled(Settled::Current { verify_in: facts.verify_in });
        }
        Needed::Nothing => return Decision::Settled(Settled::NothingLeft),
        Needed::Contradiction => return Decision::Stuck(Stuck::Contradiction),
        Needed::Run(operation) => operation,
    };
    // One Job at a time.
    if let Some(active) = facts.jobs.iter().find(|job| is_in_the_way(job, facts.phase)) {
        return await_job(active);
    }
    // A namespace that is terminating stays so: what was released before goes on being released.
    let operation = if facts.released_by().is_some() { Operation::Release } else { operation };
    let first = facts.request.as_ref().filter(|request| request.operation == operation);
    let attempt = next_attempt(facts, operation, first).or_else(|wait| {
        if facts.phase == Some(DatabasePhase::Created) { another(facts, wait) } else { Err(wait) }
    });
    match attempt {
        Err(wait) => Decision::Wait(wait),
        Ok(launch) => match facts.driver {
            Registered::Named => Decision::Launch(launch),
            // To let go takes no engine.
            Registered::Others if launch.operation == Operation::Release => Decision::Launch(launch),
            Registered::Others => {
                Decision::Stuck(Stuck::UnknownDriver { probe: facts.intent != Intent::Keep })
            }
            Registered::None => Decision::Stuck(Stuck::UnknownDriver { probe: false }),
        },
    }
}

fn needed_by(facts: &Facts) -> Needed {
    let Facts { phase, intent, current, guarded, was_created, .. } = facts;
    let requested = facts.request.as_ref().map(|request| request.operation);
    needed(*phase, *intent, *current, *guarded, *was_created, requested)
}

/// What else can be done while something waits for its next attempt: neither a repair that fails nor a request that
/// fails holds up the others.
fn another(facts: &Facts, wait: Wait) -> Result<Launch, Wait> {
    let mut soonest = wait;
    if facts.intent != Intent::Keep {
        return Err(soonest);
    }
    for request in facts.request.iter().chain(&facts.waiting) {
        match next_attempt(facts, request.operation, Some(request)) {
            Ok(launch) => return Ok(launch),
            Err(wait) => soonest = sooner(soonest, wait),
        }
    }
    Err(soonest)
}

/// Whichever of two waits ends first.
fn sooner(one: Wait, other: Wait) -> Wait {
    match (&one, &other) {
        (Wait::Backoff { left, .. }, Wait::Backoff { left: other_left, .. }) if other_left < left => other,
        _ => one,
    }
}

/// Whether a Job is a reason to wait: it is active, and the status does not say that its work is done.
pub(crate) fn is_in_the_way(job: &JobFact, phase: Option<DatabasePhase>) -> bool {
    let active = match job.progress {
        Progress::Active { .. } => given_up_for(job).is_none(),
        Progress::Suspended => true,
        Progress::Failed { .. } | Progress::Complete { .. } => false,
    };
    active && !job.recorded && !is_past(job.operation, phase)
}

/// Since when an active Job counts as failed because it has never begun. Should it begin all the same, the lock in the
/// server keeps it from the one after it.
fn given_up_for(job: &JobFact) -> Option<Duration> {
    match job.progress {
        Progress::Active { age, pods: Pods::None | Pods::Starting } => age.checked_sub(GIVEN_UP_AFTER),
        Progress::Active { pods: Pods::Ran, .. }
        | Progress::Suspended
        | Progress::Failed { .. }
        | Progress::Complete { .. } => None,
    }
}

pub(crate) fn await_job(job: &JobFact) -> Decision {
    let (age, limit, stuck) = match job.progress {
        Progress::Active { age, pods: Pods::None } => {
            (age, NO_POD_AFTER, Stuck::NoPod { job: job.name.clone() })
        }
        Progress::Active { age, pods: Pods::Starting } => {
            (age, NOT_RUNNING_AFTER, Stuck::NotRunning { job: job.name.clone(), image: job.image.clone() })
        }
        Progress::Suspended => return Decision::Wait(Wait::Suspended),
        Progress::Active { pods: Pods::Ran, .. } | Progress::Failed { .. } | Progress::Complete { .. } => {
            return Decision::Wait(Wait::Job { look_in: None });
        }
    };
    match limit.checked_sub(age) {
        None | Some(Duration::ZERO) => Decision::Stuck(stuck),
        look_in @ Some(_) => Decision::Wait(Wait::Job { look_in }),
    }
}

/// The next attempt of `operation`, or what it waits for. All of it is read off the Jobs that exist.
fn next_attempt(facts: &Facts, operation: Operation, request: Option<&Request>) -> Result<Launch, Wait> {
    // The last one that did its work: the Job itself may be gone, its name is recorded.
    let done = facts
        .completed
        .as_ref()
        .filter(|name| name.operation == operation && name.subject == Subject::Generation(facts.generation))
        .map_or(0, |name| name.attempt);
    let is_about_the_same = |job: &&JobFact| match request {
        Some(request) => job.request.as_deref() == Some(request.uid.as_str()),
        None => job.generation == facts.generation,
    };
    let newest = facts
        .jobs
        .iter()
        .filter(|job| job.operation == operation)
        .filter(is_about_the_same)
        .max_by_key(|job| job.attempt)
        .filter(|job| job.attempt >= done);
    let wishes = facts.wishes_for(request);
    let at_once = newest.is_some_and(|newest| is_saved_since(facts, operation, newest));
    let launch = attempt_after(newest, done, operation, &wishes, facts.generation, at_once)?;
    let after_lost_work = launch.after_lost_work && !was_set_back(facts, operation);
    Ok(Launch { request: request.cloned(), after_lost_work, ..launch })
}

/// The attempt of `operation` that comes after `newest`, or what it waits for. The work of attempt `done` was done;
/// `at_once` says that waiting is pointless.
pub(crate) fn attempt_after(
    newest: Option<&JobFact>,
    done: u32,
    operation: Operation,
    wishes: &Wishes,
    generation: i64,
    at_once: bool,
) -> Result<Launch, Wait> {
    let launch = |before: u32, after_lost_work| {
        Ok(Launch {
            operation,
            request: None,
            source: wishes.source.clone(),
            attempt: before.saturating_add(1),
            after_lost_work,
        })
    };
    let Some(newest) = newest else { return launch(done, false) };
    let (age, permanent, lost) = match newest.progress {
        Progress::Failed { permanent, age } => (age, permanent, false),
        Progress::Complete { age } => (age, false, !newest.recorded),
        // It never began; or its work is recorded, and Kubernetes does not know yet.
        Progress::Active { .. } | Progress::Suspended => {
            (given_up_for(newest).unwrap_or_default(), false, false)
        }
    };
    let wait = if permanent { LONGEST_BACKOFF } else { backoff(newest.attempt - done) };
    let asked_again = at_once || wishes.is_new_since(&newest.wishes) || newest.generation != generation;
    match wait.checked_sub(age) {
        None | Some(Duration::ZERO) => launch(newest.attempt, lost),
        Some(_) if asked_again => launch(newest.attempt, lost),
        Some(left) => Err(Wait::Backoff { operation, left, permanent }),
    }
}

/// Whether a delete run has asked for another final backup, because the one that was made got lost.
fn was_set_back(facts: &Facts, operation: Operation) -> bool {
    operation == Operation::BackupBeforeDelete
        && facts.jobs.iter().any(|job| job.operation == Operation::Delete)
}

/// Whether a final backup was completed after a delete run failed, which may have been for want of one.
fn is_saved_since(facts: &Facts, operation: Operation, newest: &JobFact) -> bool {
    let Progress::Failed { age: failed, .. } = newest.progress else { return false };
    operation == Operation::Delete
        && facts.jobs.iter().any(|job| {
            job.operation == Operation::BackupBeforeDelete
                && matches!(job.progress, Progress::Complete { age } if age < failed)
        })
}

/// The wait after that many attempts in a row.
pub fn backoff(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests;
