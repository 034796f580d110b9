//! What each effect of a run changes.

use api::Operation;

use crate::choice::is_locked;
use crate::promises;
use crate::protocol::{Effect, Kind};
use crate::record::{self, End, is_ours, kind_of, load, run_of, say, write, written};
use crate::state::{Folder, Holds, OnServer, Run, Session, State, Stored};

/// How a run goes on after an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goes {
    /// Whether anybody else can see what it did, or its next effect depends on what others do meanwhile.
    On {
        seen: bool,
    },
    /// Another run holds the lock.
    Waits,
    Ends(End),
}

const ON: Goes = Goes::On { seen: true };
const UNSEEN: Goes = Goes::On { seen: false };

/// Makes one effect of the run of that Job.
pub(crate) fn apply(state: &mut State, index: usize, effect: Effect) -> Goes {
    let job = *state.jobs.get(index).unwrap();
    let run = *job.run().unwrap();
    if needs_session(effect) && run.session == Session::Lost {
        return Goes::Ends(End::Failed);
    }
    let done = match effect {
        Effect::Read(Kind::Database) => load(state, index),
        Effect::Read(Kind::Secret) | Effect::Make(_) | Effect::Look => return UNSEEN,
        Effect::Read(kind) => return read_request(state, index, kind),
        Effect::Guard(kind) => guard(state, index, kind),
        Effect::Free(kind) => {
            free(state, index, kind);
            Ok(())
        }
        Effect::WriteDatabase(phase, says) => write(state, index, phase, says),
        Effect::WriteRequest(kind, progress) => {
            if !is_of_its_request(state, index, kind) {
                // The record of a final backup.
                return UNSEEN;
            }
            say(state, index, progress)
        }
        Effect::WriteSecret => {
            // All that differs is repaired before it.
            if is_ours(state, index) {
                state.server = state.server.map(|server| OnServer { locked_out: false, ..server });
                uncover(state);
                state.handed_out = Some(job.name.uid);
            }
            Ok(())
        }
        Effect::Connect => {
            if is_locked(state, index) {
                return Goes::Waits;
            }
            run_of(state, index).session = Session::Holds;
            Ok(())
        }
        Effect::Leave => {
            run_of(state, index).session = Session::None;
            Ok(())
        }
        Effect::LockOut => {
            state.server = state.server.map(|server| OnServer { locked_out: true, ..server });
            Ok(())
        }
        Effect::MakeDatabase => {
            let whole = state.server.is_none_or(|server| server.whole) && !loads(&run);
            promises::is_made(state, &job, &run);
            state.server = Some(OnServer { mark: job.name.uid, whole, locked_out: false });
            uncover(state);
            Ok(())
        }
        Effect::Drop => {
            if is_ours(state, index) {
                promises::is_dropped(state, &job, &run);
                state.server = None;
            }
            Ok(())
        }
        Effect::Dump => {
            promises::is_dumped(state, &job);
            let all = state.server.is_some_and(|server| server.locked_out && server.whole);
            run_of(state, index).dumped_all = all;
            Ok(())
        }
        Effect::Load => {
            state.server = state.server.map(|server| OnServer { whole: true, ..server });
            Ok(())
        }
        Effect::FirstByte | Effect::Manifest | Effect::ReadStored | Effect::DeleteStored => {
            return store(state, index, effect);
        }
    };
    match done {
        Err(end) => Goes::Ends(end),
        Ok(()) => ON,
    }
}

/// Whether the server is asked, or the run looks whether its session is there still.
fn needs_session(effect: Effect) -> bool {
    matches!(
        effect,
        Effect::LockOut
            | Effect::MakeDatabase
            | Effect::Drop
            | Effect::Dump
            | Effect::Load
            | Effect::WriteSecret
            | Effect::ReadStored
    )
}

/// Whether a run makes the database to load a backup into it.
fn loads(run: &Run) -> bool {
    let rest = (run.at..).map_while(|at| crate::protocol::effect(run.path, at));
    rest.into_iter().any(|effect| effect == Effect::Load)
}

/// The login works: there may be rows that no backup has.
fn uncover(state: &mut State) {
    for folder in &mut state.folders {
        if let Holds::Backup { covers } = &mut folder.holds {
            *covers = false;
        }
    }
    for job in &mut state.jobs {
        if let crate::state::Stage::Running(run) = &mut job.stage {
            run.dumped_all = false;
        }
    }
}

