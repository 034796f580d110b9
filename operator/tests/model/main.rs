//! The protocol between the operator, drivers and their surroundings, enumerated: every state that can be reached from a
//! Database that was just made, breadth first, with crashes between any two effects, launches that come late or from who
//! does not see the Jobs, a Backup or a Restore, or sees them as they were; lost locks, Jobs that expire, and people who
//! change their minds at any time.
//!
//! What decides here is the operator's own code, from what its watches show to the Job that it launches, and the rules
//! that the runtime asks before each write: `api::lifecycle` and `api::permission`, which both call. What a run does,
//! effect by effect, is read from `driver-api/runtime/tests/protocol.txt`, which the runtime's own test writes.
//!
//! Two things are told here once more, for the runtime decides them between its effects: which path a run takes
//! ([`choice`]), and what a run that has failed takes back ([`run`]). That the runtime does so its own tests show, crash by
//! crash; a mutant of that is not seen here.
//!
//! Two things are shown of each: no step breaks a promise ([`promises`]), and whatever has happened, what goes on by
//! itself comes to an end, and to one that is meant ([`ends`]). No path goes round without end.
//!
//! How many Jobs may run at once, and who is let in, is enumerated beside it ([`caps`]): it is about many Databases and
//! nothing else of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail on the spot")]

mod caps;
mod choice;
mod effects;
mod ends;
mod explore;
mod hasher;
mod normal;
mod people;
mod promises;
mod protocol;
mod record;
mod run;
mod sees;
mod state;
mod steps;
mod view;

use std::collections::BTreeSet;

use api::DeletionPolicy as Policy;

use crate::explore::{Found, explore};
use crate::people::fresh;
use crate::protocol::{PATHS, name};
use crate::state::{May, Object, State};

/// A Database that says `word` about its deletion.
fn beginning(word: Option<Policy>, backed_up: bool, may: May) -> State {
    State {
        object: Some(fresh(0, word, backed_up)),
        requests: Vec::new(),
        jobs: Vec::new(),
        late: Vec::new(),
        server: None,
        handed_out: None,
        folders: Vec::new(),
        left: Vec::new(),
        terminating: false,
        spent: Vec::new(),
        used: Vec::new(),
        forgot: false,
        next_uid: 1,
        may,
    }
}

/// Databases that say each policy.
fn spoken(may: May) -> Vec<State> {
    let policies = [Policy::Delete, Policy::BackupThenDelete, Policy::Retain];
    policies.into_iter().map(|policy| beginning(Some(policy), true, may)).collect()
}

/// One that is to be loaded from a backup when it is made.
fn loaded(state: State) -> State {
    let object = state.object.map(|object| Object { from_backup: true, ..object });
    State { object, ..state }
}

/// Those, and such as say nothing.
fn every(may: May) -> Vec<State> {
    let mut all = spoken(may);
    all.extend([beginning(None, true, may), beginning(None, false, may)]);
    all
}

/// What is to be explored, and what of the protocol must be walked to its end by it, so that it means something.
struct Scenario {
    name: &'static str,
    beginnings: fn() -> Vec<State>,
    at_least: usize,
    walks: &'static [&'static str],
}

#[allow(clippy::print_stderr, reason = "how much was looked at belongs to the result")]
fn check(scenario: &Scenario) {
    let Scenario { name, beginnings, at_least, walks } = scenario;
    let begun = std::time::Instant::now();
    let Found { states, steps, ends, walked } = explore(beginnings());
    eprintln!("{name}: {states} states, {steps} steps, {:.1} s", begun.elapsed().as_secs_f64());
    for (why, count) in &ends {
        eprintln!("  {count:7} ends: {why}");
    }
    assert!(states >= *at_least, "{name}: {states} states are too few to mean anything");
    for path in *walks {
        assert!(walked.contains(*path), "{name}: no run has walked `{path}`, only {walked:?}");
    }
}

const LIFE: Scenario = Scenario {
    name: "life",
    beginnings: || {
        let may = May { crash: 1, delete: 1, policy: 1, change: 1, ..May::default() };
        let loaded_too = spoken(May { policy: 0, ..may }).into_iter().map(loaded);
        every(may).into_iter().chain(loaded_too).collect()
    },
    at_least: 150_000,
    walks: &[
        "create",
        "create repair",
        "create from-backup",
        "backup-before-delete",
        "backup-before-delete again",
        "delete after-final-backup",
        "delete drop",
        "delete handed-out",
        "delete retain",
    ],
};

#[test]
fn a_database_lives_and_goes_as_its_owner_says_at_last() {
    check(&LIFE);
}

