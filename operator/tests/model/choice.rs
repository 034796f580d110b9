//! Which path of the protocol a run takes, where that is decided.

use api::lifecycle::Intent;
use api::permission::restore_is_begun;
use api::{DatabasePhase as P, Operation};

use crate::protocol::{Effect, Progress, effect, path, position};
use crate::record::{End, is_ours, known};
use crate::state::{Holds, Read, Request, Run, Session, State};

/// Where a run goes on after it has done what it came to, if not on the path that it is on; or how it ends.
pub(crate) fn choose(state: &State, index: usize) -> Result<Option<(&'static str, u8)>, End> {
    let job = state.jobs.get(index).unwrap();
    let run = job.run().unwrap();
    let Some(read) = known(state, run) else { return Ok(None) };
    let before = run.at.checked_sub(1).and_then(|at| effect(run.path, at));
    let steps_back = run.path == path(Operation::Restore, "withdrawn");
    let has_connected = before == Some(Effect::Connect) && !steps_back;
    let here = |case| Ok(Some((case, run.at)));
    match job.name.operation {
        Operation::Create if has_connected => create(state, index, &read).map(|case| Some((case, run.at))),
        Operation::Backup if run.at == 2 && !has_connected => match request(state, index) {
            Some(asked) if asked.progress != Some(Progress::Completed) => {
                here(if asked.deletable { "deletable" } else { "" })
            }
            Some(_) | None => here("withdrawn"),
        },
        Operation::Backup if has_connected => is_there(state, index).map(|()| None),
        Operation::BackupBeforeDelete if run.at == 1 => match read.announced {
            _ if !state.object.is_some_and(|object| object.guarded) => Err(End::Done),
            Some((_, true)) if read.phase == Some(P::BackupBeforeDeleteCompleted) => Err(End::Done),
            Some(_) => here("again"),
            None => here(""),
        },
        Operation::BackupBeforeDelete if has_connected => is_there(state, index).map(|()| None),
        Operation::Delete if run.at == 1 => match run.intent {
            _ if !state.object.is_some_and(|object| object.guarded) => Err(End::Done),
            Some(Intent::Retain) => here("retain"),
            Some(_) | None => Ok(None),
        },
        Operation::Delete if has_connected => delete(state, index, &read).map(|case| Some((case, run.at))),
        Operation::Restore if run.at == 1 && read.phase == Some(P::RestoreCompleted) => here("loaded"),
        Operation::Restore if run.at == 2 && !has_connected && !steps_back => restore(state, index, &read),
        // What an earlier run was loading may be gone, unless all of it is loaded. The run goes by what it has read of its
        // Restore: on another path it was complete then.
        Operation::Restore if has_connected => {
            let is_loaded = run.path == path(Operation::Restore, "loaded");
            if restore_is_begun(read.phase) && !is_loaded {
                Ok(None)
            } else {
                is_there(state, index).map(|()| None)
            }
        }
        Operation::DeleteBackup if run.at == 1 => {
            let asked = request(state, index);
            here(if asked.is_some_and(|asked| asked.deletable) { "" } else { "retain" })
        }
        Operation::Create
        | Operation::Backup
        | Operation::BackupBeforeDelete
        | Operation::Restore
        | Operation::Rotate
        | Operation::Delete
        | Operation::DeleteBackup
        | Operation::Release => Ok(None),
    }
}

/// The Backup or Restore that a run is for, if it is asked for still, or let go.
fn request(state: &State, index: usize) -> Option<&Request> {
    let job = state.jobs.get(index).unwrap();
    let is_let_go = job.name.operation == Operation::DeleteBackup;
    let mut all = state.requests.iter();
    all.find(|request| Some(request.uid) == job.request && request.deleted == is_let_go)
}

fn is_there(state: &State, index: usize) -> Result<(), End> {
    if is_ours(state, index) { Ok(()) } else { Err(End::Failed) }
}

fn create(state: &State, index: usize, read: &Read) -> Result<&'static str, End> {
    let uid = state.jobs.get(index).unwrap().name.uid;
    let is_foreign = state.server.is_some_and(|server| server.mark != uid);
    if is_foreign || (read.was_created && !is_ours(state, index)) {
        return Err(End::Failed);
    }
    let is_handed_out = state.handed_out == Some(uid);
    let from_backup = state.object.is_some_and(|object| object.from_backup);
    if read.observed && is_handed_out && state.server.is_some_and(|server| !server.locked_out) {
        return Ok("verify");
    }
    if read.was_created {
        return Ok("repair");
    }
    Ok(if from_backup && !is_handed_out { "from-backup" } else { "" })
}

/// Whether the final backup that is announced is in the store, and the one that was recorded.
pub(crate) fn is_saved(state: &State, announced: Option<(u8, bool)>) -> bool {
    let Some((attempt, true)) = announced else { return false };
    let mut folders = state.folders.iter().filter(|folder| folder.attempt == attempt);
    folders.any(|folder| matches!(folder.holds, Holds::Backup { .. }))
}

fn delete(state: &State, index: usize, read: &Read) -> Result<&'static str, End> {
    let job = state.jobs.get(index).unwrap();
    let may_hold_rows = read.was_created || state.handed_out == Some(job.name.uid);
    if job.run().unwrap().intent != Some(Intent::BackupThenDelete) || !may_hold_rows {
        return Ok("drop");
    }
    if !read.was_created {
        return Ok("handed-out");
    }
    if is_saved(state, read.announced) {
        return Ok("after-final-backup");
    }
    let is_whole = is_ours(state, index) && read.phase == Some(P::BackupBeforeDeleteCompleted);
    if is_whole { Ok("final-backup-lost") } else { Err(End::Failed) }
}

fn restore(state: &State, index: usize, read: &Read) -> Result<Option<(&'static str, u8)>, End> {
    let begun = restore_is_begun(read.phase);
    let at_connect = |case| {
        let at = position(path(Operation::Restore, case), Effect::Connect);
        Ok(Some((case, at)))
    };
    let step_back = || {
        if read.phase == Some(P::RestoreRequested) { at_connect("withdrawn") } else { Err(End::Done) }
    };
    let Some(asked) = request(state, index) else {
        return if begun { Err(End::Failed) } else { step_back() };
    };
    if asked.progress == Some(Progress::Completed) {
        let is_active = read.claim.is_some_and(|claim| claim.operation == Operation::Restore);
        return match (begun, is_active) {
            (false, _) => step_back(),
            (true, true) => at_connect("loaded"),
            (true, false) => Err(End::Superseded),
        };
    }
    let of_backup = state
        .requests
        .iter()
        .any(|other| other.operation == Operation::Backup && other.progress == Some(Progress::Completed));
    let case = match (begun, of_backup) {
        (true, _) => "resumed",
        (false, true) => "overwrite",
        (false, false) => "into-empty",
    };
    Ok(Some((case, 2)))
}

/// Whether another run's session keeps this one from the database.
pub(crate) fn is_locked(state: &State, index: usize) -> bool {
    let holds = |run: &Run| run.session == Session::Holds;
    state.jobs.iter().enumerate().any(|(other, job)| other != index && job.run().is_some_and(holds))
}
