//! What people do: they change their minds about a Database, and ask for Backups and Restores.

use api::{DeletionPolicy as Policy, Operation};

use crate::record::written;
use crate::state::{Object, REQUESTS, Request, State, Stored};

/// What somebody does, and where it leads.
pub(crate) type Deed = (&'static str, State);

/// All that somebody may do in `state`.
pub(crate) fn steps(state: &State) -> Vec<Deed> {
    let mut all = Vec::new();
    match state.object {
        Some(object) => with_database(state, object, &mut all),
        None if state.may.recreate > 0 && !state.terminating => {
            let mut next = state.clone();
            next.may.recreate -= 1;
            next.object = Some(fresh(next.next_uid, Some(Policy::Delete), true));
            next.next_uid += 1;
            all.push(("another Database of that name is made", next));
        }
        None => {}
    }
    with_requests(state, &mut all);
    all
}

/// Somebody writes the object.
fn change(state: &State, object: Object, change: impl Fn(&mut State)) -> State {
    let mut next = state.clone();
    change(&mut next);
    next.object = Some(object);
    written(&mut next, state.object, None);
    next
}

fn with_database(state: &State, object: Object, all: &mut Vec<Deed>) {
    let may = state.may;
    let newer = Object { generation: object.generation + 1, ready: false, ..object };
    if may.delete > 0 && !object.deleted {
        let deleted = Object { deleted: true, ..object };
        all.push(("the Database is deleted", change(state, deleted, |next| next.may.delete -= 1)));
    }
    if may.change > 0 && !object.deleted {
        all.push(("the spec is changed", change(state, newer, |next| next.may.change -= 1)));
        if !object.backed_up {
            let backed_up = Object { backed_up: true, ..newer };
            let to = change(state, backed_up, |next| next.may.change -= 1);
            all.push(("a place for backups is given", to));
        }
    }
    for policy in [Policy::Delete, Policy::BackupThenDelete, Policy::Retain] {
        let is_taken = policy != Policy::BackupThenDelete || object.backed_up;
        if may.policy > 0 && object.word != Some(policy) && is_taken {
            let said = Object { word: Some(policy), ..newer };
            all.push(("another policy is said", change(state, said, |next| next.may.policy -= 1)));
        }
    }
    if may.terminate > 0 && !state.terminating {
        let deleted = Object { deleted: true, ..object };
        let to = change(state, deleted, |next| {
            next.may.terminate -= 1;
            next.terminating = true;
            next.requests.iter_mut().for_each(|request| request.deleted = true);
        });
        all.push(("the namespace is deleted", to));
    }
}

/// Backups and Restores come and go.
fn with_requests(state: &State, all: &mut Vec<Deed>) {
    let may = state.may;
    for (operation, left) in [(Operation::Backup, may.backup), (Operation::Restore, may.restore)] {
        let exists = state.requests.iter().any(|request| request.operation == operation);
        if left == 0 || exists || state.terminating {
            continue;
        }
        let kinds: &[bool] = if operation == Operation::Backup { &[true, false] } else { &[false] };
        for deletable in kinds {
            let mut next = state.clone();
            let uid = REQUESTS + next.may.backup * 4 + next.may.restore;
            next.requests.push(asked(uid, operation, *deletable));
            let left =
                if operation == Operation::Backup { &mut next.may.backup } else { &mut next.may.restore };
            *left -= 1;
            all.push(("somebody asks for a Backup or Restore", next));
        }
    }
    for index in 0..state.requests.len() {
        let mut next = state.clone();
        let request = next.requests.get_mut(index).unwrap();
        if may.withdraw == 0 || request.deleted {
            continue;
        }
        request.deleted = true;
        next.may.withdraw -= 1;
        all.push(("somebody deletes a Backup or Restore", next));
    }
}

/// A Database that nobody has worked on.
pub(crate) fn fresh(uid: u8, word: Option<Policy>, backed_up: bool) -> Object {
    Object {
        uid,
        generation: 1,
        phase: None,
        guarded: false,
        was_created: false,
        ready: false,
        deleted: false,
        word,
        recorded: None,
        backed_up,
        from_backup: false,
        claim: None,
        announced: None,
        completed: None,
        meant: None,
    }
}

/// A Backup or Restore that nobody has worked on.
fn asked(uid: u8, operation: Operation, deletable: bool) -> Request {
    Request {
        uid,
        operation,
        progress: None,
        deleted: false,
        deletable,
        guarded: false,
        completed_by: None,
        stored: Stored::Nothing,
    }
}
