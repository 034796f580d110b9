//! What a run costs that finds everything as it was, and what it repairs.

use serde_json::{Value, json};

use super::{World, assert_failed};
use crate::outcome::Outcome;
use api::{Operation, Reason};

const ONE_WRITE: [&str; 3] = ["GET database", "GET secret", "PATCH database status Created"];

fn edit_secret(world: &World, change: impl FnOnce(&mut Value)) {
    let mut secret = world.api.secret().unwrap();
    change(&mut secret);
    world.api.set_secret(Some(secret));
}

/// A Database with a template for its Secret.
async fn templated() -> World {
    let template =
        json!({"labels": {"team": "shop"}, "annotations": {"note": "n"}, "data": {"dsn": "{{ host }}"}});
    let world = World::with(&json!({"secretTemplate": template}));
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    world.api.forget_requests();
    world
}

#[tokio::test]
async fn where_nothing_differs_a_run_costs_one_write_and_no_claim() {
    let world = templated().await;
    let before = world.api.database().unwrap()["status"].clone();
    let secret = world.api.secret();
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(world.api.requests(), ONE_WRITE);
    assert_eq!(world.api.secret(), secret);
    let mut after = world.api.database().unwrap()["status"].clone();
    assert_ne!(after["lastCompletedJob"], before["lastCompletedJob"]);
    assert!(after["verifiedAt"].as_str().unwrap() >= before["verifiedAt"].as_str().unwrap());
    for field in ["verifiedAt", "lastCompletedJob"] {
        after[field] = before[field].clone();
    }
    assert_eq!(after, before, "nothing else has changed");
}

#[tokio::test]
async fn a_wish_to_verify_is_answered_by_the_same_write() {
    let world = templated().await;
    world.api.edit(|database| {
        database["metadata"]["annotations"]["db.isotoma.com/reconcile"] = json!("now");
    });
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(world.api.requests(), ONE_WRITE);
    assert_eq!(world.api.database().unwrap()["status"]["lastHandledReconcile"], "now");
}

#[tokio::test]
async fn what_the_release_before_did_not_record_is_recorded_by_the_same_write() {
    let world = templated().await;
    world.api.edit(|database| {
        let status = database["status"].as_object_mut().unwrap();
        status.remove("deletionPolicy");
        status.remove("clusterId");
    });
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(world.api.requests(), ONE_WRITE);
    let status = world.api.database().unwrap()["status"].clone();
    assert_eq!((&status["deletionPolicy"], &status["clusterId"]), (&json!("Delete"), &json!("c-1")));
}

