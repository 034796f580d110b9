//! What `backup` promises.

use serde_json::json;

use super::api_server::Fault;
use super::assert_failed;
use super::objects::Kind;
use super::operator::settle;
use super::stored::Stored;
use crate::outcome::Outcome;
use api::Operation;
use api::Reason;

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
            "GET backup",
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
    stored.killed_at(7, Operation::Backup).await;
    let keys = stored.keys().await;
    stored.commit("later");
    settle(&stored.world).await;
    assert_eq!(stored.status(Kind::Backup, "nightly")["phase"], "Completed");
    assert_eq!(
        (stored.dumped(&location).await.unwrap(), stored.keys().await),
        (vec!["one".to_owned()], keys)
    );
}

#[tokio::test]
async fn a_backup_that_is_encrypted_to_others_than_the_spec_names_is_made_again() {
    let [one, two] = [(), ()].map(|()| age::x25519::Identity::generate().to_public().to_string());
    for (before, after) in [(vec![], vec![&one]), (vec![&one], vec![&one, &two]), (vec![&one], vec![])] {
        let stored = Stored::alone(&["one"]).await;
        stored.encrypt_to(&before);
        let location = stored.ask_backup("nightly");
        // The manifest is in the store, and the run dies before it can say so.
        stored.killed_at(7, Operation::Backup).await;
        stored.encrypt_to(&after);
        settle(&stored.world).await;
        assert_eq!(stored.recipients(&location).await.iter().collect::<Vec<_>>(), after);
        assert_eq!(
            (stored.keys().await.len(), stored.ready(Kind::Backup, "nightly").0.as_str()),
            (2, "True")
        );
    }
    // The same ones in another order are the same.
    let stored = Stored::alone(&["one"]).await;
    stored.encrypt_to(&[&one, &two]);
    stored.ask_backup("nightly");
    stored.killed_at(7, Operation::Backup).await;
    let keys = stored.keys().await;
    stored.encrypt_to(&[&two, &one]);
    settle(&stored.world).await;
    assert_eq!(stored.keys().await, keys);
}

#[tokio::test]
async fn a_dump_is_not_thrown_away_because_the_api_server_did_not_answer() {
    let stored = Stored::alone(&["one"]).await;
    stored.ask_backup("nightly");
    // The question whether the Backup is still wanted, right before its manifest.
    stored.world.api.fault_at(6, Fault::AnswerLost);
    assert_eq!(stored.world.run(Operation::Backup).await, Outcome::Done);
    assert_eq!(stored.ready(Kind::Backup, "nightly").0, "True");
}

#[tokio::test]
async fn a_manifest_of_another_database_is_not_adopted() {
    let stored = Stored::alone(&["one"]).await;
    stored.ask_backup("nightly");
    stored.killed_at(7, Operation::Backup).await;
    stored.tamper("manifest.json", |manifest| Some(of_another_database(&manifest))).await;
    let outcome = stored.world.run(Operation::Backup).await;
    let message = assert_failed(&outcome, Reason::BackupDamaged);
    assert!(message.contains("with uid u-2"), "{message}");
    assert_eq!(stored.ready(Kind::Backup, "nightly").1, "BackupDamaged");
    assert_in_service(&stored);
}

/// A manifest as another Database's run would have written it.
pub(super) fn of_another_database(manifest: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(manifest).unwrap();
    assert!(text.contains("\"u-1\""));
    text.replace("\"u-1\"", "\"u-2\"").into_bytes()
}

/// A backup, whatever comes of it, changes nothing for the application.
fn assert_in_service(stored: &Stored) {
    assert_eq!(stored.world.phase().as_deref(), Some("Created"));
    assert_eq!(stored.world.condition("Ready").unwrap().0, "True");
    assert!(stored.world.api.database().unwrap()["status"]["activeOperation"].is_null());
    assert!(stored.world.login_works());
}