/// Whether an effect on a Backup or Restore is one on what the run is for.
fn is_of_its_request(state: &State, index: usize, kind: Kind) -> bool {
    let job = state.jobs.get(index).unwrap();
    job.request.is_some() && kind_of(job.name) == kind
}

/// Looks whether what the run is for is asked for still. Which path it takes if it is not is decided when it first does.
fn read_request(state: &State, index: usize, kind: Kind) -> Goes {
    let job = state.jobs.get(index).unwrap();
    let at = job.run().unwrap().at;
    if !is_of_its_request(state, index, kind) {
        return UNSEEN;
    }
    let is_let_go = matches!(job.name.operation, Operation::DeleteBackup | Operation::Release);
    let mut all = state.requests.iter();
    let found = all.any(|request| Some(request.uid) == job.request && request.deleted == is_let_go);
    match (found, at) {
        (false, 0) => Goes::Ends(End::Done),
        (false, at) if at > 1 => Goes::Ends(End::Superseded),
        (true | false, _) => ON,
    }
}

fn guard(state: &mut State, index: usize, kind: Kind) -> Result<(), End> {
    let job = *state.jobs.get(index).unwrap();
    if kind == Kind::Backup {
        let request = state.requests.iter_mut().find(|request| Some(request.uid) == job.request);
        // The API server takes no finalizer on an object that is being deleted.
        let request = request.filter(|request| !request.deleted || request.guarded);
        request.ok_or(End::Superseded)?.guarded = true;
        return Ok(());
    }
    let before = record::reload(state, index)?;
    if before.guarded {
        return Ok(());
    }
    if before.deleted {
        return Err(End::Failed);
    }
    state.object = Some(crate::state::Object { guarded: true, ..before });
    written(state, Some(before), Some(index));
    Ok(())
}

fn free(state: &mut State, index: usize, kind: Kind) {
    let job = *state.jobs.get(index).unwrap();
    if kind == Kind::Backup {
        state.requests.retain(|request| Some(request.uid) != job.request);
        return;
    }
    if let Some(object) = state.object.filter(|object| object.uid == job.name.uid && object.guarded) {
        promises::is_let_go(state, &job);
        let before = Some(object);
        state.object = None;
        state.handed_out = None;
        written(state, before, Some(index));
    }
}

fn store(state: &mut State, index: usize, effect: Effect) -> Goes {
    let job = *state.jobs.get(index).unwrap();
    let run = *job.run().unwrap();
    if job.name.operation == Operation::BackupBeforeDelete {
        return final_backup(state, &run, effect);
    }
    let request = state.requests.iter_mut().find(|request| Some(request.uid) == job.request);
    let Some(request) = request.filter(|request| request.operation == Operation::Backup) else {
        return UNSEEN;
    };
    if effect == Effect::FirstByte && request.stored == Stored::Nothing {
        request.stored = Stored::Parts;
    } else if effect == Effect::Manifest {
        request.stored = Stored::Manifest;
    } else if effect == Effect::DeleteStored {
        request.stored = Stored::Nothing;
    }
    ON
}

#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is about what is stored")]
fn final_backup(state: &mut State, run: &Run, effect: Effect) -> Goes {
    let announced = record::known(state, run).and_then(|read| read.announced);
    let folder =
        |state: &State, attempt| state.folders.iter().position(|folder| Some(folder.attempt) == attempt);
    match effect {
        Effect::DeleteStored => {
            let left = announced.map(|(attempt, _)| attempt);
            state.folders.retain(|folder| Some(folder.attempt) != left);
        }
        Effect::FirstByte => {
            let attempt = run.attempt.unwrap();
            if folder(state, Some(attempt)).is_none() {
                state.folders.push(Folder { attempt, holds: Holds::Parts });
            }
        }
        Effect::Manifest => {
            let at = folder(state, run.attempt);
            let Some(folder) = at.and_then(|at| state.folders.get_mut(at)) else {
                return Goes::Ends(End::Failed);
            };
            // It is written only if there is none.
            if folder.holds != Holds::Parts {
                return Goes::Ends(End::Failed);
            }
            folder.holds = Holds::Backup { covers: run.dumped_all };
        }
        Effect::ReadStored => {
            let at = folder(state, run.attempt);
            let read = at.and_then(|at| state.folders.get(at)).map(|folder| folder.holds);
            if !matches!(read, Some(Holds::Backup { .. })) {
                return Goes::Ends(End::Failed);
            }
        }
        _ => {}
    }
    ON
}
