//! Facts → decision: what the operator does about a Backup that is being deleted, all of it.

use api::Operation;

use super::facts::Facts;
use crate::attempts::{Attempts, JobFact, await_job, highest, is_awaited, never_began};
use crate::decision::{Decision, Settled, Stuck};
use crate::job_name::Series;

/// What to do about a Backup that is being deleted. The first rule that matches holds.
pub fn decide(facts: &Facts) -> Decision {
    if !facts.guarded {
        return Decision::Settled(Settled::NothingLeft);
    }
    // One Job at a time, and none beside one that writes or loads it. Where a namespace ends, no pod begins any more.
    let may_run = |job: &&JobFact| !(facts.terminating && never_began(job));
    let mut at_work = facts.jobs.iter().filter(may_run).filter(|job| is_awaited(job) && !job.recorded);
    if let Some(active) = at_work.next() {
        return await_job(active);
    }
    let operation = if facts.terminating { Operation::Release } else { Operation::DeleteBackup };
    let of_series =
        facts.jobs.iter().filter(|job| job.operation == operation && job.generation == facts.generation);
    let series = Series::Generation(facts.generation);
    let attempts = Attempts {
        operation,
        newest: of_series.max_by_key(|job| job.attempt),
        spent: highest(&facts.spent, operation, &series),
        done: 0,
        wishes: &facts.wishes,
        generation: facts.generation,
        at_once: false,
    };
    match attempts.next() {
        Err(decision) => decision,
        // It takes no engine, so another Driver's image can do it.
        Ok(launch) if facts.registered || launch.operation.row().in_operator_namespace => {
            Decision::Launch(launch)
        }
        Ok(_) => Decision::Stuck(Stuck::UnknownDriver),
    }
}

#[cfg(test)]
mod tests;
