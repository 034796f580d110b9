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
        left: false,
        terminating: false,
        spent: Vec::new(),
        used: Vec::new(),
        forgot: false,
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
