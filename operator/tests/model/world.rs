//! The joint state of object, Jobs and database, and every step that changes it.

use api::DatabasePhase as P;
use api::Operation;
use api::lifecycle::{Intent, permits};
use db_operator::database::decide::{Decision, decide};
use db_operator::database::facts::{Facts, JobFact, Progress, Registered, Request, Wishes};
use db_operator::seen::jobs::Pods;

use crate::runs::step;

/// What a decision reads of the object, and what the runtime reads again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct Object {
    pub(crate) phase: Option<P>,
    pub(crate) guarded: bool,
    pub(crate) was_created: bool,
    pub(crate) ready: bool,
    pub(crate) deleted: bool,
    pub(crate) policy: Policy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Policy {
    Delete,
    BackupThenDelete,
    Retain,
}

/// A pod at work: its operation, and how many of its effects it has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) operation: Operation,
    pub(crate) step: u8,
    /// What the last read or write of the object showed.
    pub(crate) read: Option<Object>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct World {
    pub(crate) object: Option<Object>,
    /// What the operator's watch shows: the object, or how it was once.
    pub(crate) cached: Option<Object>,
    /// At most two: a second operator, or one with an old watch, may launch beside the first.
    pub(crate) runs: Vec<Run>,
    /// Whether the database is on the server.
    pub(crate) on_server: bool,
    /// Whether the application has had its login, and so may have written rows.
    pub(crate) handed_out: bool,
    /// Whether a verified final backup exists that no write can be newer than.
    pub(crate) final_backup: bool,
    /// Whether the last delete left the database where it is, because the policy said so then.
    pub(crate) retained: bool,
    /// The Backup or Restore that somebody asks for, and that is not done.
    pub(crate) request: Option<Operation>,
    /// What may happen still, so that there are finitely many worlds.
    pub(crate) crashes: u8,
    pub(crate) policy_changes: u8,
    pub(crate) requests: u8,
}

impl Object {
    pub(crate) fn intent(self) -> Intent {
        match (self.deleted, self.policy) {
            (false, _) => Intent::Keep,
            (true, Policy::Delete) => Intent::Delete,
            (true, Policy::BackupThenDelete) => Intent::BackupThenDelete,
            (true, Policy::Retain) => Intent::Retain,
        }
    }

    pub(crate) fn permits(self, operation: Operation) -> bool {
        permits(operation, self.phase, self.intent(), self.was_created)
    }
}

pub(crate) fn beginning(policy: Policy) -> World {
    let object =
        Object { phase: None, guarded: false, was_created: false, ready: false, deleted: false, policy };
    World {
        object: Some(object),
        cached: None,
        runs: Vec::new(),
        on_server: false,
        handed_out: false,
        final_backup: false,
        retained: false,
        request: None,
        crashes: 2,
        policy_changes: 1,
        requests: 1,
    }
}

/// The Backup or Restore whose turn it is, as facts have it: the one that is begun, else the one that waits.
fn turn(seen: Object, pending: Option<Operation>) -> Option<Request> {
    let begun = api::lifecycle::begun(seen.phase);
    begun.or(pending).map(|operation| Request {
        operation,
        name: String::new(),
        uid: String::new(),
        retry: None,
        source: None,
    })
}

/// What the operator launches, going by an object that it saw and the Jobs that it sees.
fn launches(seen: Object, jobs: &[Run], request: Option<Operation>) -> Option<Operation> {
    let jobs = jobs.iter().map(|run| JobFact {
        name: String::new(),
        operation: run.operation,
        generation: 1,
        request: None,
        attempt: 1,
        wishes: Wishes::default(),
        image: String::new(),
        recorded: false,
        progress: Progress::Active { age: std::time::Duration::ZERO, pods: Pods::Ran },
    });
    let facts = Facts {
        phase: seen.phase,
        intent: seen.intent(),
        was_created: seen.was_created,
        guarded: seen.guarded,
        current: seen.guarded && seen.ready,
        verify_in: None,
        generation: 1,
        wishes: Wishes::default(),
        driver: Registered::Named,
        completed: None,
        request: turn(seen, request),
        waiting: Vec::new(),
        jobs: jobs.collect(),
    };
    match decide(&facts) {
        Decision::Launch(launch) => Some(launch.operation),
        Decision::Wait(_) | Decision::Settled(_) | Decision::Stuck(_) => None,
    }
}

/// Every world that one step leads to. `faults` says whether crashes and the owner's whims are among them.
pub(crate) fn next(world: &World, faults: bool) -> Vec<World> {
    let mut worlds = Vec::new();
    let mut push = |mut next: World| {
        // Without a finalizer, an object that is deleted is gone at once.
        if next.object.is_some_and(|object| object.deleted && !object.guarded) {
            next.object = None;
        }
        worlds.push(next);
    };
    for index in 0..world.runs.len() {
        // One lock on the server keeps two runs apart, from the first look at the server to the end.
        let before = world.runs.iter().position(|run| run.step > 0);
        if before.is_none_or(|holder| holder == index) {
            push(step(world, index));
        }
        if faults && world.crashes > 0 {
            let mut next = world.clone();
            next.crashes -= 1;
            let run = next.runs.get_mut(index).unwrap();
            // The pod is made anew; the object and the server stay as they were.
            *run = Run { step: 0, read: None, ..*run };
            next.runs.sort();
            push(next);
            let mut gone = world.clone();
            gone.crashes -= 1;
            gone.runs.remove(index);
            push(gone);
        }
    }
    // The operator sees what is, and where there are faults also what was.
    let seen = [world.object, if faults { world.cached } else { None }];
    for seen in seen.into_iter().flatten() {
        // A second operator, or one whose watch is late, does not see the other's Job.
        let blind: &[Run] = &[];
        let sights = if faults { vec![world.runs.as_slice(), blind] } else { vec![world.runs.as_slice()] };
        for jobs in sights {
            if let (Some(operation), true) = (launches(seen, jobs, world.request), world.runs.len() < 2) {
                let mut next = world.clone();
                next.runs.push(Run { operation, step: 0, read: None });
                next.runs.sort();
                push(next);
            }
        }
    }
    if faults {
        // Somebody takes the final backup out of the bucket, before the deletion is claimed.
        let saved = Some(Some(P::BackupBeforeDeleteCompleted));
        if world.crashes > 0 && world.final_backup && world.object.map(|object| object.phase) == saved {
            push(World { final_backup: false, crashes: world.crashes - 1, ..world.clone() });
        }
        push(World { cached: world.object, ..world.clone() });
        if let Some(object) = world.object {
            if !object.deleted {
                push(World { object: Some(Object { deleted: true, ..object }), ..world.clone() });
                // Somebody asks for a run: by a change of the spec, or by annotation.
                push(World { object: Some(Object { ready: false, ..object }), ..world.clone() });
            }
            if world.requests > 0 {
                for operation in [Operation::Backup, Operation::Restore] {
                    let request = Some(operation);
                    push(World { request, requests: world.requests - 1, ..world.clone() });
                }
            }
            if world.policy_changes > 0 {
                for policy in [Policy::Delete, Policy::BackupThenDelete, Policy::Retain] {
                    let object = Some(Object { policy, ..object });
                    push(World { object, policy_changes: world.policy_changes - 1, ..world.clone() });
                }
            }
        }
    }
    worlds
}
