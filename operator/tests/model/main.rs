//! The protocol between the operator, drivers and their surroundings, enumerated: every state that can be reached from a
//! Database that was just made, breadth first, with crashes between any two effects, launches that come late or from who
//! does not see the Jobs, lost locks, Jobs that expire, and people who change their minds at any time.
//!
//! What decides here is the operator's own code, from what its watches show to the Job that it launches, and the
//! permission code that the runtime asks before each write. What a run does, effect by effect, is read from
//! `driver-api/runtime/tests/protocol.txt`, which the runtime's own test writes.
//!
//! Two things are shown of each: no step breaks a promise ([`promises`]), and whatever has happened, what goes on by
//! itself comes to an end, and to one that is meant ([`ends`]). No path goes round for ever.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail on the spot")]

mod choice;
mod effects;
mod ends;
mod explore;
mod hasher;
mod normal;
mod promises;
mod protocol;
mod run;
mod state;
mod steps;
mod view;

use api::DeletionPolicy as Policy;

use crate::explore::{Found, explore};
use crate::state::{May, State};
use crate::steps::fresh;

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
        beside: false,
        next_uid: 1,
        may,
    }
}

/// Databases that say each policy, or nothing.
fn beginnings(may: May) -> Vec<State> {
    vec![
        beginning(None, true, may),
        beginning(None, false, may),
        beginning(Some(Policy::Delete), true, may),
        beginning(Some(Policy::BackupThenDelete), true, may),
        beginning(Some(Policy::Retain), true, may),
    ]
}

#[allow(clippy::print_stderr, reason = "how much was looked at belongs to the result")]
fn all(name: &str, beginnings: Vec<State>, at_least: usize) -> Found {
    let begun = std::time::Instant::now();
    let found = explore(beginnings);
    let Found { states, steps, ends } = &found;
    eprintln!("{name}: {states} states, {steps} steps, {:.1} s", begun.elapsed().as_secs_f64());
    for (why, count) in ends {
        eprintln!("  {count:7} ends: {why}");
    }
    assert!(*states >= at_least, "{name}: {states} states are too few to mean anything");
    found
}

#[test]
fn a_database_lives_and_goes_as_its_owner_says_at_last() {
    let may = May { crash: 1, delete: 1, policy: 1, change: 1, ..May::default() };
    all("life", beginnings(may), 1);
}

#[test]
fn a_lost_lock_and_a_late_launch_do_no_harm() {
    let may = May { crash: 1, delete: 1, lose_lock: 1, late: 1, ..May::default() };
    all("locks", beginnings(may), 1);
}

#[test]
fn jobs_that_are_gone_or_never_begin_are_made_again_under_other_names() {
    let may = May { crash: 2, delete: 1, expire: 2, restart: 1, stick: 1, ..May::default() };
    all("jobs", beginnings(may), 1);
}

#[test]
fn an_object_that_is_made_again_does_not_get_what_was_another_s() {
    let may = May { crash: 1, delete: 2, recreate: 1, late: 1, ..May::default() };
    all("recreated", beginnings(may), 1);
}

#[test]
fn a_final_backup_that_is_lost_or_forged_counts_for_nothing() {
    let may = May { crash: 1, delete: 1, bucket: 2, policy: 1, ..May::default() };
    all("bucket", beginnings(may), 1);
}

#[test]
fn a_backup_is_made_or_given_up() {
    let may = May { crash: 1, delete: 1, backup: 1, withdraw: 1, ..May::default() };
    all("backup", beginnings(may), 1);
}

#[test]
fn a_restore_is_loaded_or_given_up() {
    let may = May { crash: 1, delete: 1, restore: 1, withdraw: 1, ..May::default() };
    all("restore", beginnings(may), 1);
}

#[test]
fn a_namespace_ends() {
    let may = May { crash: 1, terminate: 1, backup: 1, stick: 1, ..May::default() };
    all("namespace", beginnings(may), 1);
}
