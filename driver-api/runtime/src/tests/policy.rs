//! Which deletion policy and which cluster hold for a Database: what its status has recorded.

use serde_json::{Value, json};

use super::objects::Kind;
use super::operator::settle;
use super::stored::Stored;
use super::{World, assert_failed};
use crate::env::Assignment;
use crate::outcome::Outcome;
use api::{Operation, Reason};
use store::testing::bucket;

/// A Database whose owner has said nothing about its deletion.
fn silent() -> World {
    World::with(&json!({"deletionPolicy": null}))
}

fn status(world: &World) -> Value {
    world.api.database().unwrap()["status"].clone()
}

/// As the release before has left it, which recorded neither policy nor cluster.
fn forget_what_is_recorded(world: &World) {
    world.api.edit(|database| {
        let status = database["status"].as_object_mut().unwrap();
        status.remove("deletionPolicy");
        status.remove("clusterId");
    });
}

#[tokio::test]
async fn the_first_run_records_the_policy_in_force_and_the_cluster() {
    let place = json!({"s3": {"region": "r", "bucket": "dumps"}});
    for (fields, policy) in [
        (json!({"deletionPolicy": null}), "Retain"),
        (json!({"deletionPolicy": null, "backupTo": place}), "BackupThenDelete"),
        (json!({"deletionPolicy": "Delete", "backupTo": place}), "Delete"),
    ] {
        let world = World::with(&fields);
        // The claim is the third request; nothing is on the server before it.
        world.api.fault_at(2, super::api_server::Fault::KilledAfter);
        assert_eq!(world.try_run(Operation::Create).await, None);
        assert_eq!(
            (&status(&world)["deletionPolicy"], &status(&world)["clusterId"]),
            (&json!(policy), &json!("c-1"))
        );
    }
}

#[tokio::test]
async fn a_word_changes_the_policy_that_is_recorded() {
    let world = silent();
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    for policy in ["Delete", "BackupThenDelete", "Retain"] {
        world.api.edit(|database| database["spec"]["deletionPolicy"] = json!(policy));
        world.api.change();
        assert_eq!(world.run(Operation::Create).await, Outcome::Done);
        assert_eq!(status(&world)["deletionPolicy"], json!(policy));
    }
}

#[tokio::test]
async fn without_a_word_a_deletion_leaves_the_database_where_it_is() {
    let world = silent();
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    world.api.delete();
    settle(&world).await;
    assert_eq!((world.api.database(), world.server.counts()), (None, (1, 1)));
}

#[tokio::test]
async fn a_place_for_backups_that_is_taken_away_does_not_drop_the_database() {
    let stored = Stored::empty(&bucket().await, &json!({"deletionPolicy": null})).await;
    assert_eq!(stored.world.run(Operation::Create).await, Outcome::Done);
    stored.commit("one");
    stored.world.api.delete();
    // The API server refuses it by now; this object is older than the rule.
    stored.world.api.edit(|database| database["spec"]["backupTo"] = json!(null));
    for operation in [Operation::Delete, Operation::BackupBeforeDelete, Operation::Delete] {
        assert_ne!(stored.world.run(operation).await, Outcome::Done);
        assert_eq!(stored.rows().unwrap(), ["one"]);
    }
    let (_, reason, message) = stored.world.condition("Ready").unwrap();
    assert_eq!(reason, "Invalid");
    assert!(message.contains("has no spec.backupTo"), "{message}");
}

#[tokio::test]
async fn what_the_release_before_has_made_is_retained_from_the_first_look() {
    let world = silent();
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    forget_what_is_recorded(&world);
    world.api.delete();
    settle(&world).await;
    assert_eq!((world.api.database(), world.server.counts()), (None, (1, 1)));
}

#[tokio::test]
async fn a_deletion_that_the_release_before_has_claimed_goes_on() {
    for phase in ["DeletionRequested", "DeletionInProgress", "Deleted"] {
        let world = silent();
        assert_eq!(world.run(Operation::Create).await, Outcome::Done);
        forget_what_is_recorded(&world);
        world.api.edit(|database| database["status"]["phase"] = json!(phase));
        world.api.delete();
        settle(&world).await;
        assert_eq!((world.api.database(), world.server.counts()), (None, (0, 0)), "{phase}");
    }
}

/// One run of an operator that has been told another cluster.
async fn run_as(cluster: &str, world: &World, operation: Operation) -> Outcome {
    let run = Assignment { cluster_id: cluster.to_owned(), ..world.assignment(operation) };
    super::perform(&world.server.driver(), world.api.client(), &run).await
}

#[tokio::test]
async fn the_cluster_that_is_recorded_is_the_marks_whatever_the_operator_is_told() {
    let world = World::created().await;
    world.api.set_secret(None);
    assert_eq!(run_as("c-2", &world, Operation::Create).await, Outcome::Done, "it is not foreign");
    assert_eq!(status(&world)["clusterId"], json!("c-1"));
    world.api.delete();
    assert_eq!(run_as("c-2", &world, Operation::Delete).await, Outcome::Done);
    assert_eq!((world.api.database(), world.server.counts()), (None, (0, 0)));
}

#[tokio::test]
async fn an_older_object_takes_the_cluster_of_its_operator() {
    let world = World::created().await;
    forget_what_is_recorded(&world);
    assert_failed(&run_as("c-2", &world, Operation::Create).await, Reason::NameTaken);
    assert_eq!(status(&world)["clusterId"], json!(null), "what is foreign records nothing");
    assert_eq!(run_as("c-1", &world, Operation::Create).await, Outcome::Done);
    assert_eq!(status(&world)["clusterId"], json!("c-1"));
}

#[tokio::test]
async fn an_object_that_is_born_with_a_status_is_like_one_without() {
    let born = json!({"observedGeneration": -1});
    let stored = Stored::empty(&bucket().await, &json!({"deletionPolicy": null})).await;
    stored.world.api.edit(|database| database["status"] = born.clone());
    assert_eq!(stored.world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(status(&stored.world)["observedGeneration"], 1);
    assert_eq!(status(&stored.world)["deletionPolicy"], "BackupThenDelete");
    for (kind, operation) in [(Kind::Backup, Operation::Backup), (Kind::Restore, Operation::Restore)] {
        if kind == Kind::Backup {
            stored.ask_backup("nightly");
        } else {
            stored.ask_restore("back", "nightly", true);
        }
        let name = if kind == Kind::Backup { "nightly" } else { "back" };
        stored
            .world
            .api
            .objects(|objects| objects.edit(kind, name, |object| object["status"] = born.clone()));
        assert_eq!(stored.world.run(operation).await, Outcome::Done);
        assert_eq!(stored.status(kind, name)["observedGeneration"], 1);
        assert_eq!(stored.ready(kind, name).0, "True");
    }
    // Nor does it keep an object that nobody has begun from going.
    let world = silent();
    world.api.edit(|database| database["status"] = born);
    world.api.delete();
    assert_eq!(world.api.database(), None);
}
