//! Where it may end, if nothing fails and nobody does anything any more: at the goal, or where a person is waited for, for
//! a reason that is written down.

use api::lifecycle::{Intent, begun};
use api::permission::restore_is_begun;
use api::{DatabasePhase as P, Operation};

use crate::choice::is_saved;
use crate::state::{GONE, Object, Request, Stage, State};

/// What an end is; or how it looks, if it is none that anybody meant.
pub(crate) fn why(state: &State) -> Result<&'static str, String> {
    let is_stuck = state.jobs.iter().any(|job| job.stage == Stage::Stuck);
    if is_stuck {
        return Ok("a pod does not begin: an Event says so");
    }
    if state.jobs.iter().any(crate::state::Job::is_active) {
        return Err(brief(state));
    }
    let Some(object) = state.object else {
        let left = state.requests.iter().any(|request| request.deleted);
        return if left { Err(brief(state)) } else { Ok("the Database is gone") };
    };
    let is_asked = state.requests.iter().any(|request| request.is_wanted() || request.deleted);
    let is_at_rest = !object.deleted && object.phase == Some(P::Created) && object.ready && !is_asked;
    if is_at_rest {
        return Ok("the Database is Created and ready, and nothing is asked for");
    }
    person(state, &object).map(|(why, _)| why).ok_or_else(|| brief(state))
}

/// Why a person has to do something first, and what cannot be done before.
fn person(state: &State, object: &Object) -> Option<(&'static str, Operation)> {
    let is_ours = state.server.is_some_and(|server| server.mark == object.uid);
    let may_hold_rows = object.was_created || state.handed_out == Some(object.uid);
    let intent = object.intent();
    if state.server.is_some_and(|server| server.mark != object.uid) && intent == Intent::Keep {
        return Some(("NameTaken: another's database has its name", Operation::Create));
    }
    let is_due = match object.phase {
        Some(P::BackupBeforeDeleteCompleted) => !is_ours,
        Some(P::DeletionRequested | P::DeletionInProgress | P::Deleted) => true,
        _ => false,
    };
    let lacks_one = intent == Intent::BackupThenDelete && may_hold_rows && !is_saved(state, object.announced);
    if is_due && lacks_one {
        return Some((
            "BackupMissing: the final backup is gone, and the drop was claimed",
            Operation::Delete,
        ));
    }
    if is_abandoned(state) && matches!(intent, Intent::Keep | Intent::BackupThenDelete) {
        return Some(("BackupMissing: half loaded, and the Restore is gone", Operation::Restore));
    }
    None
}

/// Whether the request that an object is claimed for is gone, so that only another one can go on.
fn is_abandoned(state: &State) -> bool {
    let Some(object) = state.object else { return false };
    let operation = begun(object.phase);
    let is_of = |request: &Request| Some(request.operation) == operation && request.uid != GONE;
    operation == Some(Operation::Restore)
        && restore_is_begun(object.phase)
        && !state.requests.iter().any(|request| is_of(request) && !request.deleted)
}

/// Whether that step is no more than a launch of what cannot be done before a person does something. It is tried again
/// and again, which is meant.
pub(crate) fn is_futile(before: &State, after: &State) -> bool {
    let Some(object) = before.object else { return false };
    let Some((_, operation)) = person(before, &object) else { return false };
    let of = |state: &State| {
        state.jobs.iter().filter(|job| job.is_active() && job.name.operation == operation).count()
    };
    of(after) > of(before)
}

/// A state in a line.
pub(crate) fn brief(state: &State) -> String {
    let database = state.object.map(|object| {
        format!(
            "u{}/{} {:?}{}{}{}{} says {:?} recorded {:?} claim {:?} announced {:?}",
            object.uid,
            object.generation,
            object.phase,
            if object.guarded { " guarded" } else { "" },
            if object.was_created { " was-created" } else { "" },
            if object.ready { " ready" } else { "" },
            if object.deleted { " DELETED" } else { "" },
            object.word,
            object.recorded,
            object.claim.map(crate::view::text),
            object.announced,
        )
    });
    let jobs = state.jobs.iter().map(|job| {
        let at = match &job.stage {
            Stage::Running(run) => {
                let case = crate::protocol::PATHS.get(usize::from(run.path)).unwrap().case;
                let next = crate::protocol::effect(run.path, run.at);
                let old = if run.stale.is_some() { " stale" } else { "" };
                format!("{case} next {next:?} {:?}{old}", run.session)
            }
            other @ (Stage::Stuck | Stage::Over | Stage::Failed { .. } | Stage::Complete) => {
                format!("{other:?}")
            }
        };
        format!("[{} {at}]", crate::view::text(job.name))
    });
    let jobs: Vec<_> = jobs.collect();
    format!(
        "{} | {} | server {:?} handed out {:?} folders {:?} requests {:?} late {} ending {}",
        database.unwrap_or_else(|| "gone".to_owned()),
        jobs.join(" "),
        state.server,
        state.handed_out,
        state.folders,
        state.requests,
        state.late.len(),
        state.terminating,
    )
}
