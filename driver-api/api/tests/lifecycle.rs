//! The lifecycle, enumerated into a table that people review. `make generate` writes it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail on the spot")]

use std::fmt::Write;
use std::path::PathBuf;

use api::Operation;
use api::lifecycle::{Intent, backup_may_follow, may_follow, permits, restore_may_follow};
use api::{BackupPhase, DatabasePhase, RestorePhase};

fn phases() -> impl Iterator<Item = Option<DatabasePhase>> {
    std::iter::once(None).chain(DatabasePhase::ALL.map(Some))
}

fn name<P: std::fmt::Debug>(phase: Option<P>) -> String {
    phase.map_or_else(|| "(none)".to_owned(), |phase| format!("{phase:?}"))
}

/// One row for each phase of a kind: which may follow it.
fn follow<P: Copy + PartialEq + std::fmt::Debug>(
    text: &mut String,
    kind: &str,
    all: &[P],
    may_follow: impl Fn(Option<P>, P) -> bool,
) {
    for from in std::iter::once(None).chain(all.iter().copied().map(Some)) {
        let to = all.iter().filter(|to| Some(**to) != from && may_follow(from, **to));
        let names: Vec<_> = to.map(|to| format!("{to:?}")).collect();
        let first = format!("{kind}{}", name(from));
        writeln!(text, "{}", cells([(&first, 30)]) + "-> " + &names.join(", ")).unwrap();
    }
}

/// Cells side by side, each as wide as said, and a space between.
fn cells<const N: usize>(cells: [(&str, usize); N]) -> String {
    let wide = cells.map(|(cell, width)| {
        assert!(cell.len() <= width, "{cell:?} is wider than its column");
        format!("{cell:width$} ")
    });
    wide.concat()
}

fn table() -> String {
    let mut text = String::from("Which phase may follow which. A phase may always be written again.\n\n");
    follow(&mut text, "", &DatabasePhase::ALL, may_follow);
    follow(&mut text, "Backup ", &BackupPhase::ALL, backup_may_follow);
    follow(&mut text, "Restore ", &RestorePhase::ALL, restore_may_follow);
    for (was_created, title) in [(false, "never complete yet"), (true, "complete once")] {
        writeln!(text, "\nWhich operations may act on a database that was {title}.\n").unwrap();
        let mut row = |[first, keep, delete, backup, retain]: [&str; 5]| {
            let line = cells([(first, 30), (keep, 30), (delete, 22), (backup, 48)]);
            writeln!(text, "{line}{retain}").unwrap();
        };
        row(["", "Keep", "Delete", "BackupThenDelete", "Retain"]);
        for phase in phases() {
            let permitted = Intent::ALL.map(|intent| {
                let permitted = Operation::ALL.into_iter().filter(|operation| {
                    // Release is permitted whenever a deletion is asked for.
                    *operation != Operation::Release && permits(*operation, phase, intent, was_created)
                });
                let names: Vec<_> = permitted.map(Operation::as_str).collect();
                if names.is_empty() { "-".to_owned() } else { names.join(" ") }
            });
            let [keep, delete, backup, retain] = &permitted;
            row([&name(phase), keep, delete, backup, retain]);
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