/// A way in which somebody may edit a Secret.
type Edit = (&'static str, fn(&mut Value));

const EDITS: [Edit; 12] = [
    ("a key is changed", |secret| secret["data"]["host"] = json!("d3Jvbmc=")),
    ("a key is gone", |secret| drop(secret["data"].as_object_mut().unwrap().remove("uri"))),
    ("the password is changed", |secret| secret["data"]["password"] = json!("d3Jvbmc=")),
    ("the password is empty", |secret| secret["data"]["password"] = json!("")),
    ("the password is gone", |secret| drop(secret["data"].as_object_mut().unwrap().remove("password"))),
    ("a key of the template is changed", |secret| secret["data"]["dsn"] = json!("d3Jvbmc=")),
    ("a label is changed", |secret| secret["metadata"]["labels"]["team"] = json!("other")),
    ("our label is gone", |secret| {
        drop(secret["metadata"]["labels"].as_object_mut().unwrap().remove("app.kubernetes.io/managed-by"));
    }),
    ("an annotation is gone", |secret| secret["metadata"]["annotations"] = json!({})),
    ("the owner is gone", |secret| secret["metadata"]["ownerReferences"] = json!(null)),
    ("the owner is no controller", |secret| {
        secret["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    }),
    ("the owner has another name", |secret| {
        secret["metadata"]["ownerReferences"][0]["name"] = json!("other");
    }),
];

#[tokio::test]
async fn a_secret_that_is_edited_in_any_way_is_repaired_by_the_same_run_under_a_claim() {
    for (case, change) in EDITS {
        let world = templated().await;
        let before = world.api.secret().unwrap();
        let password = world.secret("password");
        edit_secret(&world, change);
        assert_ne!(world.api.secret().unwrap(), before, "{case}");
        assert_eq!(world.run(Operation::Create).await, Outcome::Done, "{case}");
        let asked = world.api.requests();
        let claim = asked.iter().position(|line| line == "PATCH database status Created");
        let repair = asked.iter().position(|line| line.starts_with("PATCH secret"));
        assert!(claim.is_some() && claim < repair, "{case}: {asked:?}");
        assert!(world.login_works(), "{case}");
        let mut after = world.api.secret().unwrap();
        if world.secret("password") != password {
            assert!(case.contains("password"), "{case}");
            for key in ["password", "uri"] {
                after["data"][key] = before["data"][key].clone();
            }
        }
        assert_eq!(after, before, "{case}");
        world.api.forget_requests();
        assert_eq!(world.run(Operation::Create).await, Outcome::Done, "{case}");
        assert_eq!(world.api.requests(), ONE_WRITE, "{case}: nothing is left to repair");
    }
}

#[tokio::test]
async fn what_others_have_added_to_a_secret_is_no_difference() {
    let world = templated().await;
    edit_secret(&world, |secret| {
        secret["data"]["theirs"] = json!("eA==");
        secret["metadata"]["labels"]["theirs"] = json!("x");
        secret["metadata"]["annotations"]["theirs"] = json!("x");
    });
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(world.api.requests(), ONE_WRITE);
}

#[tokio::test]
async fn a_secret_that_is_deleted_is_made_again() {
    let world = templated().await;
    world.api.set_secret(None);
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert!(world.login_works());
    assert_eq!(world.secret("dsn").unwrap(), "db.example.com");
}

#[tokio::test]
async fn a_secret_of_another_owner_is_not_taken_for_one_that_lost_its_owner() {
    for change in [
        (|secret: &mut Value| secret["metadata"]["ownerReferences"][0]["uid"] = json!("another"))
            as fn(&mut Value),
        |secret| {
            secret["metadata"]["ownerReferences"] = json!(null);
            secret["metadata"]["labels"] = json!({"theirs": "x"});
        },
        |secret| {
            secret["metadata"]["ownerReferences"] = json!(null);
            secret["type"] = json!("Opaque");
        },
    ] {
        let world = templated().await;
        edit_secret(&world, change);
        let theirs = world.api.secret();
        assert_failed(&world.run(Operation::Create).await, Reason::SecretConflict);
        assert_eq!(world.api.secret(), theirs);
    }
    // Nor is what an earlier Database of that name has left with its label and type, and without an owner.
    let world = templated().await;
    edit_secret(&world, |secret| secret["metadata"]["ownerReferences"] = json!(null));
    let left = world.api.secret();
    let next = World::new();
    next.api.set_secret(left.clone());
    assert_failed(&next.run(Operation::Create).await, Reason::SecretConflict);
    assert_eq!(next.api.secret(), left);
}

#[tokio::test]
async fn what_differs_on_the_server_is_repaired_under_a_claim() {
    let world = World::created().await;
    // Somebody has changed the login's password there.
    let mut secret = world.api.secret().unwrap();
    let theirs = World::created().await.api.secret().unwrap()["data"]["password"].clone();
    secret["data"]["password"] = theirs;
    world.api.set_secret(Some(secret));
    assert!(!world.login_works());
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert!(world.login_works());
    assert_eq!(world.api.requests().iter().filter(|line| line.starts_with("PATCH database")).count(), 2);
}

#[tokio::test]
async fn a_changed_spec_is_claimed_before_it_is_looked_at() {
    let world = templated().await;
    world.api.edit(|database| database["spec"]["secretTemplate"]["data"] = json!({}));
    world.api.change();
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(
        world.api.requests(),
        [
            "GET database",
            "PATCH database status Created",
            "GET secret",
            "PATCH secret database,host,password,port,provider,sslmode,type,uri,username",
            "PATCH database status Created",
        ]
    );
}