#[tokio::test]
async fn a_backup_that_is_deleted_before_its_run_is_not_made() {
    let stored = Stored::alone(&["one"]).await;
    stored.ask_backup("nightly");
    let assignment = stored.world.assignment(Operation::Backup);
    stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
    let driver = stored.server().driver();
    let outcome = super::perform(&driver, stored.world.api.client(), &assignment).await;
    assert_eq!((outcome, stored.keys().await.len()), (Outcome::Done, 0));
    // Nor is another one that has its name.
    stored.ask_backup("nightly");
    let outcome = super::perform(&driver, stored.world.api.client(), &assignment).await;
    assert_eq!((outcome, stored.keys().await.len()), (Outcome::Done, 0));
    assert_in_service(&stored);
}

#[tokio::test]
async fn a_backup_that_is_deleted_while_it_is_written_lets_the_database_go_on_and_leaves_nothing() {
    for index in 2..8 {
        let stored = Stored::alone(&["one"]).await;
        let location = stored.ask_backup("nightly");
        stored.world.api.fault_at(index, Fault::RequestsDeleted);
        assert_failed(&stored.world.run(Operation::Backup).await, Reason::Superseded);
        assert_in_service(&stored);
        // The last of these requests comes when it is whole, and it is to be retained.
        let whole = (index == 7).then(|| vec!["one".to_owned()]);
        assert_eq!(stored.dumped(&location).await, whole, "deleted at request {index}");
        assert_eq!(stored.keys().await.is_empty(), whole.is_none(), "deleted at request {index}");
    }
}

#[tokio::test]
async fn a_database_that_is_deleted_during_its_backup_has_it_finished_first() {
    let stored = Stored::alone(&["one"]).await;
    let location = stored.ask_backup("nightly");
    stored.world.api.fault_at(4, Fault::Deleted);
    assert_eq!(stored.world.run(Operation::Backup).await, Outcome::Done);
    assert_eq!(stored.status(Kind::Backup, "nightly")["phase"], "Completed");
    assert_eq!(stored.rows().unwrap(), ["one"], "the final backup is still due");
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
    assert_eq!(stored.dumped(&location).await.unwrap(), ["one"]);
    assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
}

#[tokio::test]
async fn a_database_without_a_place_for_backups_is_told_so_on_the_backup() {
    let stored = Stored::alone(&["one"]).await;
    stored.world.api.edit(|database| database["spec"]["backupTo"] = json!(null));
    stored.ask_backup("nightly");
    assert_failed(&stored.world.run(Operation::Backup).await, Reason::Invalid);
    let (status, reason, message) = stored.ready(Kind::Backup, "nightly");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Invalid"));
    assert!(message.contains("has no spec.backupTo"), "{message}");
    assert_in_service(&stored);
}

#[tokio::test]
async fn a_store_that_refuses_the_key_is_told_on_the_backup_without_the_key() {
    let stored = Stored::alone(&["one"]).await;
    stored.world.api.edit(|database| {
        database["spec"]["backupTo"]["s3"]["credentials"]["secretAccessKey"]["value"] = json!("wrong-secret");
    });
    stored.ask_backup("nightly");
    let outcome = stored.world.run(Operation::Backup).await;
    assert!(!assert_failed(&outcome, Reason::StorageDenied).contains("wrong-secret"));
    let (_, reason, message) = stored.ready(Kind::Backup, "nightly");
    assert_eq!(reason, "StorageDenied");
    assert!(message.contains("correct the access key") && !message.contains("wrong-secret"), "{message}");
    assert_in_service(&stored);
    // Repairing the cause is enough.
    stored.world.api.edit(|database| database["spec"]["backupTo"]["s3"] = stored.s3.clone());
    assert_eq!(stored.world.run(Operation::Backup).await, Outcome::Done);
    assert_eq!(stored.ready(Kind::Backup, "nightly").0, "True");
}

#[tokio::test]
async fn while_another_run_holds_the_lock_a_backup_writes_nothing() {
    let stored = Stored::alone(&["one"]).await;
    stored.ask_backup("nightly");
    let held = stored.hold_lock().await;
    assert_failed(&stored.world.run(Operation::Backup).await, Reason::Busy);
    assert_eq!(stored.world.api.requests(), ["GET database", "GET backup"]);
    drop(held);
    assert_eq!(stored.world.run(Operation::Backup).await, Outcome::Done);
}

