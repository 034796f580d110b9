//! What `delete` promises.

use serde_json::json;

use super::{World, assert_failed};
use crate::outcome::Outcome;
use api::Operation;
use api::Reason;
use driver::ErrorKind;
use driver::testkit::MemoryServer;

#[tokio::test]
async fn delete_drops_first_and_takes_the_finalizer_off_last() {
    let world = World::created().await;
    world.api.delete();
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!(
        world.api.requests(),
        [
            "GET database",
            "PATCH database status DeletionRequested",
            "PATCH database status DeletionInProgress",
            "PATCH database status Deleted",
            "GET backup",
            "PATCH database finalizers []",
        ]
    );
    assert_eq!((world.api.database(), world.server.counts()), (None, (0, 0)));
}

#[tokio::test]
async fn without_a_deletion_timestamp_nothing_is_dropped() {
    let world = World::created().await;
    for phase in
        ["Created", "BackupBeforeDeleteCompleted", "DeletionRequested", "DeletionInProgress", "Deleted"]
    {
        world.api.edit(|database| database["status"]["phase"] = json!(phase));
        assert_failed(&world.run(Operation::Delete).await, Reason::Superseded);
        assert_eq!(world.server.counts(), (1, 1), "dropped in phase {phase}");
    }
}

#[tokio::test]
async fn retain_leaves_the_database_and_asks_no_server() {
    let world = World::created().await;
    world.api.edit(|database| database["spec"]["deletionPolicy"] = json!("Retain"));
    world.server.refuse(Some((ErrorKind::Unreachable, "the server is gone for good".to_owned())));
    world.api.delete();
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!((world.api.database(), world.server.counts()), (None, (1, 1)));
}

#[tokio::test]
async fn a_policy_that_becomes_retain_before_the_drop_holds() {
    // The load, the claim, and the phase that says that the drop begins.
    for index in 0..3 {
        let world = World::created().await;
        world.api.delete();
        world.api.fault_at(index, super::api_server::Fault::Retained);
        world.run(Operation::Delete).await;
        assert_eq!(world.server.counts(), (1, 1), "dropped, though retained before request {index}");
        world.api.fault_at(usize::MAX, super::api_server::Fault::Retained);
        if world.api.database().is_some() {
            assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
        }
        assert_eq!((world.api.database(), world.server.counts()), (None, (1, 1)));
    }
}

#[tokio::test]
async fn without_a_final_backup_the_database_stays_and_says_why() {
    for forged in ["Created", "BackupBeforeDeleteCompleted", "DeletionRequested", "Creating"] {
        let world = World::created().await;
        world.api.edit(|database| {
            database["spec"]["deletionPolicy"] = json!("BackupThenDelete");
            database["status"]["phase"] = json!(forged);
        });
        world.api.delete();
        for operation in [Operation::BackupBeforeDelete, Operation::Delete] {
            let outcome = world.run(operation).await;
            assert_ne!(outcome, Outcome::Done, "{operation} in {forged}");
            assert_eq!(world.server.counts(), (1, 1), "{operation} dropped in phase {forged}");
        }
        assert!(world.api.database().is_some());
    }
    let world = World::created().await;
    world.api.edit(|database| database["spec"]["deletionPolicy"] = json!("BackupThenDelete"));
    world.api.delete();
    world.run(Operation::BackupBeforeDelete).await;
    let (_, reason, message) = world.condition("Stalled").unwrap();
    assert_eq!(reason, "Invalid");
    assert!(message.contains("backupTo") && message.contains("deletionPolicy"), "{message}");
    // The owner's word ends it.
    world.api.edit(|database| database["spec"]["deletionPolicy"] = json!("Delete"));
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!(world.server.counts(), (0, 0));
}

