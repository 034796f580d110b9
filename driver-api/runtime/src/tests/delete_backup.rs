//! What `delete-backup` promises.

use serde_json::{Value, json};

use super::api_server::Fault;
use super::assert_failed;
use super::objects::{Kind, Objects};
use super::operator::settle;
use super::stored::Stored;
use crate::env::{Assignment, RequestName};
use crate::outcome::Outcome;
use api::Operation;
use api::Reason;

/// A Database with a Backup that is complete, and whose policy is `Delete`.
async fn backed_up() -> Stored {
    let stored = Stored::alone(&["one", "two"]).await;
    stored.ask_deletable_backup("nightly");
    settle(&stored.world).await;
    assert_eq!(stored.keys().await.len(), 2);
    stored
}

fn nightly(stored: &Stored) -> Option<Value> {
    stored.world.api.objects(|objects| objects.get(Kind::Backup, "nightly"))
}

fn delete(stored: &Stored) {
    stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
    assert!(nightly(stored).is_some(), "a finalizer holds it");
    stored.forget_requests();
}

fn edit(stored: &Stored, change: impl FnOnce(&mut Value)) {
    stored.world.api.objects(|objects: &mut Objects| objects.edit(Kind::Backup, "nightly", change));
}

fn retain(stored: &Stored) {
    edit(stored, |backup| backup["spec"]["deletionPolicy"] = json!("Retain"));
}

/// Nothing was deleted, and the Backup says why.
async fn assert_refused(stored: &Stored, reason: Reason, expected: &str) {
    let keys = stored.keys().await;
    assert_failed(&stored.world.run(Operation::DeleteBackup).await, reason);
    let (status, reason, message) = stored.ready(Kind::Backup, "nightly");
    assert_eq!((status.as_str(), reason.as_str()), ("False", reason.as_str()));
    assert!(message.contains(expected), "{message}");
    assert!(message.contains("set spec.deletionPolicy to Retain"), "{message}");
    assert_eq!(stored.keys().await, keys);
    retain(stored);
    assert_eq!(stored.world.run(Operation::DeleteBackup).await, Outcome::Done);
    assert_eq!((nightly(stored), stored.keys().await), (None, keys), "Retain lets it go");
}

#[tokio::test]
async fn the_finalizer_is_set_before_anything_is_stored() {
    let stored = Stored::alone(&["one"]).await;
    let location = stored.ask_deletable_backup("nightly");
    stored.killed_at(4, Operation::Backup).await;
    assert_eq!(stored.asked(), Vec::<String>::new(), "the store was asked for something before");
    let status = stored.status(Kind::Backup, "nightly");
    assert_eq!(status["location"], json!({"s3": stored.s3, "path": location}));
    assert_eq!((&status["driver"], &status["databaseUid"]), (&json!("memory"), &json!("u-1")));
    stored.forget_requests();
    settle(&stored.world).await;
    let asked = stored.world.api.requests();
    let at = |line: &str| asked.iter().position(|asked| asked == line);
    let guarded = at("PATCH backup finalizers [\"db.isotoma.com/backup\"]").unwrap();
    assert!(guarded < at("PATCH backup status BackingUp").unwrap(), "{asked:?}");
    assert_eq!(stored.ready(Kind::Backup, "nightly").0, "True");
}

#[tokio::test]
async fn a_backup_that_is_deleted_before_it_is_guarded_stores_nothing() {
    let stored = Stored::alone(&["one"]).await;
    stored.ask_deletable_backup("nightly");
    stored.world.api.fault_at(4, Fault::RequestsDeleted);
    assert_failed(&stored.world.run(Operation::Backup).await, Reason::Superseded);
    assert_eq!((nightly(&stored), stored.keys().await.len()), (None, 0));
}

#[tokio::test]
async fn without_the_policy_a_backup_has_no_finalizer_and_what_is_stored_stays() {
    let stored = Stored::alone(&["one"]).await;
    let location = stored.ask_backup("nightly");
    settle(&stored.world).await;
    stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
    assert_eq!(nightly(&stored), None);
    assert_eq!(stored.dumped(&location).await.unwrap(), ["one"]);
}

#[tokio::test]
async fn what_is_stored_is_deleted_and_then_the_finalizer_goes() {
    let stored = backed_up().await;
    let other = stored.ask_backup("other");
    settle(&stored.world).await;
    delete(&stored);
    assert_eq!(stored.world.run(Operation::DeleteBackup).await, Outcome::Done);
    assert_eq!(
        stored.world.api.requests(),
        [
            "GET backup",
            "PATCH backup status Completed",
            "PATCH backup status Completed",
            "PATCH backup finalizers []",
        ]
    );
    assert_eq!((nightly(&stored), stored.keys().await.len()), (None, 2));
    assert_eq!(stored.dumped(&other).await.unwrap(), ["one", "two"]);
    // Nor does a run that comes late, or twice, find anything to do.
    let late = Assignment {
        request: Some(RequestName { name: "nightly".to_owned(), uid: "backup-1".to_owned() }),
        ..stored.world.assignment(Operation::DeleteBackup)
    };
    let outcome = super::perform(&stored.server().driver(), stored.world.api.client(), &late).await;
    assert_eq!((outcome, stored.keys().await.len()), (Outcome::Done, 2));
}