#[tokio::test]
async fn a_run_that_comes_late_says_nothing_against_a_backup_that_is_complete() {
    for index in 3..6 {
        let stored = Stored::alone(&["one"]).await;
        stored.ask_backup("nightly");
        stored.world.api.fault_at(index, Fault::RequestsCompleted);
        assert_failed(&stored.world.run(Operation::Backup).await, Reason::Superseded);
        assert_eq!(stored.ready(Kind::Backup, "nightly").0, "True", "at request {index}");
        assert_in_service(&stored);
    }
}

#[tokio::test]
async fn a_backup_that_another_run_overtakes_is_tried_again_soon_and_is_not_stalled() {
    // Another operation has claimed the Database before the run, and while it connects.
    for index in [0, 2] {
        let stored = Stored::alone(&["one"]).await;
        stored.ask_backup("nightly");
        stored.world.api.fault_at(index, Fault::Overtaken);
        let outcome = stored.world.run(Operation::Backup).await;
        assert_failed(&outcome, Reason::Superseded);
        assert_eq!(outcome.code(), 75, "at request {index}");
        let conditions = stored.status(Kind::Backup, "nightly")["conditions"].clone();
        let all = conditions.as_array().cloned().unwrap_or_default();
        assert!(all.iter().all(|condition| condition["type"] != "Stalled"), "{all:?}");
        // Nor is the other run's claim taken off.
        let active = stored.world.api.database().unwrap()["status"]["activeOperation"].clone();
        assert_eq!(active["job"], "another", "at request {index}");
    }
}

#[tokio::test]
async fn a_change_of_the_spec_between_job_and_run_does_not_keep_a_backup_from_being_written() {
    let stored = Stored::alone(&["one"]).await;
    let location = stored.ask_backup("nightly");
    let assignment = stored.world.assignment(Operation::Backup);
    stored.world.api.edit(|database| database["spec"]["parameters"] = json!({"comment": "changed"}));
    stored.world.api.change();
    let outcome = super::perform(&stored.server().driver(), stored.world.api.client(), &assignment).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(stored.dumped(&location).await.unwrap(), ["one"]);
    // Whether the database is what the spec asks for now, another run has to say.
    assert_eq!(stored.world.api.database().unwrap()["status"]["observedGeneration"], 1);
}

#[tokio::test]
async fn a_place_that_would_lead_elsewhere_is_refused_before_anybody_is_asked() {
    for (field, value) in
        [("region", "x.evil.example/"), ("bucket", "../other"), ("prefix", "team-a/../team-b")]
    {
        let stored = Stored::alone(&["one"]).await;
        // The API server refuses it by now; this object is older than its patterns.
        stored.world.api.edit(|database| database["spec"]["backupTo"]["s3"][field] = json!(value));
        stored.ask_backup("nightly");
        stored.forget_requests();
        assert_failed(&stored.world.run(Operation::Backup).await, Reason::Invalid);
        let (_, reason, message) = stored.ready(Kind::Backup, "nightly");
        assert_eq!(reason, "Invalid");
        assert!(message.contains(&format!("s3.{field}")) && message.contains(value), "{message}");
        assert_eq!(stored.asked(), Vec::<String>::new(), "{field}");
        assert_in_service(&stored);
    }
    let stored = Stored::alone(&["one"]).await;
    let from = json!({"location": {"s3": stored.s3, "path": "shop/../../other"}});
    let spec = json!({"database": "orders", "from": from, "overwrite": true});
    stored.world.api.objects(|objects| objects.make(Kind::Restore, "back", &spec));
    assert_failed(&stored.world.run(Operation::Restore).await, Reason::Invalid);
    assert_eq!((stored.asked(), stored.rows().unwrap()), (Vec::new(), vec!["one".to_owned()]));
}
