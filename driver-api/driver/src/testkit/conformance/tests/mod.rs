//! The rules hold for the engine in memory, and each is broken by a broken one.

mod content;
mod contract;
mod engine;
mod flaw;
mod harness;
mod wire;

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::rules::{RULES, run};
use crate::testkit::memory::MemoryDriver;
use engine::Engine;
use flaw::Flaw;
use harness::Memory;

/// The driver that authors read first.
mod of_the_memory_driver {
    crate::conformance!(super::Memory<super::MemoryDriver>);
}

/// The same behind a connection, and without a flaw.
mod of_the_engine_behind_a_connection {
    crate::conformance!(super::Memory<super::Engine>);
}

/// Else it would not be its flaw that an engine without a connection is caught by.
#[test]
fn the_engine_keeps_the_rules_without_a_connection_too() {
    for rule in RULES {
        let report = run(&Memory::<Engine>::without_connection(None), rule.name);
        assert_eq!(report.result, Ok(()), "{}", rule.name);
    }
}

#[test]
fn each_flaw_is_caught_by_its_rules() {
    let cases: Vec<_> =
        Flaw::ALL.iter().flat_map(|flaw| flaw.caught_by().iter().map(|rule| (*flaw, *rule))).collect();
    let (queue, toothless) = (Mutex::new(cases.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some((flaw, rule)) = next else { return };
                    let group = RULES.iter().find(|known| known.name == rule).map(|known| known.group);
                    let broken = if matches!(group, Some("faults" | "secrets")) {
                        Memory::<Engine>::new(Some(flaw))
                    } else {
                        Memory::<Engine>::without_connection(Some(flaw))
                    };
                    let report = run(&broken, rule);
                    match report.result {
                        Ok(()) => {
                            toothless.lock().unwrap().push(format!("{rule} holds in spite of {flaw:?}"));
                        }
                        Err(failure) => println!("{flaw:?} is caught by {rule}: {failure}"),
                    }
                }
            });
        }
    });
    let toothless = toothless.into_inner().unwrap();
    assert!(toothless.is_empty(), "{}", toothless.join("\n"));
}

#[test]
fn each_rule_catches_a_flaw_and_each_flaw_names_rules_that_are_there() {
    let caught: BTreeSet<_> = Flaw::ALL.iter().flat_map(|flaw| flaw.caught_by()).copied().collect();
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(rules.len(), RULES.len(), "two rules have one name");
    let without: Vec<_> = rules.difference(&caught).collect();
    assert!(without.is_empty(), "no flaw breaks these rules: {without:?}");
    let unknown: Vec<_> = caught.difference(&rules).collect();
    assert!(unknown.is_empty(), "flaws name rules that are not there: {unknown:?}");
}

/// A lease of the engine in memory never runs out, so who leaves a session open is not let in again. A run that is killed
/// has to.
#[test]
fn every_session_of_the_kit_is_closed() {
    for rule in RULES.iter().filter(|rule| rule.group != "death") {
        let memory = Memory::<MemoryDriver>::new(None);
        memory.lock_by_lease();
        assert_eq!(run(&memory, rule.name).result, Ok(()), "{}", rule.name);
    }
}

#[test]
fn what_cannot_be_shown_is_said() {
    let plain = run(&Memory::<MemoryDriver>::new(None), "a_closed_port_is_unreachable");
    assert_eq!(plain.result, Ok(()));
    assert_eq!(plain.not_shown, ["Tcp: it lives in memory, and has no address"]);
    let wired = run(&Memory::<Engine>::new(None), "a_closed_port_is_unreachable");
    assert_eq!((wired.result, wired.not_shown), (Ok(()), Vec::new()));
    let unknown = run(&Memory::<Engine>::new(None), "no_such_rule");
    assert_eq!(unknown.result, Err("there is no rule no_such_rule".into()));
}
