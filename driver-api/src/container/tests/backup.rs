//! What `backup` promises.

use serde_json::json;

use super::api_server::Fault;
use super::assert_failed;
use super::objects::Kind;
use super::operator::settle;
use super::stored::Stored;
use crate::container::outcome::Outcome;
use crate::error::ErrorKind;
use crate::lifecycle::Operation;

#[tokio::test]
async fn a_backup_is_claimed_written_and_completed_in_the_order_that_survives_a_crash() {
    let stored = Stored::alone(&["one", "two"]).await;
    let location = stored.ask_backup("nightly");
    assert_eq!(stored.world.run(Operation::Backup).await, Outcome::Done);
    assert_eq!(
        stored.world.api.requests(),
        [
            "GET database",
            "GET backup",
            "PATCH database status BackupRequested",
            "PATCH backup status Starting",
            "PATCH database status BackupInProgress",
            "PATCH backup status BackingUp",
            "PATCH backup status Completed",
            "PATCH database status BackupCompleted",
            "PATCH database status Created",
        ]
    );
    assert_eq!(stored.dumped(&location).await.unwrap(), ["one", "two"]);
    assert_eq!(stored.keys().await.len(), 2);
    let status = stored.status(Kind::Backup, "nightly");
    assert_eq!(status["location"], json!({"s3": stored.s3, "path": location}));
    assert_eq!((&status["progress"]["percent"], &status["databaseUid"]), (&json!(100), &json!("u-1")));
    assert_eq!(stored.ready(Kind::Backup, "nightly").0, "True");
    let database = stored.world.api.database().unwrap();
    assert!(database["status"]["activeOperation"].is_null());
    assert_eq!(stored.world.condition("Ready").unwrap().0, "True", "an application goes on meanwhile");
    assert!(stored.world.login_works());
}

#[tokio::test]
async fn a_backup_whose_manifest_exists_is_adopted_without_a_second_dump() {
    let stored = Stored::alone(&["one"]).await;
    let location = stored.ask_backup("nightly");
    // The manifest is in the store, and the run dies before it can say so.
    stored.world.api.fault_at(6, Fault::KilledBefore);
    assert_eq!(stored.world.try_run(Operation::Backup).await, None);
    stored.world.api.fault_at(usize::MAX, Fault::KilledBefore);
    let keys = stored.keys().await;
    stored.commit("later");
    settle(&stored.world).await;
    assert_eq!(stored.status(Kind::Backup, "nightly")["phase"], "Completed");
    assert_eq!((stored.dumped(&location).await.unwrap(), stored.keys().await), (vec!["one".to_owned()], keys));
}

#[tokio::test]
async fn a_manifest_of_another_database_is_not_adopted() {
    let stored = Stored::alone(&["one"]).await;
    stored.ask_backup("nightly");
    stored.world.api.fault_at(6, Fault::KilledBefore);
    assert_eq!(stored.world.try_run(Operation::Backup).await, None);
    stored.world.api.fault_at(usize::MAX, Fault::KilledBefore);
    let mut assignment = stored.world.assignment(Operation::Backup);
    assignment.uid = "u-2".to_owned();
    stored.world.api.edit(|database| {
        database["metadata"]["uid"] = json!("u-2");
        database["status"]["database"] = json!("orders");
    });
    let outcome = super::perform(&stored.server().driver(), stored.world.api.client(), &assignment).await;
    // Its mark on the server is another one already.
    assert_failed(&outcome, ErrorKind::DatabaseMissing);
    assert_ne!(stored.status(Kind::Backup, "nightly")["phase"], "Completed");
}