#[tokio::test]
async fn what_is_stored_is_deleted_though_the_database_is_gone() {
    let stored = backed_up().await;
    stored.world.api.edit(|database| database["spec"]["deletionPolicy"] = json!("Delete"));
    stored.world.api.delete();
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.keys().await.len()), (None, 2));
    delete(&stored);
    settle(&stored.world).await;
    assert_eq!((nightly(&stored), stored.keys().await.len()), (None, 0));
}

#[tokio::test]
async fn nobody_deletes_what_nobody_asks_to_delete() {
    let stored = backed_up().await;
    let name = RequestName { name: "nightly".to_owned(), uid: "backup-1".to_owned() };
    let run = Assignment { request: Some(name), ..stored.world.assignment(Operation::DeleteBackup) };
    let outcome = super::perform(&stored.server().driver(), stored.world.api.client(), &run).await;
    assert_eq!((outcome, stored.keys().await.len()), (Outcome::Done, 2));
}

#[tokio::test]
async fn a_policy_that_became_retain_keeps_what_is_stored() {
    let stored = backed_up().await;
    delete(&stored);
    retain(&stored);
    assert_eq!(stored.world.run(Operation::DeleteBackup).await, Outcome::Done);
    assert_eq!(stored.world.api.requests(), ["GET backup", "PATCH backup finalizers []"]);
    assert_eq!((nightly(&stored), stored.keys().await.len()), (None, 2));
}

#[tokio::test]
async fn the_parts_of_a_backup_that_never_was_complete_are_deleted() {
    let whole = backed_up().await;
    for index in 0..whole.asked().len() {
        let stored = Stored::alone(&["one", "two"]).await;
        stored.ask_deletable_backup("nightly");
        stored.fault_at(index, super::stored::StoreFault::KilledAfter);
        let _ = stored.world.try_run(Operation::Backup).await;
        delete(&stored);
        settle(&stored.world).await;
        assert_eq!((nightly(&stored), stored.keys().await.len()), (None, 0), "died at request {index}");
    }
}

/// An operator waits until the writer has ended. This one errs.
#[tokio::test]
async fn a_writer_beside_the_deletion_clears_up_after_itself() {
    for asked in 1..4 {
        let stored = Stored::alone(&["one", "two"]).await;
        stored.ask_deletable_backup("nightly");
        let writer = stored.world.run(Operation::Backup);
        let deletion = async {
            while stored.asked().len() < asked {
                tokio::task::yield_now().await;
            }
            stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
            stored.world.run(Operation::DeleteBackup).await
        };
        let (written, deleted) = tokio::join!(writer, deletion);
        assert_failed(&written, Reason::Superseded);
        assert_eq!(deleted, Outcome::Done);
        assert_eq!((nightly(&stored), stored.keys().await.len()), (None, 0), "at request {asked}");
        assert_eq!(stored.world.phase().as_deref(), Some("Created"));
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_this_backups_is_not_deleted() {
    let of_another_backup = |manifest: Vec<u8>| {
        String::from_utf8(manifest).unwrap().replace("\"backup-1\"", "\"backup-2\"").into_bytes()
    };
    let stored = backed_up().await;
    stored.tamper("manifest.json", |manifest| Some(of_another_backup(manifest))).await;
    delete(&stored);
    assert_refused(&stored, Reason::BackupDamaged, "uid backup-2").await;
}

#[tokio::test]
async fn a_folder_that_is_not_this_backups_is_not_deleted() {
    let stored = backed_up().await;
    edit(&stored, |backup| backup["status"]["location"]["path"] = json!("shop/orders/final-u-1"));
    delete(&stored);
    assert_refused(&stored, Reason::Invalid, "shop/orders/backup-1").await;
}

#[tokio::test]
async fn a_store_that_cannot_be_asked_is_told_and_repairing_it_is_enough() {
    for (field, value, kind, expected) in [
        ("bucket", json!("there-is-none"), Reason::BucketMissing, "there-is-none"),
        (
            "credentials",
            json!({"accessKeyId": {"value": "test"}, "secretAccessKey": {"value": "wrong-secret"}}),
            Reason::StorageDenied,
            "access key",
        ),
    ] {
        let stored = backed_up().await;
        edit(&stored, |backup| backup["status"]["location"]["s3"][field] = value);
        delete(&stored);
        assert_failed(&stored.world.run(Operation::DeleteBackup).await, kind);
        assert!(!stored.ready(Kind::Backup, "nightly").2.contains("wrong-secret"));
        edit(&stored, |backup| backup["status"]["location"]["s3"] = stored.s3.clone());
        assert_eq!(stored.world.run(Operation::DeleteBackup).await, Outcome::Done);
        assert_eq!((nightly(&stored), stored.keys().await.len()), (None, 0));
        // And so is to retain what is there.
        let stored = backed_up().await;
        edit(&stored, |backup| backup["status"]["location"]["s3"]["bucket"] = json!("there-is-none"));
        delete(&stored);
        let expected = if field == "bucket" { expected } else { "there-is-none" };
        assert_refused(&stored, Reason::BucketMissing, expected).await;
    }
}

#[tokio::test]
async fn a_restore_from_a_backup_that_is_deleted_meanwhile_says_so() {
    let stored = backed_up().await;
    stored.ask_restore("back", "nightly", true);
    delete(&stored);
    assert_failed(&stored.world.run(Operation::Restore).await, Reason::BackupMissing);
    let (_, reason, message) = stored.ready(Kind::Restore, "back");
    assert!(reason == "BackupMissing" && message.contains("is being deleted"), "{message}");
    assert_eq!(stored.rows().unwrap(), ["one", "two"]);
}
