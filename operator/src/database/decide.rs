//! Facts → decision: what the operator does about a Database, all of it.
//!
//! [`needed`] says which operation a Database needs, whatever Jobs exist. [`decide`] lays over it what the Jobs
//! say. The phase is the truth and Jobs are evidence. `operator/tests/table.txt` is the whole table.

use std::time::Duration;

use api::lifecycle::{Intent, Needed, is_past, needed};
use api::{DatabasePhase, Operation};

use super::facts::Facts;
use crate::attempts::{Attempts, JobFact, JobProgress, await_job, highest, is_awaited, never_began};
use crate::decision::{Decision, Launch, Request, Settled, Stuck, Wait};

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
    // One Job at a time. Where a namespace ends, no pod begins any more.
    let may_run = |job: &&JobFact| !(facts.terminating && never_began(job));
    if let Some(active) = facts.jobs.iter().filter(may_run).find(|job| is_in_the_way(job, facts.phase)) {
        return await_job(active);
    }
    if facts.terminating && facts.intent == Intent::Keep {
        return Decision::Wait(Wait::Namespace);
    }
    // No Job can start in a namespace that is terminating, so it is let go from ours.
    let operation = if facts.terminating { Operation::Release } else { operation };
    let first = facts.request.as_ref().filter(|request| request.operation == operation);
    let attempt = next_attempt(facts, operation, first).or_else(|wait| {
        if facts.phase == Some(DatabasePhase::Created) { another(facts, wait) } else { Err(wait) }
    });
    match attempt {
        Err(decision) => decision,
        Ok(launch) if facts.registered || launch.operation.row().in_operator_namespace => {
            let unasked = launch.operation == Operation::Create && is_due_unasked(facts);
            Decision::Launch(Launch { unasked, ..launch })
        }
        Ok(_) => Decision::Stuck(Stuck::UnknownDriver),
    }
}

fn needed_by(facts: &Facts) -> Needed {
    let Facts { phase, intent, current, guarded, was_created, .. } = facts;
    let requested = facts.request.as_ref().map(|request| request.operation);
    // What a person asks for comes before what nobody does.
    let current = *current && (requested.is_some() || !is_due_unasked(facts));
    needed(*phase, *intent, current, *guarded, *was_created, requested)
}

/// Whether it is time to verify a Database that is as it should be.
fn is_due_unasked(facts: &Facts) -> bool {
    facts.current && facts.verify_in == Some(Duration::ZERO)
}

/// What else can be done while something waits for its next attempt: neither a repair that fails nor a request that
/// fails holds up the others.
fn another(facts: &Facts, wait: Decision) -> Result<Launch, Decision> {
    let mut soonest = wait;
    if facts.intent != Intent::Keep || facts.terminating {
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
fn sooner(one: Decision, other: Decision) -> Decision {
    let left = |decision: &Decision| match decision {
        Decision::Wait(Wait::Backoff { left, .. }) => *left,
        Decision::Launch(_) | Decision::Wait(_) | Decision::Settled(_) | Decision::Stuck(_) => Duration::MAX,
    };
    if left(&other) < left(&one) { other } else { one }
}

/// Whether a Job is a reason to wait: it is active, and the status does not say that its work is done.
pub fn is_in_the_way(job: &JobFact, phase: Option<DatabasePhase>) -> bool {
    is_awaited(job) && !job.recorded && !is_past(job.operation, phase)
}

/// The next attempt of `operation`, or what stands before it.
fn next_attempt(facts: &Facts, operation: Operation, request: Option<&Request>) -> Result<Launch, Decision> {
    let series = facts.series(request);
    // The last one that did its work: the Job itself may be gone, its name is recorded.
    let done = facts.completed.as_ref().filter(|name| name.operation == operation && name.series == series);
    let done = done.map_or(0, |name| name.attempt);
    let is_about_the_same = |job: &&JobFact| match request {
        Some(request) => job.request.as_deref() == Some(&*request.uid),
        None => job.generation == facts.generation,
    };
    let newest = facts
        .jobs
        .iter()
        .filter(|job| job.operation == operation)
        .filter(is_about_the_same)
        .max_by_key(|job| job.attempt)
        .filter(|job| job.attempt >= done);
    let attempts = Attempts {
        operation,
        newest,
        spent: highest(&facts.spent, operation, &series),
        done,
        wishes: &facts.wishes_for(request),
        generation: facts.generation,
        at_once: newest.is_some_and(|newest| is_saved_since(facts, operation, newest)),
    };
    let launch = attempts.next()?;
    let after_lost_work = launch.after_lost_work && !was_set_back(facts, operation);
    Ok(Launch { request: request.cloned(), after_lost_work, ..launch })
}

/// Whether a delete run has asked for another final backup, because the one that was made got lost.
fn was_set_back(facts: &Facts, operation: Operation) -> bool {
    operation == Operation::BackupBeforeDelete
        && facts.jobs.iter().any(|job| job.operation == Operation::Delete)
}

/// Whether a final backup was completed after a delete run failed, which may have been for want of one.
fn is_saved_since(facts: &Facts, operation: Operation, newest: &JobFact) -> bool {
    let JobProgress::Failed { age: failed, .. } = newest.progress else { return false };
    operation == Operation::Delete
        && facts.jobs.iter().any(|job| {
            job.operation == Operation::BackupBeforeDelete
                && matches!(job.progress, JobProgress::Complete { age } if age < failed)
        })
}

#[cfg(test)]
mod tests;
