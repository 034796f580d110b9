//! The lifecycle, enumerated into a table that people review. `make generate` writes it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail on the spot")]

use std::fmt::Write;
use std::path::PathBuf;

use api::Operation;
use api::lifecycle::{Intent, backup_may_follow, may_follow, permits};
use api::{BackupPhase, DatabasePhase};

fn phases() -> impl Iterator<Item = Option<DatabasePhase>> {
    std::iter::once(None).chain(DatabasePhase::ALL.map(Some))
}

fn name<P: std::fmt::Debug>(phase: Option<P>) -> String {
    phase.map_or_else(|| "(none)".to_owned(), |phase| format!("{phase:?}"))
}

fn table() -> String {
    let mut text = String::from("Which phase may follow which. A phase may always be written again.\n\n");
    for from in phases() {
        let to: Vec<_> = DatabasePhase::ALL
            .into_iter()
            .filter(|to| Some(*to) != from && may_follow(from, *to))
            .map(|to| format!("{to:?}"))
            .collect();
        writeln!(text, "{:30} -> {}", name(from), to.join(", ")).unwrap();
    }
    for from in std::iter::once(None).chain(BackupPhase::ALL.map(Some)) {
        let to: Vec<_> = BackupPhase::ALL
            .into_iter()
            .filter(|to| Some(*to) != from && backup_may_follow(from, *to))
            .map(|to| format!("{to:?}"))
            .collect();
        writeln!(text, "{:30} -> {}", format!("Backup {}", name(from)), to.join(", ")).unwrap();
    }
    for (was_created, title) in [(false, "never complete yet"), (true, "complete once")] {
        writeln!(text, "\nWhich operations may act on a database that was {title}.\n").unwrap();
        writeln!(text, "{:30} {:24} {:22} {:34} Retain", "", "Keep", "Delete", "BackupThenDelete").unwrap();
        for phase in phases() {
            let cells = Intent::ALL.map(|intent| {
                let permitted = Operation::ALL.into_iter().filter(|operation| {
                    // Release is permitted whenever a deletion is asked for.
                    *operation != Operation::Release && permits(*operation, phase, intent, was_created)
                });
                let names: Vec<_> = permitted.map(Operation::as_str).collect();
                if names.is_empty() { "-".to_owned() } else { names.join(" ") }
            });
            let [keep, delete, backup, retain] = &cells;
            writeln!(text, "{:30} {keep:24} {delete:22} {backup:34} {retain}", name(phase)).unwrap();
        }
    }
    text
}

#[test]
fn the_lifecycle_is_what_the_reviewed_table_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lifecycle.txt");
    expectorate::assert_contents(path, &table());
}

#[test]
fn nothing_is_deleted_that_nobody_deletes() {
    for phase in phases() {
        for was_created in [false, true] {
            for operation in [Operation::Delete, Operation::Release, Operation::BackupBeforeDelete] {
                assert!(!permits(operation, phase, Intent::Keep, was_created), "{operation} in {phase:?}");
            }
        }
    }
}

#[test]
fn every_phase_of_a_life_is_reached_and_left() {
    use DatabasePhase as P;
    let create = [P::Creating, P::Created];
    let backup = [P::Created, P::BackupRequested, P::BackupInProgress, P::BackupCompleted, P::Created];
    let end = [P::DeletionRequested, P::DeletionInProgress, P::Deleted];
    let last_backup = [
        P::Created,
        P::BackupBeforeDeleteRequested,
        P::BackupBeforeDeleteInProgress,
        P::BackupBeforeDeleteCompleted,
    ];
    let with_backup: Vec<_> = last_backup.into_iter().chain(end).collect();
    let without: Vec<_> = std::iter::once(P::Created).chain(end).collect();
    for story in [&create[..], &backup[..], &with_backup[..], &without[..]] {
        for pair in story.windows(2) {
            assert!(may_follow(Some(pair[0]), pair[1]), "{pair:?}");
        }
    }
    assert!(may_follow(None, P::Creating));
    // Nothing comes back from a deletion.
    for from in end {
        assert!(!may_follow(Some(from), P::Created) && !may_follow(Some(from), P::Creating));
    }
}
