//! What must never happen, whatever goes wrong and whoever does what when.

use std::cell::RefCell;
use std::collections::BTreeSet;

use api::lifecycle::is_past;
use api::{DatabasePhase as P, DeletionPolicy as Policy, Operation};

use crate::protocol::{self, Progress};
use crate::state::{Holds, Job, Name, Object, REQUESTS, Request, Run, Session, Stage, State, Stored};

thread_local! {
    static BROKEN: RefCell<Option<String>> = const { RefCell::new(None) };
    static WALKED: RefCell<BTreeSet<u8>> = const { RefCell::new(BTreeSet::new()) };
}

/// A promise is broken.
pub(crate) fn broken(what: impl Into<String>) {
    BROKEN.with_borrow_mut(|broken| {
        broken.get_or_insert_with(|| what.into());
    });
}

/// What was broken since it was asked last.
pub(crate) fn taken() -> Option<String> {
    BROKEN.take()
}

/// A run has gone a path of the protocol to its end.
pub(crate) fn walked(path: u8) {
    WALKED.with_borrow_mut(|walked| walked.insert(path));
}

/// All paths that were gone to their end since it was asked last.
pub(crate) fn taken_walks() -> BTreeSet<String> {
    WALKED.take().into_iter().map(protocol::name).collect()
}

/// The run makes the database, or repairs it.
pub(crate) fn is_made(state: &State, job: &Job, run: &Run) {
    let guarded = state.object.is_some_and(|object| object.uid == job.name.uid && object.guarded);
    if !guarded && !state.left.contains(&job.name.uid) {
        broken(format!("made on the server, and no finalizer guards it, by {job:?} {run:?}"));
    }
    has_claim(state, job);
}

/// Nobody works on the server under another's claim. Who deletes with `Retain` asks no server, and so claims without the
/// lock; one that drops waits for it.
fn has_claim(state: &State, job: &Job) {
    let Some(object) = state.object.filter(|object| object.uid == job.name.uid) else { return };
    let is_without_lock =
        |claim: &Name| claim.operation == Operation::Delete && job.name.operation != Operation::Delete;
    let is_at_work = |claim: &Name| {
        let mut runs = state.jobs.iter().filter(|job| job.name == *claim).filter_map(Job::run);
        runs.any(|run| run.session == Session::Holds)
    };
    let others = object.claim.filter(|claim| *claim != job.name && !is_without_lock(claim));
    if !job.run().is_some_and(|run| run.session == Session::Holds) {
        broken(format!("{:?} works on the server without the lock", job.name));
    }
    if others.is_some_and(|claim| is_at_work(&claim)) {
        broken(format!("{:?} works on the server, and {:?} has claimed it", job.name, object.claim));
    }
}

/// The run drops the database.
pub(crate) fn is_dropped(state: &State, job: &Job, run: &Run) {
    let object = state.object.filter(|object| object.uid == job.name.uid);
    let may_hold_rows = state.handed_out == Some(job.name.uid);
    match job.name.operation {
        Operation::Delete => {
            if object.is_some_and(|object| !object.deleted) {
                broken("dropped, and nobody has deleted it");
            }
            // What counts is what stood there when this very run wrote last: nothing is read between that and the drop.
            match run.promised {
                Some(Policy::Delete) => {}
                Some(Policy::BackupThenDelete) if !may_hold_rows => {}
                Some(Policy::BackupThenDelete) => {
                    if !object.is_some_and(|object| is_saved(state, object.announced)) {
                        broken("dropped, and no final backup that was announced has all of it");
                    }
                }
                Some(Policy::Retain) | None => broken("dropped, and it was to be retained"),
            }
            has_claim(state, job);
        }
        Operation::Restore => {
            let is_given_up = match object {
                Some(object) => object.phase == Some(P::RestoreInProgress) || is_left(&object),
                None => state.left.contains(&job.name.uid),
            };
            if !is_given_up || !run.claimed {
                broken("given up for a restore that has not said so");
            }
        }
        Operation::Create => {
            if may_hold_rows {
                broken("dropped by a create that loads a backup, and the login was handed out");
            }
        }
        Operation::Backup
        | Operation::BackupBeforeDelete
        | Operation::Rotate
        | Operation::DeleteBackup
        | Operation::Release => broken(format!("dropped by {}", job.name.operation)),
    }
}

/// Whether who deletes it with `Retain` may have claimed it, without asking the server.
fn is_left(object: &Object) -> bool {
    object.deleted && object.promised() == Policy::Retain
}

/// Whether the final backup has all that the database held.
fn is_saved(state: &State, announced: Option<(u8, bool)>) -> bool {
    let Some((attempt, true)) = announced else { return false };
    state
        .folders
        .iter()
        .any(|folder| folder.attempt == attempt && folder.holds == Holds::Backup { covers: true })
}

