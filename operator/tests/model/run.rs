//! A run: it walks a path of the protocol, one effect a step.

use api::permission::outlives_what_overtook_it;
use api::{DatabasePhase as P, Operation};

use crate::choice::choose;
use crate::effects::{self, Goes};
use crate::promises;
use crate::protocol::{Effect, effect, path, position};
use crate::record::{End, fail, known, run_of, unclaim};
use crate::state::{Run, Session, Stage, State};

/// A run that has done nothing yet.
pub(crate) fn begin(operation: Operation, of_backup: bool) -> Run {
    let case = match operation {
        Operation::Restore => "overwrite",
        Operation::Delete => "drop",
        Operation::Release if of_backup => "backup",
        Operation::Release => "database",
        Operation::Create
        | Operation::Backup
        | Operation::BackupBeforeDelete
        | Operation::Rotate
        | Operation::DeleteBackup => "",
    };
    Run {
        path: path(operation, case),
        at: 0,
        intent: None,
        generation: 0,
        stale: None,
        found: None,
        claimed: false,
        session: Session::None,
        attempt: None,
        dumped_all: false,
        failing: false,
        promised: None,
    }
}

/// The next effect of the Job's run that anybody else can see, or its end. Nothing if it waits for the lock.
pub(crate) fn step(state: &State, index: usize) -> Option<State> {
    let mut next = state.clone();
    loop {
        let run = *next.jobs.get(index)?.run()?;
        let Some(effect) = effect(run.path, run.at) else {
            promises::walked(run.path);
            let end = if run.failing { End::Failed } else { ends(run.path) };
            finish(&mut next, index, end);
            return Some(next);
        };
        match effects::apply(&mut next, index, effect) {
            Goes::Waits => return None,
            Goes::Ends(end) => {
                if !takes_back(&mut next, index, end) {
                    finish(&mut next, index, end);
                }
                return Some(next);
            }
            Goes::On { seen } => {
                run_of(&mut next, index).at += 1;
                let chosen = choose(&next, index);
                match chosen {
                    Ok(Some((case, at))) => {
                        let operation = next.jobs.get(index)?.name.operation;
                        let to = path(operation, case);
                        let run = run_of(&mut next, index);
                        (run.path, run.at) = (to, at);
                    }
                    Ok(None) => {}
                    Err(end) => {
                        if !takes_back(&mut next, index, end) {
                            finish(&mut next, index, end);
                        }
                        return Some(next);
                    }
                }
                if seen {
                    return Some(next);
                }
            }
        }
    }
}

/// How a path ends: some end because another operation is due.
fn ends(of: u8) -> End {
    let overtaken = ["final-backup-lost", "handed-out"];
    if overtaken.into_iter().any(|case| of == path(Operation::Delete, case)) {
        End::Superseded
    } else {
        End::Done
    }
}

/// A run that has failed takes back what it began: a backup its claim, a restore that has given nothing up yet its claim
/// and the lock-out. Answers whether that takes more steps.
fn takes_back(state: &mut State, index: usize, end: End) -> bool {
    let job = *state.jobs.get(index).unwrap();
    let run = *job.run().unwrap();
    if end == End::Done || run.failing || run.intent.is_none() {
        return false;
    }
    match job.name.operation {
        Operation::Backup => {
            let _ = unclaim(state, index);
            false
        }
        Operation::Restore => {
            let is_asked = known(state, &run).is_some_and(|read| read.phase == Some(P::RestoreRequested));
            if !is_asked {
                return false;
            }
            let withdrawn = path(Operation::Restore, "withdrawn");
            let run = run_of(state, index);
            (run.path, run.at) = (withdrawn, position(withdrawn, Effect::Connect));
            (run.failing, run.session) = (true, Session::None);
            true
        }
        Operation::Create
        | Operation::BackupBeforeDelete
        | Operation::Rotate
        | Operation::Delete
        | Operation::DeleteBackup
        | Operation::Release => false,
    }
}

/// The run is over, and its session.
fn finish(state: &mut State, index: usize, end: End) {
    let job = *state.jobs.get(index).unwrap();
    if end == End::Failed {
        fail(state, index);
    }
    state.jobs.get_mut(index).unwrap().stage = match end {
        End::Done => Stage::Over,
        End::Superseded => Stage::Failed { permanent: !outlives_what_overtook_it(job.name.operation) },
        End::Failed => Stage::Failed { permanent: false },
    };
}
