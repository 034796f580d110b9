//! What a run reads and writes of the objects, by compare-and-swap, and what refuses it: what the runtime's record does, by
//! the same permission code.

use api::lifecycle::{backup_may_follow, may_follow, restore_may_follow};
use api::permission::{Beginning, Running, begins, is_said_on_the_database, may_unclaim, restore_is_begun};
use api::{BackupPhase, DatabasePhase as P, DeletionPolicy, Operation, RestorePhase};

use crate::protocol::{Kind, Progress, Says, path};
use crate::state::{Job, Name, Object, Read, Run, Stage, State};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// Another run is due.
    Superseded,
    Failed,
}

pub(crate) fn run_of(state: &mut State, index: usize) -> &mut Run {
    match &mut state.jobs.get_mut(index).unwrap().stage {
        Stage::Running(run) => run,
        Stage::Stuck | Stage::Over | Stage::Failed { .. } | Stage::Complete => panic!("it does not run"),
    }
}

/// Whether the database is there, and is that of the Job's object.
pub(crate) fn is_ours(state: &State, index: usize) -> bool {
    let uid = state.jobs.get(index).unwrap().name.uid;
    state.server.is_some_and(|server| server.mark == uid)
}

/// Reads the object, as a run does first.
pub(crate) fn load(state: &mut State, index: usize) -> Result<(), End> {
    let job = *state.jobs.get(index).unwrap();
    let Some(object) = state.object.filter(|object| object.uid == job.name.uid) else {
        return Err(End::Done);
    };
    if job.name.operation == Operation::Release {
        return if object.deleted { Ok(()) } else { Err(End::Superseded) };
    }
    let generation = Some(object.generation.into());
    let has_request = job.request.is_some();
    match begins(&job.name, object.completed.as_ref(), job.generation.into(), generation, has_request) {
        Beginning::Due => {}
        Beginning::Done => return Err(End::Done),
        Beginning::Changed => return Err(End::Superseded),
    }
    let run = run_of(state, index);
    (run.intent, run.generation) = (Some(object.intent()), object.generation);
    (run.found, run.promised, run.stale) = (object.claim, Some(object.promised()), None);
    let run = *run;
    if may_act(&object, &job, &run) { Ok(()) } else { Err(End::Superseded) }
}

/// What a run knows of the object.
pub(crate) fn known(state: &State, run: &Run) -> Option<Read> {
    run.stale.or_else(|| state.object.as_ref().map(Read::of))
}

/// Somebody has written the object: what other runs have read is stale.
pub(crate) fn written(state: &mut State, before: Option<Object>, by: Option<usize>) {
    let before = before.as_ref().map(Read::of);
    for (index, job) in state.jobs.iter_mut().enumerate() {
        if let Stage::Running(run) = &mut job.stage
            && Some(index) != by
            && run.intent.is_some()
        {
            run.stale = run.stale.or(before);
        }
    }
}

/// The run, as the runtime judges it. One that has read nothing yet is judged by nothing.
fn running(job: &Job, run: &Run) -> Option<Running<Name>> {
    let intent = run.intent?;
    Some(Running { operation: job.name.operation, job: job.name, intent, claimed: run.claimed })
}

fn may_act(object: &Object, job: &Job, run: &Run) -> bool {
    running(job, run).is_some_and(|running| running.may_act(&object.judged()).is_ok())
}

/// Reads the object again if somebody has written it, and judges it again.
pub(crate) fn reload(state: &mut State, index: usize) -> Result<Object, End> {
    let job = *state.jobs.get(index).unwrap();
    let run = *job.run().unwrap();
    let object = state.object.filter(|object| object.uid == job.name.uid).ok_or(End::Superseded)?;
    if run.stale.is_some() {
        if !may_act(&object, &job, &run) {
            return Err(End::Superseded);
        }
        run_of(state, index).stale = None;
    }
    Ok(object)
}

/// Writes a phase and what stands with it, by compare-and-swap.
pub(crate) fn write(state: &mut State, index: usize, to: P, says: Says) -> Result<(), End> {
    let (job, run) = (*state.jobs.get(index).unwrap(), *state.jobs.get(index).unwrap().run().unwrap());
    if says.unclaim && gives_up(&job, &run) {
        return unclaim(state, index);
    }
    let before = reload(state, index)?;
    if !may_follow(before.phase, to) {
        return Err(End::Superseded);
    }
    let mut object = before;
    object.phase = Some(to);
    let policy: DeletionPolicy = object.policy();
    if says.claim {
        object.claim = Some(job.name);
        object.recorded = Some(policy);
        object.meant = Some(before.promised());
        run_of(state, index).claimed = true;
    }
    if says.announce {
        let attempt = next_attempt(state);
        object.announced = Some((attempt, false));
        run_of(state, index).attempt = Some(attempt);
    }
    if says.record {
        match object.announced {
            Some((attempt, _)) if Some(attempt) == run.attempt => object.announced = Some((attempt, true)),
            Some(_) | None => return Err(End::Superseded),
        }
    }
    if says.forget {
        object.announced = object.announced.map(|(attempt, _)| (attempt, false));
    }
    if let Some(ready) = says.ready {
        object.ready = ready && run.generation == object.generation;
    }
    object.was_created |= says.created;
    if to == P::Created && !says.claim {
        object.claim = None;
        object.ready = run.generation == object.generation;
        object.recorded = Some(policy);
        object.meant = Some(before.promised());
        if job.name.operation == Operation::Create {
            object.completed = Some(job.name);
        }
        run_of(state, index).claimed = false;
    }
    state.object = Some(object);
    written(state, Some(before), Some(index));
    run_of(state, index).promised = Some(object.promised());
    Ok(())
}