#[tokio::test]
async fn a_login_that_was_handed_out_keeps_the_database_even_before_it_is_called_created() {
    let world = World::with(&json!({"deletionPolicy": "BackupThenDelete"}));
    // The Secret is complete, and the run dies before it writes Created.
    world.api.fault_at(4, super::api_server::Fault::KilledAfter);
    assert_eq!(world.try_run(Operation::Create).await, None);
    world.api.fault_at(usize::MAX, super::api_server::Fault::KilledAfter);
    assert!(world.login_works());
    world.api.delete();
    assert_failed(&world.run(Operation::Delete).await, Reason::Superseded);
    assert_eq!(world.server.counts(), (1, 1));
    // Now everybody can see that there may be rows, and the next run is the final backup.
    assert!(world.api.database().unwrap()["status"]["createdAt"].is_string());
    assert_failed(&world.run(Operation::BackupBeforeDelete).await, Reason::Invalid);
}

#[tokio::test]
async fn a_half_made_database_needs_no_backup() {
    let world = World::with(&json!({"deletionPolicy": "BackupThenDelete"}));
    world.api.fault_at(4, super::api_server::Fault::KilledBefore);
    assert_eq!(world.try_run(Operation::Create).await, None);
    world.api.fault_at(usize::MAX, super::api_server::Fault::KilledBefore);
    world.api.delete();
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!((world.api.database(), world.server.counts()), (None, (0, 0)));
}

#[tokio::test]
async fn a_database_on_another_server_than_the_spec_names_is_not_forgotten() {
    let world = World::created().await;
    let original = world.server.clone();
    let move_to = |host: &str| {
        let host = host.to_owned();
        move |database: &mut serde_json::Value| database["spec"]["connect"]["host"] = json!(host)
    };
    world.api.edit(move_to("other.example.com"));
    let world = World { server: MemoryServer::default(), ..world };
    world.api.delete();
    let outcome = world.run(Operation::Delete).await;
    let message = assert_failed(&outcome, Reason::DatabaseMissing);
    assert!(message.contains("was begun on db.example.com:1"), "{message}");
    assert!(world.api.database().is_some());
    // Repairing the cause is enough.
    world.api.edit(move_to("db.example.com"));
    let world = World { server: original, ..world };
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!((world.api.database(), world.server.counts()), (None, (0, 0)));
}

#[tokio::test]
async fn a_server_that_is_down_keeps_the_object_until_it_is_back() {
    let world = World::created().await;
    world.api.delete();
    world.server.refuse(Some((ErrorKind::Unreachable, "connection refused".to_owned())));
    assert_failed(&world.run(Operation::Delete).await, Reason::Unreachable);
    assert_eq!(world.condition("Ready").unwrap().1, "Unreachable");
    world.server.refuse(None);
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!(world.server.counts(), (0, 0));
}

#[tokio::test]
async fn an_invalid_spec_does_not_keep_an_object_from_being_deleted() {
    let world = World::created().await;
    world.api.edit(|database| {
        database["spec"]["parameters"] = json!({"colour": "blue"});
        database["spec"]["secretTemplate"] = json!({"data": {"dsn": "{{"}});
    });
    world.api.delete();
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!((world.api.database(), world.server.counts()), (None, (0, 0)));
}

#[tokio::test]
async fn what_is_foreign_survives_the_deletion_of_an_object_of_its_name() {
    let world = World::created().await;
    world.server.lose("orders");
    world.server.plant_foreign("orders");
    world.api.delete();
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!(world.server.database("orders").unwrap().rows, ["theirs"]);
    assert_eq!(world.api.database(), None);
}

#[tokio::test]
async fn finalizers_of_others_stay() {
    let world = World::created().await;
    world.api.edit(|database| {
        database["metadata"]["finalizers"].as_array_mut().unwrap().push(json!("example.com/theirs"));
    });
    world.api.delete();
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!(world.api.database().unwrap()["metadata"]["finalizers"], json!(["example.com/theirs"]));
    assert_eq!(world.server.counts(), (0, 0));
}
