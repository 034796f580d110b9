//! Restores that die, are deleted, or are overtaken half way.

use serde_json::json;

use super::assert_failed;
use super::objects::{Kind, Objects};
use super::operator::{runs_to_rest, settle};
use super::restore::{assert_restored, overwriting};
use super::stored::Stored;
use api::Operation;
use api::Reason;

#[tokio::test]
async fn a_restore_that_is_deleted_after_it_locked_the_login_out_lets_it_in_again() {
    let stored = Stored::alone(&[]).await;
    stored.ask_backup("nightly");
    settle(&stored.world).await;
    stored.ask_restore("back", "nightly", false);
    stored.killed_at(6, Operation::Restore).await;
    assert!(!stored.world.login_works());
    stored.world.api.objects(|objects| objects.delete(Kind::Restore, "back"));
    settle(&stored.world).await;
    assert!(stored.world.login_works());
    assert_eq!(stored.world.phase().unwrap(), "Created");
}

#[tokio::test]
async fn a_restore_that_is_deleted_half_way_says_what_to_do_and_another_one_finishes() {
    let stored = overwriting().await;
    stored.killed_at(8, Operation::Restore).await;
    assert_eq!(stored.world.phase().unwrap(), "RestoreInProgress");
    assert!(!stored.world.login_works());
    stored.world.api.objects(|objects| objects.delete(Kind::Restore, "back"));
    for _ in 0..2 {
        let outcome = stored.world.run(Operation::Restore).await;
        assert!(assert_failed(&outcome, Reason::BackupMissing).contains("apply one again"));
    }
    assert_eq!(stored.world.condition("Ready").unwrap().1, "BackupMissing");
    // What is there is given up already.
    stored.ask_restore("again", "nightly", false);
    settle(&stored.world).await;
    assert_restored(&stored);
    assert_eq!(stored.ready(Kind::Restore, "again").0, "True");
}

#[tokio::test]
async fn a_restore_that_was_complete_long_ago_does_not_stand_for_one_that_is_half_way() {
    let stored = overwriting().await;
    let late = stored.world.assignment(Operation::Restore);
    settle(&stored.world).await;
    stored.ask_restore("second", "nightly", true);
    stored.killed_at(8, Operation::Restore).await;
    let outcome = super::perform(&stored.server().driver(), stored.world.api.client(), &late).await;
    assert_failed(&outcome, Reason::Superseded);
    assert!(!stored.world.login_works(), "nobody is let into what is half loaded");
    settle(&stored.world).await;
    assert_restored(&stored);
}

#[tokio::test]
async fn what_is_loaded_needs_neither_its_backup_nor_its_restore_any_more() {
    let stored = overwriting().await;
    // All is loaded, and the run dies before the Database says so.
    stored.killed_at(9, Operation::Restore).await;
    stored.tamper("manifest.json", |_| None).await;
    stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
    settle(&stored.world).await;
    assert_restored(&stored);

    let stored = overwriting().await;
    stored.killed_at(10, Operation::Restore).await;
    stored.world.api.objects(Objects::delete_all);
    settle(&stored.world).await;
    assert_restored(&stored);
}

#[tokio::test]
async fn a_row_that_a_working_login_commits_between_two_runs_is_not_loaded_over() {
    let mut committed = 0;
    for index in 0..12 {
        let stored = overwriting().await;
        stored.killed_at(index, Operation::Restore).await;
        let taken = stored.server().commit(&Stored::target(), "after").is_ok();
        stored.world.api.objects(|objects| objects.delete(Kind::Restore, "back"));
        stored.ask_restore("again", "nightly", false);
        runs_to_rest(&stored.world).await;
        assert_eq!(stored.rows().unwrap().contains(&"after".to_owned()), taken, "killed at request {index}");
        assert_eq!(stored.world.phase().unwrap(), "Created");
        assert!(stored.world.login_works());
        committed += usize::from(taken);
    }
    // It does not work from the claim on until all is loaded.
    assert_eq!(committed, 7);
}

#[tokio::test]
async fn a_deletion_in_any_phase_of_a_restore_saves_all_rows_that_were_not_given_up() {
    let every = ["one", "two", "new"];
    for (index, phase, saved) in [
        (6, "RestoreRequested", &every[..]),
        (8, "RestoreInProgress", &every[..2]),
        (10, "RestoreCompleted", &every[..2]),
    ] {
        for policy in ["BackupThenDelete", "Delete"] {
            let stored = overwriting().await;
            stored.killed_at(index, Operation::Restore).await;
            assert_eq!(stored.world.phase().as_deref(), Some(phase));
            stored.world.api.edit(|database| database["spec"]["deletionPolicy"] = json!(policy));
            stored.world.api.delete();
            settle(&stored.world).await;
            assert_eq!(
                (stored.world.api.database(), stored.world.server.counts()),
                (None, (0, 0)),
                "{phase}"
            );
            let dumped = stored.dumped_final().await;
            assert_eq!(dumped.is_some(), policy == "BackupThenDelete", "{phase}");
            assert!(dumped.is_none_or(|rows| rows == saved), "{phase}");
        }
    }
}