/// Whether `Created` is written because the run takes a claim off, and not because all is as it should be.
fn gives_up(job: &Job, run: &Run) -> bool {
    let withdrawn = || run.path == path(Operation::Restore, "withdrawn");
    job.name.operation == Operation::Backup || (job.name.operation == Operation::Restore && withdrawn())
}

/// Takes the claim of a backup, or of a restore that has changed nothing yet, off again.
pub(crate) fn unclaim(state: &mut State, index: usize) -> Result<(), End> {
    let (job, run) = (*state.jobs.get(index).unwrap(), *state.jobs.get(index).unwrap().run().unwrap());
    let is_to_go = |read: &Read| may_unclaim(read.phase, read.claim.as_ref(), &job.name, run.found.as_ref());
    if !known(state, &run).is_some_and(|read| is_to_go(&read)) {
        run_of(state, index).claimed = false;
        return Ok(());
    }
    let before = reload(state, index)?;
    run_of(state, index).claimed = false;
    if is_to_go(&Read::of(&before)) {
        state.object = Some(Object { phase: Some(P::Created), claim: None, ..before });
        written(state, Some(before), Some(index));
    }
    Ok(())
}

fn next_attempt(state: &State) -> u8 {
    let announced = state.object.and_then(|object| object.announced).map(|(attempt, _)| attempt);
    let of_runs = state.jobs.iter().filter_map(|job| job.run()?.attempt);
    let used = state.folders.iter().map(|folder| folder.attempt).chain(announced).chain(of_runs);
    used.max().map_or(0, |highest| highest + 1)
}

/// How far the Backup or Restore of a run is said to be. It must be asked for still, and that must follow.
pub(crate) fn say(state: &mut State, index: usize, to: Progress) -> Result<(), End> {
    let job = *state.jobs.get(index).unwrap();
    let is_let_go = job.name.operation == Operation::DeleteBackup;
    let request = state.requests.iter_mut().find(|request| Some(request.uid) == job.request);
    let request = request.filter(|request| request.deleted == is_let_go).ok_or(End::Superseded)?;
    if is_let_go {
        return Ok(());
    }
    if !follows(job.name.operation, request.progress, to) {
        return Err(End::Superseded);
    }
    request.progress = Some(to);
    if to == Progress::Completed {
        request.completed_by = Some(job.name);
    }
    Ok(())
}

fn follows(operation: Operation, from: Option<Progress>, to: Progress) -> bool {
    let restore = |progress| match progress {
        Progress::Starting => RestorePhase::Starting,
        Progress::Working => RestorePhase::Restoring,
        Progress::Completed => RestorePhase::Completed,
    };
    let backup = |progress| match progress {
        Progress::Starting => BackupPhase::Starting,
        Progress::Working => BackupPhase::BackingUp,
        Progress::Completed => BackupPhase::Completed,
    };
    if operation == Operation::Restore {
        return restore_may_follow(from.map(restore), restore(to));
    }
    backup_may_follow(from.map(backup), backup(to))
}

/// Says on the object why it does not go on, unless the run has no say any more.
pub(crate) fn fail(state: &mut State, index: usize) {
    let job = *state.jobs.get(index).unwrap();
    let run = *job.run().unwrap();
    let phase = known(state, &run).and_then(|read| read.phase);
    if !is_said_on_the_database(job.name.operation, phase) {
        return;
    }
    let Some(before) = state.object.filter(|object| object.uid == job.name.uid) else { return };
    if !running(&job, &run).is_some_and(|running| running.has_a_say(&before.judged())) {
        return;
    }
    let may_write = run.stale.is_none() || may_act(&before, &job, &Run { claimed: false, ..run });
    if may_write {
        let claim = before.claim.filter(|_| restore_is_begun(before.phase));
        let phase = before.phase.or(Some(P::Creating));
        state.object = Some(Object { phase, claim, ready: false, ..before });
        written(state, Some(before), Some(index));
    }
}

/// Of what kind the request of a Job is.
pub(crate) fn kind_of(name: Name) -> Kind {
    if name.operation == Operation::Restore { Kind::Restore } else { Kind::Backup }
}