/// The run dumps the database.
pub(crate) fn is_dumped(state: &State, job: &Job) {
    let server = state.server.filter(|server| server.mark == job.name.uid);
    if !server.is_some_and(|server| server.whole) {
        broken("dumped what is half loaded, or not there");
    }
    let is_final = job.name.operation == Operation::BackupBeforeDelete;
    if is_final && !server.is_some_and(|server| server.locked_out) {
        broken("a final backup is dumped, and the login works");
    }
    has_claim(state, job);
}

/// The run takes the finalizer off.
pub(crate) fn is_let_go(state: &mut State, job: &Job) {
    let is_there = state.server.is_some_and(|server| server.mark == job.name.uid);
    let is_retained = job.run().is_some_and(|run| run.promised == Some(Policy::Retain));
    if is_there && job.name.operation != Operation::Release && !is_retained {
        broken("let go, and it is on the server still");
    }
    if job.name.operation == Operation::Release && !state.terminating {
        broken("let go as if its namespace ended, and it does not");
    }
    // A run that holds the lock still may make it after that: who retains, or lets go with a namespace, asks no server.
    if is_retained || job.name.operation == Operation::Release {
        state.left.push(job.name.uid);
    }
}

/// What must hold in every state. That no two runs hold the lock is not among it: the server sees to that, which the
/// conformance tests of each driver show, and the model has it so (`is_locked`).
pub(crate) fn check(state: &State) {
    if !state.requests.iter().all(is_stored_as_said) {
        broken("a Backup is Completed, and nothing is stored");
    }
    let Some(server) = state.server else {
        if state.object.is_some_and(|object| object.phase == Some(P::Created)) {
            broken("Created, and nothing is there");
        }
        return;
    };
    let is_guarded = state.object.is_some_and(|object| object.uid == server.mark && object.guarded);
    if !is_guarded && !state.left.contains(&server.mark) {
        broken("something is on the server, and nothing guards it");
    }
    if let Some(object) = state.object.filter(|object| object.phase == Some(P::Created)) {
        if server.mark != object.uid || !server.whole {
            broken("Created, and what is there is another's, or half loaded");
        }
        if server.locked_out {
            broken("Created, and its login does not work");
        }
    }
}

/// A Backup that is Completed, and that nobody deletes, is stored.
fn is_stored_as_said(request: &Request) -> bool {
    let is_said = request.operation == Operation::Backup && request.progress == Some(Progress::Completed);
    !is_said || request.deleted || request.stored == Stored::Manifest
}

/// A Job is launched.
pub(crate) fn is_launched(state: &State, job: &Job, lost_work: bool) {
    let of_series = state.jobs.iter().filter(|before| before.name.counts_with(job.name));
    let before = of_series.max_by_key(|before| before.name.attempt);
    // One that comes late may undo what another has done.
    if lost_work && !before.is_some_and(|before| before.beside) {
        broken(format!("{:?}: a Job has ended well, and its work is not done", job.name));
    }
    let highest = state.used.iter().find(|used| used.counts_with(job.name));
    if !state.forgot && highest.is_some_and(|highest| highest.attempt >= job.name.attempt) {
        broken(format!("the name of {:?} is used again", job.name));
    }
    if let Some(other) = state.jobs.iter().find(|other| is_in_the_way(state, job, other)) {
        broken(format!("{:?} is launched beside {:?}, which is at work", job.name, other.name));
    }
}

/// Whether a Job is at work on what `job` is to work on, and nothing says that its work is done.
fn is_in_the_way(state: &State, job: &Job, other: &Job) -> bool {
    let completed_by = |name: Name| {
        let by_request = state.requests.iter().any(|request| request.completed_by == Some(name));
        by_request || state.object.is_some_and(|object| object.completed == Some(name))
    };
    let is_at_work = matches!(other.stage, Stage::Running(_) | Stage::Over) && !completed_by(other.name);
    if job.name.uid >= REQUESTS {
        // What is retained may be written meanwhile. Nobody sees the Jobs of a Database that is gone, which is let go beside
        // one only by a launch that comes late; such a run finds out before it writes the manifest.
        let deletes = job.name.operation == Operation::DeleteBackup && state.object.is_some();
        let mut of_it = state.requests.iter().filter(|request| request.uid == job.name.uid);
        return is_at_work && other.request == job.request && deletes && of_it.any(|of_it| of_it.deletable);
    }
    let phase = state.object.and_then(|object| object.phase);
    is_at_work && other.name.uid == job.name.uid && !is_past(other.name.operation, phase)
}