const LOCKS: Scenario = Scenario {
    name: "locks",
    beginnings: || spoken(May { crash: 1, delete: 1, lose_lock: 1, late: 1, ..May::default() }),
    at_least: 250_000,
    walks: &["create verify", "delete final-backup-lost", "delete after-final-backup", "delete retain"],
};

#[test]
fn a_lost_lock_and_a_late_launch_do_no_harm() {
    check(&LOCKS);
}

const JOBS: Scenario = Scenario {
    name: "jobs",
    beginnings: || spoken(May { crash: 2, delete: 1, expire: 2, restart: 1, stick: 1, ..May::default() }),
    at_least: 150_000,
    walks: &["create", "delete after-final-backup", "delete drop", "delete retain"],
};

#[test]
fn jobs_that_are_gone_or_never_begin_are_made_again_under_other_names() {
    check(&JOBS);
}

const RECREATED: Scenario = Scenario {
    name: "recreated",
    beginnings: || {
        let late = May { delete: 2, recreate: 1, late: 1, ..May::default() };
        let crash = May { late: 0, crash: 1, ..late };
        spoken(late).into_iter().chain(spoken(crash)).collect()
    },
    at_least: 60_000,
    walks: &["create", "delete after-final-backup", "delete drop", "delete retain"],
};

#[test]
fn an_object_that_is_made_again_does_not_get_what_was_another_s() {
    check(&RECREATED);
}

const BUCKET: Scenario = Scenario {
    name: "bucket",
    beginnings: || spoken(May { crash: 1, delete: 1, bucket: 2, policy: 1, ..May::default() }),
    at_least: 100_000,
    walks: &["backup-before-delete again", "delete final-backup-lost", "delete after-final-backup"],
};

#[test]
fn a_final_backup_that_is_lost_or_forged_counts_for_nothing() {
    check(&BUCKET);
}

const BACKUP: Scenario = Scenario {
    name: "backup",
    beginnings: || {
        let may = May { crash: 1, delete: 1, backup: 1, withdraw: 1, ..May::default() };
        let late = May { crash: 0, late: 1, ..may };
        spoken(may).into_iter().chain(spoken(late)).collect()
    },
    at_least: 150_000,
    walks: &["backup", "backup deletable", "backup withdrawn", "delete-backup"],
};

#[test]
fn a_backup_is_made_or_given_up() {
    check(&BACKUP);
}

const RESTORE: Scenario = Scenario {
    name: "restore",
    beginnings: || {
        let may = May { crash: 1, delete: 1, restore: 1, withdraw: 1, ..May::default() };
        let of_backup = May { backup: 1, crash: 0, withdraw: 0, ..may };
        let late = May { crash: 0, late: 1, ..may };
        // One that came late beside one that has lost the lock, and it dies: only the claim keeps them apart.
        let alone = May { crash: 2, late: 1, lose_lock: 1, restore: 1, ..May::default() };
        let all = spoken(may).into_iter().chain(spoken(of_backup)).chain(spoken(late));
        all.chain([beginning(Some(Policy::Delete), true, alone)]).collect()
    },
    at_least: 70_000,
    walks: &[
        "restore into-empty",
        "restore overwrite",
        "restore resumed",
        "restore loaded",
        "restore withdrawn",
    ],
};

#[test]
fn a_restore_is_loaded_or_given_up() {
    check(&RESTORE);
}

const NAMESPACE: Scenario = Scenario {
    name: "namespace",
    beginnings: || spoken(May { crash: 1, terminate: 1, backup: 1, stick: 1, ..May::default() }),
    at_least: 80_000,
    walks: &["release backup", "release database"],
};

#[test]
fn a_namespace_ends() {
    check(&NAMESPACE);
}

/// Those that do nothing which another one does not do: what is recorded is not done again, and a Backup whose owner has
/// taken its word back is let go.
const NOT_WALKED: [&str; 2] = ["backup-before-delete recorded", "delete-backup retain"];

#[test]
fn every_path_of_the_protocol_is_walked_in_some_scenario() {
    let scenarios = [LIFE, LOCKS, JOBS, RECREATED, BUCKET, BACKUP, RESTORE, NAMESPACE];
    let walked: BTreeSet<_> =
        scenarios.iter().flat_map(|scenario| scenario.walks).chain(&NOT_WALKED).collect();
    for number in 0..PATHS.len() {
        let path = name(u8::try_from(number).unwrap());
        assert!(walked.contains(&path.as_str()), "nothing walks `{path}`: the model is to know it");
    }
}
