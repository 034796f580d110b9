//! What a driver's run does, one effect a step, in the order of `driver-api/src/container`.

use api::DatabasePhase as P;
use api::Operation;
use api::lifecycle::may_follow;

use crate::world::{Object, Policy, Run, World};

/// One effect of a run, or its end.
pub(crate) fn step(world: &World, index: usize) -> World {
    let mut next = world.clone();
    let run = *world.runs.get(index).unwrap();
    let ended = match run.operation {
        Operation::Create => create(&mut next, index, run),
        Operation::Delete => delete(&mut next, index, run),
        Operation::BackupBeforeDelete => final_backup(&mut next, index, run),
        Operation::Backup => backup(&mut next, index, run),
        Operation::Restore => restore(&mut next, index, run),
        Operation::Release => release(&mut next, index),
        // It touches no Database.
        Operation::Rotate | Operation::DeleteBackup => panic!("nothing needs {}", run.operation),
    };
    if ended {
        next.runs.remove(index);
    } else {
        next.runs.get_mut(index).unwrap().step += 1;
    }
    next.runs.sort();
    next
}

/// Reads the object, as every run does first. Answers whether the run is at its end.
fn load(next: &mut World, index: usize) -> bool {
    let run = next.runs.get_mut(index).unwrap();
    run.read = next.object;
    run.read.is_none_or(|object| !object.permits(run.operation))
}

/// Writes by compare-and-swap: where the object changed, it is read again and judged anew.
fn write(next: &mut World, index: usize, to: P, change: impl Fn(&mut Object)) -> Option<()> {
    let operation = next.runs.get(index).unwrap().operation;
    let object = next.object.as_mut().filter(|object| object.permits(operation))?;
    if !may_follow(object.phase, to) {
        return None;
    }
    object.phase = Some(to);
    change(object);
    next.runs.get_mut(index).unwrap().read = next.object;
    Some(())
}

fn create(next: &mut World, index: usize, run: Run) -> bool {
    match run.step {
        0 => load(next, index),
        1 => {
            // The finalizer. The API server takes none on an object that is being deleted.
            match next.object.as_mut() {
                Some(object) if object.guarded || !object.deleted => object.guarded = true,
                Some(_) | None => return true,
            }
            next.object.is_none_or(|object| !object.permits(Operation::Create))
        }
        2 => {
            let was_created = run.read.is_some_and(|object| object.was_created);
            let claim = if was_created { P::Created } else { P::Creating };
            // A database that was created and is lost is not made again.
            (was_created && !next.on_server) || write(next, index, claim, |_| {}).is_none()
        }
        3 => {
            next.on_server = true;
            false
        }
        4 => {
            let written = write(next, index, P::Created, |object| {
                object.was_created = true;
                object.ready = true;
            });
            next.handed_out |= written.is_some();
            true
        }
        _ => true,
    }
}

fn delete(next: &mut World, index: usize, run: Run) -> bool {
    match run.step {
        0 => load(next, index) || next.object.is_none_or(|object| !object.guarded),
        1 if lacks_final_backup(next) => {
            // What is lost is made anew: nothing can have been dropped yet.
            let _ = write(next, index, P::BackupBeforeDeleteRequested, |_| {});
            true
        }
        1 => write(next, index, P::DeletionRequested, |_| {}).is_none(),
        2 => write(next, index, P::DeletionInProgress, |_| {}).is_none(),
        3 => {
            // By what the last write showed: nothing is read between it and the server.
            let retain = run.read.is_some_and(|object| object.policy == Policy::Retain);
            next.on_server &= retain;
            next.retained = retain;
            false
        }
        4 => write(next, index, P::Deleted, |_| {}).is_none(),
        _ => release(next, index),
    }
}

/// Where the deletion is claimed, the real one waits for the owner's word instead.
fn lacks_final_backup(world: &World) -> bool {
    let is_due = |object: Object| {
        let wanted = object.deleted && object.policy == Policy::BackupThenDelete;
        wanted && object.phase == Some(P::BackupBeforeDeleteCompleted)
    };
    world.object.is_some_and(is_due) && !world.final_backup
}

fn release(next: &mut World, index: usize) -> bool {
    let operation = next.runs.get(index).unwrap().operation;
    if next.object.is_some_and(|object| object.deleted && object.permits(operation)) {
        next.object = None;
    }
    true
}

fn final_backup(next: &mut World, index: usize, run: Run) -> bool {
    match run.step {
        0 => load(next, index),
        1 => write(next, index, P::BackupBeforeDeleteRequested, |_| {}).is_none(),
        2 => write(next, index, P::BackupBeforeDeleteInProgress, |_| {}).is_none(),
        3 => {
            // Locked out, dumped and verified.
            next.final_backup = next.on_server;
            !next.on_server
        }
        _ => {
            let _ = write(next, index, P::BackupBeforeDeleteCompleted, |_| {});
            true
        }
    }
}

fn backup(next: &mut World, index: usize, run: Run) -> bool {
    match run.step {
        0 => load(next, index),
        // What nobody asks for any more is given up.
        1 if next.request != Some(Operation::Backup) => {
            let _ = write(next, index, P::Created, |_| {});
            true
        }
        1 => write(next, index, P::BackupRequested, |_| {}).is_none(),
        2 => write(next, index, P::BackupInProgress, |_| {}).is_none(),
        3 => {
            // The manifest, and then the Backup.
            next.request = None;
            !next.on_server
        }
        4 => write(next, index, P::BackupCompleted, |_| {}).is_none(),
        _ => {
            let _ = write(next, index, P::Created, |_| {});
            true
        }
    }
}

fn restore(next: &mut World, index: usize, run: Run) -> bool {
    let begun = |phase| matches!(phase, Some(P::RestoreInProgress | P::RestoreCompleted));
    match run.step {
        0 => load(next, index),
        1 if !begun(next.object.and_then(|object| object.phase)) => {
            // A database that is lost is not made again unasked.
            !next.on_server
                || next.request.is_none()
                || write(next, index, P::RestoreRequested, |_| {}).is_none()
        }
        1 => false,
        2 if next.object.and_then(|object| object.phase) == Some(P::RestoreCompleted) => false,
        2 => write(next, index, P::RestoreInProgress, |_| {}).is_none(),
        // What was there is given up, unless an earlier run has loaded everything.
        3 => {
            next.on_server &= next.request.is_none();
            false
        }
        4 => {
            next.on_server = true;
            next.request = None;
            false
        }
        5 => write(next, index, P::RestoreCompleted, |_| {}).is_none(),
        _ => {
            let _ = write(next, index, P::Created, |object| object.ready = true);
            true
        }
    }
}
