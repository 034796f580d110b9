//! What `backup-before-delete` promises, and that `delete` believes nothing else.

use serde_json::json;

use super::api_server::Fault;
use super::assert_failed;
use super::objects::Kind;
use super::operator::settle;
use super::stored::{StoreFault, Stored};
use crate::outcome::Outcome;
use api::Operation;
use api::{Reason, Retry};

/// Name of the Backup that records it.
fn record(stored: &Stored) -> String {
    let all = stored.world.api.objects(|objects| objects.all(Kind::Backup));
    all[0]["metadata"]["name"].as_str().unwrap().to_owned()
}

async fn deleted(rows: &[&str]) -> Stored {
    let stored = Stored::alone(rows).await;
    stored.world.api.delete();
    stored
}

/// A Database whose final backup is complete.
async fn saved() -> Stored {
    let stored = deleted(&["one"]).await;
    assert_eq!(stored.world.run(Operation::BackupBeforeDelete).await, Outcome::Done);
    stored
}

#[tokio::test]
async fn a_final_backup_locks_out_writes_and_reads_back_before_anything_is_dropped() {
    let stored = deleted(&["one", "two"]).await;
    assert_eq!(stored.world.run(Operation::BackupBeforeDelete).await, Outcome::Done);
    let record = record(&stored);
    let made = format!("POST backup {record}");
    assert_eq!(
        stored.world.api.requests(),
        [
            "GET database",
            "GET backup",
            made.as_str(),
            "PATCH database status BackupBeforeDeleteRequested",
            "PATCH backup status Starting",
            "PATCH database status BackupBeforeDeleteInProgress",
            "PATCH backup status BackingUp",
            "GET backup",
            "PATCH backup status Completed",
            "PATCH database status BackupBeforeDeleteCompleted",
        ]
    );
    let asked = stored.asked();
    let written = asked.iter().rposition(|line| line.contains("manifest.json") && line.starts_with("PUT"));
    let read_back = asked.iter().rposition(|line| line.contains("/seg-") && line.starts_with("GET"));
    assert!(written < read_back, "{asked:?}");
    assert!(stored.server().commit(&Stored::target(), "late").is_err(), "a row would be lost");
    assert_eq!(stored.dumped_final().await.unwrap(), ["one", "two"]);
    let object = stored.world.api.objects(|objects| objects.get(Kind::Backup, &record)).unwrap();
    assert_eq!(object["metadata"]["labels"]["db.isotoma.com/uid"], "u-1");
    assert!(object["metadata"]["ownerReferences"].is_null(), "it outlives the Database");

    assert_eq!(stored.world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!((stored.world.api.database(), stored.world.server.counts()), (None, (0, 0)));
    assert_eq!(stored.dumped_final().await.unwrap(), ["one", "two"]);
}

/// A request by which a final backup is read back.
fn reads_a_segment(line: &str) -> bool {
    line.starts_with("GET") && line.contains("/seg-")
}

#[tokio::test]
async fn a_final_backup_that_is_damaged_is_not_recorded_and_the_next_run_makes_another() {
    let stored = deleted(&["one"]).await;
    let run = stored.world.run(Operation::BackupBeforeDelete);
    let outcome = stored.while_held(reads_a_segment, run, async || stored.damage().await).await;
    assert_failed(&outcome, Reason::BackupDamaged);
    let announced = stored.world.api.database().unwrap()["status"]["finalBackup"].clone();
    assert!(announced["attempt"].is_string() && announced["checksum"].is_null(), "{announced}");
    assert_eq!(stored.ready(Kind::Backup, &record(&stored)).0, "False", "there is none now");
    assert_eq!(stored.rows().unwrap(), ["one"]);

    assert_eq!(stored.world.run(Operation::BackupBeforeDelete).await, Outcome::Done);
    assert_eq!(stored.keys().await.len(), 2, "nothing is left of the first attempt");
    assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
    let checksum = json!(driver::names::sha256(&stored.content("manifest.json").await));
    assert_eq!(stored.status(Kind::Backup, &record(&stored))["checksum"], checksum);
    assert_eq!(stored.world.api.database().unwrap()["status"]["finalBackup"]["checksum"], checksum);
    assert_eq!(stored.ready(Kind::Backup, &record(&stored)).0, "True");
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
}

#[tokio::test]
async fn a_record_that_somebody_deletes_is_made_again_without_a_long_wait() {
    let mut index = 0;
    loop {
        let stored = deleted(&["one"]).await;
        stored.world.api.fault_at(index, Fault::RequestsDeleted);
        let first = stored.world.run(Operation::BackupBeforeDelete).await;
        let was_met = stored.world.api.requests().len() > index;
        stored.world.api.heal();
        if let Outcome::Failed { reason, message, .. } = &first {
            assert_ne!(reason.retry(), Retry::Never, "at request {index}: {message}");
            assert_eq!(stored.world.run(Operation::BackupBeforeDelete).await, Outcome::Done);
        }
        let database = stored.world.api.database().unwrap();
        assert_eq!(database["status"]["phase"], "BackupBeforeDeleteCompleted", "at request {index}");
        assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
        if !was_met {
            assert_eq!(stored.ready(Kind::Backup, &record(&stored)).0, "True");
            return;
        }
        index += 1;
    }
}

#[tokio::test]
async fn no_phase_stands_for_a_final_backup() {
    for phase in ["DeletionRequested", "DeletionInProgress", "Deleted"] {
        let stored = forged(phase).await;
        let outcome = stored.world.run(Operation::Delete).await;
        let message = assert_failed(&outcome, Reason::BackupMissing);
        assert!(message.contains("the database is kept"), "{message}");
        assert_eq!(stored.rows().unwrap(), ["one"], "dropped in phase {phase}");
        assert_eq!(stored.world.condition("Ready").unwrap().1, "BackupMissing");
        // The owner's word ends it.
        stored.world.api.edit(|database| database["spec"]["deletionPolicy"] = json!("Delete"));
        assert_eq!(stored.world.run(Operation::Delete).await, Outcome::Done);
        assert_eq!(stored.rows(), None);
    }
    let stored = forged("BackupBeforeDeleteCompleted").await;
    assert_made_again_before_the_drop(&stored).await;
}

/// A Database in a phase that somebody wrote, beside a Backup that somebody calls complete.
async fn forged(phase: &str) -> Stored {
    let stored = deleted(&["one"]).await;
    stored.killed_at(3, Operation::BackupBeforeDelete).await;
    stored.world.api.objects(super::objects::Objects::complete_all);
    stored.world.api.edit(|database| database["status"]["phase"] = json!(phase));
    stored
}

/// The drop gives way to another final backup, and comes after it.
async fn assert_made_again_before_the_drop(stored: &Stored) {
    assert_failed(&stored.world.run(Operation::Delete).await, Reason::Superseded);
    assert_eq!(stored.world.phase().unwrap(), "BackupBeforeDeleteRequested");
    assert_eq!(stored.rows().unwrap(), ["one"]);
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
    assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
    assert_eq!(stored.status(Kind::Backup, &record(stored))["phase"], "Completed");
    assert_eq!(stored.ready(Kind::Backup, &record(stored)).0, "True");
}

#[tokio::test]
async fn a_final_backup_that_is_lost_before_the_drop_is_made_again() {
    let shorten = |mut content: Vec<u8>| content.pop().map(|_| content);
    for (ending, change) in [("manifest.json", None), (".zst", None), (".zst", Some(shorten))] {
        let stored = saved().await;
        stored.tamper(ending, |content| change.and_then(|change| change(content))).await;
        assert_made_again_before_the_drop(&stored).await;
    }
}

#[tokio::test]
async fn a_final_backup_from_before_encryption_was_asked_for_is_not_what_is_kept() {
    // The run dies before it says that the Backup is complete, and after.
    for index in [7, 8] {
        let stored = deleted(&["one"]).await;
        stored.killed_at(index, Operation::BackupBeforeDelete).await;
        assert_eq!(stored.dumped_final().await.unwrap(), ["one"], "anybody can read it");
        let key = age::x25519::Identity::generate().to_public().to_string();
        stored.encrypt_to(&[&key]);
        settle(&stored.world).await;
        assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
        assert_eq!(stored.recipients(&stored.final_backup().await.unwrap()).await, [key]);
        assert_eq!(stored.keys().await.len(), 2, "nothing is left of the one that anybody can read");
        assert_eq!(stored.ready(Kind::Backup, &record(&stored)).0, "True");
    }
}

#[tokio::test]
async fn nobody_waits_for_a_final_backup_that_the_owner_has_given_up() {
    // The run dies before it has claimed the Database, and after.
    for (index, policy) in [(3, "Delete"), (6, "Delete"), (6, "Retain")] {
        let stored = deleted(&["one"]).await;
        stored.killed_at(index, Operation::BackupBeforeDelete).await;
        stored.world.api.edit(|database| database["spec"]["deletionPolicy"] = json!(policy));
        settle(&stored.world).await;
        assert_eq!(stored.world.api.database(), None);
        let (ready, reason, message) = stored.ready(Kind::Backup, &record(&stored));
        assert_eq!((ready.as_str(), reason.as_str()), ("False", "Superseded"));
        assert!(message.contains(&format!("deletionPolicy {policy}")), "{message}");
        let conditions = &stored.status(Kind::Backup, &record(&stored))["conditions"];
        let stalled = conditions.as_array().unwrap().iter().find(|one| one["type"] == "Stalled").unwrap();
        assert_eq!(stalled["status"], "True");
    }
    // One that is complete stays so.
    let stored = saved().await;
    stored.world.api.edit(|database| database["spec"]["deletionPolicy"] = json!("Delete"));
    settle(&stored.world).await;
    assert_eq!(stored.ready(Kind::Backup, &record(&stored)).0, "True");
}

#[tokio::test]
async fn a_run_that_has_lost_its_lock_does_not_call_the_final_backup_verified() {
    let seen = saved().await.asked();
    let read_back = seen.iter().rposition(|line| line.contains("/seg-") && line.starts_with("GET")).unwrap();
    let stored = deleted(&["one"]).await;
    stored.fault_at(read_back, StoreFault::LockLost);
    assert_failed(&stored.world.run(Operation::BackupBeforeDelete).await, Reason::Unreachable);
    assert_eq!(stored.world.phase().unwrap(), "BackupBeforeDeleteInProgress");
    assert_ne!(stored.status(Kind::Backup, &record(&stored))["phase"], "Completed");
    settle(&stored.world).await;
    assert_eq!((stored.rows(), stored.dumped_final().await.unwrap()), (None, vec!["one".to_owned()]));
}

#[tokio::test]
async fn a_place_for_backups_that_changes_before_the_drop_gets_the_final_backup_too() {
    let stored = saved().await;
    let prefix = format!("{}/elsewhere", stored.s3["prefix"].as_str().unwrap().trim_end_matches('/'));
    stored.world.api.edit(|database| database["spec"]["backupTo"]["s3"]["prefix"] = json!(prefix));
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
    assert_eq!(stored.keys().await.len(), 4, "two backups of a manifest and a segment each");
    let status = stored.status(Kind::Backup, &record(&stored));
    assert_eq!(
        status["location"]["s3"]["prefix"],
        json!(prefix),
        "it says where the one is that is asked for"
    );
}

#[tokio::test]
async fn while_a_final_backup_that_was_lost_is_made_again_its_record_does_not_call_it_ready() {
    let stored = saved().await;
    stored.tamper("manifest.json", |_| None).await;
    assert_failed(&stored.world.run(Operation::Delete).await, Reason::Superseded);
    stored.world.api.fault_at(6, Fault::KilledBefore);
    assert_eq!(stored.world.try_run(Operation::BackupBeforeDelete).await, None);
    let (ready, reason, _) = stored.ready(Kind::Backup, &record(&stored));
    assert_eq!((ready.as_str(), reason.as_str()), ("False", "Starting"));
}

#[tokio::test]
async fn a_database_that_is_gone_with_its_final_backup_does_not_wait_for_another() {
    let stored = saved().await;
    stored.tamper("manifest.json", |_| None).await;
    stored.server().lose("orders");
    assert_failed(&stored.world.run(Operation::Delete).await, Reason::BackupMissing);
    assert_eq!(stored.world.phase().unwrap(), "BackupBeforeDeleteCompleted");
}

#[tokio::test]
async fn a_policy_that_becomes_retain_during_a_final_backup_keeps_the_database() {
    for index in 0..9 {
        let stored = deleted(&["one"]).await;
        stored.world.api.fault_at(index, Fault::Retained);
        stored.world.run(Operation::BackupBeforeDelete).await;
        settle(&stored.world).await;
        assert_eq!(stored.world.api.database(), None);
        assert_eq!(stored.rows().unwrap(), ["one"], "dropped after request {index}");
    }
}

#[tokio::test]
async fn what_fails_a_final_backup_is_said_on_both_objects_and_keeps_the_database() {
    let stored = deleted(&["one"]).await;
    stored.world.api.edit(|database| {
        database["spec"]["backupTo"]["s3"]["credentials"]["secretAccessKey"]["value"] = json!("wrong-secret");
    });
    assert_failed(&stored.world.run(Operation::BackupBeforeDelete).await, Reason::StorageDenied);
    assert_eq!(stored.world.condition("Ready").unwrap().1, "StorageDenied");
    assert_eq!(stored.ready(Kind::Backup, &record(&stored)).1, "StorageDenied");
    assert_eq!(stored.rows().unwrap(), ["one"]);
    stored.world.api.edit(|database| database["spec"]["backupTo"]["s3"] = stored.s3.clone());
    settle(&stored.world).await;
    assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
}

#[tokio::test]
async fn while_another_run_holds_the_lock_a_final_backup_locks_nobody_out() {
    let stored = deleted(&["one"]).await;
    let held = stored.hold_lock().await;
    assert_failed(&stored.world.run(Operation::BackupBeforeDelete).await, Reason::Busy);
    assert!(stored.world.login_works());
    assert_eq!(stored.world.phase().unwrap(), "Created");
    drop(held);
    settle(&stored.world).await;
    assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
}

#[tokio::test]
async fn a_login_that_was_handed_out_by_a_create_that_died_has_its_rows_saved() {
    let stored = Stored::empty(&store::testing::bucket().await, &json!({})).await;
    stored.world.api.fault_at(4, Fault::KilledAfter);
    assert_eq!(stored.world.try_run(Operation::Create).await, None);
    stored.world.api.heal();
    stored.commit("one");
    stored.world.api.delete();
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
    assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
}
