//! A run: it walks a path of the protocol, one effect a step. Which path it takes, and what refuses a write, is what the
//! runtime does, by the same permission code.

use api::lifecycle::{backup_may_follow, may_follow, restore_may_follow};
use api::{BackupPhase, DatabasePhase as P, DeletionPolicy, Operation, RestorePhase};

use crate::choice::choose;
use crate::effects::{self, Goes};
use crate::promises;
use crate::protocol::{Effect, Kind, Progress, Says, effect, path, position};
use crate::state::{Job, Name, Object, Read, Run, Session, Stage, State};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// Another run is due.
    Superseded,
    Failed,
}

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

pub(crate) fn run_of(state: &mut State, index: usize) -> &mut Run {
    match &mut state.jobs.get_mut(index).unwrap().stage {
        Stage::Running(run) => run,
        Stage::Stuck | Stage::Over | Stage::Failed { .. } | Stage::Complete => panic!("it does not run"),
    }
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

/// Whether the run may act on the object as it is now: the record's own check.
pub(crate) fn may_act(object: &Object, job: &Job, run: &Run) -> bool {
    let operation = job.name.operation;
    let is_its_own = !run.claimed || object.claim == Some(job.name);
    let same_intent = Some(object.intent()) == run.intent || operation == Operation::Backup;
    is_its_own && same_intent && object.permits(operation)
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
fn unclaim(state: &mut State, index: usize) -> Result<(), End> {
    let (job, run) = (*state.jobs.get(index).unwrap(), *state.jobs.get(index).unwrap().run().unwrap());
    let is_to_go = |read: &Read| {
        let phases = [P::BackupRequested, P::BackupInProgress, P::BackupCompleted, P::RestoreRequested];
        let is_claim = read.phase.is_some_and(|phase| phases.contains(&phase));
        is_claim && (read.claim == Some(job.name) || read.claim == run.found)
    };
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
    let is_of_database = !matches!(job.name.operation, Operation::Backup | Operation::Restore);
    state.jobs.get_mut(index).unwrap().stage = match end {
        End::Done => Stage::Over,
        End::Superseded => Stage::Failed { permanent: is_of_database },
        End::Failed => Stage::Failed { permanent: false },
    };
}

/// Says on the object why it does not go on, unless the run has no say any more.
fn fail(state: &mut State, index: usize) {
    let job = *state.jobs.get(index).unwrap();
    let run = *job.run().unwrap();
    let elsewhere = match job.name.operation {
        Operation::Backup | Operation::DeleteBackup | Operation::Release => true,
        Operation::Restore => !known(state, &run).is_some_and(|read| is_begun(read.phase)),
        Operation::Create | Operation::BackupBeforeDelete | Operation::Rotate | Operation::Delete => false,
    };
    let Some(before) = state.object.filter(|object| object.uid == job.name.uid && !elsewhere) else {
        return;
    };
    if before.completed == Some(job.name) || (run.claimed && before.claim != Some(job.name)) {
        return;
    }
    let may_write = run.stale.is_none() || may_act(&before, &job, &Run { claimed: false, ..run });
    if may_write {
        let claim = before.claim.filter(|_| is_begun(before.phase));
        let phase = before.phase.or(Some(P::Creating));
        state.object = Some(Object { phase, claim, ready: false, ..before });
        written(state, Some(before), Some(index));
    }
}

pub(crate) fn is_begun(phase: Option<P>) -> bool {
    matches!(phase, Some(P::RestoreInProgress | P::RestoreCompleted))
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
    if object.completed == Some(job.name) {
        return Err(End::Done);
    }
    if job.request.is_none() && object.generation != job.generation {
        return Err(End::Superseded);
    }
    let run = run_of(state, index);
    (run.intent, run.generation) = (Some(object.intent()), object.generation);
    (run.found, run.promised, run.stale) = (object.claim, Some(object.promised()), None);
    let run = *run;
    if may_act(&object, &job, &run) { Ok(()) } else { Err(End::Superseded) }
}

/// The name of a Job's run, and of what kind its request is.
pub(crate) fn kind_of(name: Name) -> Kind {
    if name.operation == Operation::Restore { Kind::Restore } else { Kind::Backup }
}
