//! Which deletion policy is in force: a person's word, else what the status recorded, else the default.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail on the spot")]

use api::lifecycle::{Intent, deletion_policy};
use api::{Database, DeletionPolicy};
use serde_json::{Value, json};

fn database(policy: Option<&str>, backed_up: bool, status: Value) -> Database {
    let mut object = json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
        "metadata": {"name": "orders", "namespace": "shop", "deletionTimestamp": "2026-11-21T00:00:00Z"},
        "spec": {"driver": "postgresql", "connect": {"host": "h"},
                 "credentials": {"username": {"value": "u"}, "password": {"value": "p"}}},
    });
    if let Some(policy) = policy {
        object["spec"]["deletionPolicy"] = json!(policy);
    }
    if backed_up {
        object["spec"]["backupTo"] = json!({"s3": {"region": "r", "bucket": "dumps"}});
    }
    if !status.is_null() {
        object["status"] = status;
    }
    serde_json::from_value(object).unwrap()
}

#[test]
fn without_a_word_a_database_is_kept_or_backed_up_first_and_never_just_dropped() {
    assert_eq!(deletion_policy(&database(None, false, Value::Null)), DeletionPolicy::Retain);
    assert_eq!(deletion_policy(&database(None, true, Value::Null)), DeletionPolicy::BackupThenDelete);
    // Nor does the status that every object is born with say anything.
    let born = json!({"observedGeneration": -1});
    assert_eq!(deletion_policy(&database(None, false, born.clone())), DeletionPolicy::Retain);
    assert_eq!(deletion_policy(&database(None, true, born)), DeletionPolicy::BackupThenDelete);
}

#[test]
fn what_is_recorded_holds_whatever_becomes_of_the_place_for_backups_until_a_person_says_otherwise() {
    let every = [
        ("Delete", DeletionPolicy::Delete),
        ("BackupThenDelete", DeletionPolicy::BackupThenDelete),
        ("Retain", DeletionPolicy::Retain),
    ];
    for (recorded, policy) in every {
        let status = json!({"phase": "Created", "deletionPolicy": recorded});
        for backed_up in [false, true] {
            assert_eq!(deletion_policy(&database(None, backed_up, status.clone())), policy);
            for (said, word) in every {
                assert_eq!(deletion_policy(&database(Some(said), backed_up, status.clone())), word);
            }
        }
    }
}

/// The release before recorded nothing, and took `Delete` for the default.
#[test]
fn what_the_release_before_has_made_is_retained_unless_it_was_claimed_for_its_deletion_already() {
    let phases =
        ["Creating", "Created", "BackupRequested", "RestoreInProgress", "BackupBeforeDeleteRequested"];
    for phase in phases {
        assert_eq!(Intent::of(&database(None, false, json!({"phase": phase}))), Intent::Retain, "{phase}");
        let backed_up = database(None, true, json!({"phase": phase}));
        assert_eq!(Intent::of(&backed_up), Intent::BackupThenDelete, "{phase}");
    }
    for phase in ["DeletionRequested", "DeletionInProgress", "Deleted"] {
        assert_eq!(Intent::of(&database(None, false, json!({"phase": phase}))), Intent::Delete, "{phase}");
        let backed_up = database(None, true, json!({"phase": phase}));
        assert_eq!(Intent::of(&backed_up), Intent::BackupThenDelete, "{phase}");
        let said = database(Some("Retain"), false, json!({"phase": phase}));
        assert_eq!(Intent::of(&said), Intent::Retain, "{phase}");
        // One that this release has claimed has said so.
        let recorded = database(None, false, json!({"phase": phase, "deletionPolicy": "Retain"}));
        assert_eq!(Intent::of(&recorded), Intent::Retain, "{phase}");
    }
}
