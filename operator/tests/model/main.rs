//! The protocol between operator, drivers and their surroundings, enumerated: every reachable joint state of object,
//! Jobs and database, with a crash between any two writes, deletion and a change of policy at any time, an operator
//! that sees an old object, and a second operator.
//!
//! What decides here is the real code: `decide`, and `permits` and `may_follow`, which the runtime asks before each
//! write. What a driver does is played, one effect a step, in the order of `driver-api/src/container`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail on the spot")]

mod runs;
mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;

use api::DatabasePhase as P;

use crate::world::{Policy, World, beginning, next};

/// Every world that can be reached.
static WORLDS: LazyLock<BTreeSet<World>> = LazyLock::new(|| {
    let policies = [Policy::Delete, Policy::BackupThenDelete, Policy::Retain];
    let mut reached: BTreeSet<World> = policies.into_iter().map(beginning).collect();
    let mut open: Vec<World> = reached.iter().cloned().collect();
    while let Some(world) = open.pop() {
        for next in next(&world, true) {
            if reached.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    reached
});

#[test]
fn no_step_breaks_a_promise() {
    let steps = WORLDS.iter().flat_map(|world| next(world, true).into_iter().map(move |next| (world, next)));
    for (world, next) in steps {
        let taken = world.on_server && !next.on_server;
        let restoring = world.object.is_some_and(|object| object.phase == Some(P::RestoreInProgress));
        // A restore takes the database away to make it anew, once all of the backup has been found good.
        let dropped = taken && !restoring;
        if dropped {
            assert!(
                world.object.is_some_and(|object| object.deleted),
                "dropped, and nobody asked: {world:#?}"
            );
        }
        // The owner may change the policy at any time. What counts is what it was when the last write before the
        // effect was made: for the final backup the claim of the deletion, for the rest the drop itself.
        let wanted = |policy| world.runs.iter().any(|run| run.read.is_some_and(|read| read.policy == policy));
        let claimed = |world: &World| world.object.is_some_and(|object| is_deleting(object.phase));
        if !claimed(world) && claimed(&next) && next.object.unwrap().policy == Policy::BackupThenDelete {
            assert!(
                world.final_backup || !world.handed_out,
                "to be dropped without the backup that was asked for: {world:#?}"
            );
        }
        if dropped {
            assert!(claimed(world), "dropped without a claim: {world:#?}");
        }
        if dropped {
            assert!(
                !wanted(Policy::Retain) || wanted(Policy::Delete),
                "a retained one was dropped: {world:#?}"
            );
        }
        if next.object.is_none() && next.on_server && world.object.is_some() {
            assert!(
                world.retained,
                "something is left on the server and nothing guards it: {world:#?} {next:#?}"
            );
        }
        let phase = |world: &World| world.object.and_then(|object| object.phase);
        if phase(world) != Some(P::Created) && phase(&next) == Some(P::Created) {
            assert!(next.on_server, "Created, and nothing is there: {world:#?}");
        }
        if !world.on_server && next.on_server {
            assert!(next.object.is_some_and(|object| object.guarded), "made without a guard: {world:#?}");
        }
    }
    assert!(WORLDS.len() > 10_000, "{} worlds are too few to mean anything", WORLDS.len());
}

fn is_deleting(phase: Option<P>) -> bool {
    matches!(phase, Some(P::DeletionRequested | P::DeletionInProgress | P::Deleted))
}

/// Whether all is done that is to be done.
fn is_goal(world: &World) -> bool {
    world.runs.is_empty()
        && match world.object {
            None => true,
            Some(object) => {
                let at_rest = !object.deleted && object.phase == Some(P::Created) && object.ready;
                at_rest && world.on_server && world.request.is_none()
            }
        }
}

#[test]
fn from_every_world_the_goal_is_reached_once_faults_cease() {
    // Backwards from the goal over fault-free steps.
    let mut before: BTreeMap<World, Vec<World>> = BTreeMap::new();
    let mut open = VecDeque::new();
    let mut all: BTreeSet<World> = BTreeSet::new();
    let mut todo: Vec<World> = WORLDS.iter().cloned().collect();
    while let Some(world) = todo.pop() {
        if !all.insert(world.clone()) {
            continue;
        }
        if is_goal(&world) {
            open.push_back(world.clone());
        }
        for next in next(&world, false) {
            before.entry(next.clone()).or_default().push(world.clone());
            todo.push(next);
        }
    }
    let mut good: BTreeSet<World> = open.iter().cloned().collect();
    while let Some(world) = open.pop_front() {
        for earlier in before.get(&world).into_iter().flatten() {
            if good.insert(earlier.clone()) {
                open.push_back(earlier.clone());
            }
        }
    }
    let stuck: Vec<_> = all.difference(&good).take(3).collect();
    assert!(stuck.is_empty(), "no way to the goal from {stuck:#?}");
}

#[test]
fn the_goal_is_a_rest() {
    for world in WORLDS.iter() {
        if is_goal(world) {
            let restless: Vec<_> = next(world, false);
            assert!(restless.is_empty(), "something is done though nothing is to be done: {restless:#?}");
        }
    }
}
