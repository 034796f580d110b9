//! What `restore` promises, and a `create` from a backup.

use serde_json::{Value, json};

use super::announced::forge;
use super::api_server::Fault;
use super::assert_failed;
use super::objects::Kind;
use super::operator::settle;
use super::stored::Stored;
use crate::outcome::Outcome;
use api::Operation;
use api::Reason;
use store::testing::{bucket, store};

/// A Database with a Backup `nightly` of its rows one and two, and the row that came after.
async fn backed_up() -> Stored {
    let stored = Stored::alone(&["one", "two"]).await;
    stored.ask_backup("nightly");
    settle(&stored.world).await;
    stored.commit("new");
    stored.forget_requests();
    stored
}

/// The same, and a Restore `back` that gives the new row up.
pub(super) async fn overwriting() -> Stored {
    let stored = backed_up().await;
    stored.ask_restore("back", "nightly", true);
    stored
}

fn assert_untouched(stored: &Stored) {
    assert_eq!(stored.rows().unwrap(), ["one", "two", "new"]);
    assert_eq!(stored.world.phase().as_deref(), Some("Created"));
    assert_eq!(stored.world.condition("Ready").unwrap().0, "True");
    assert!(stored.world.api.database().unwrap()["status"]["activeOperation"].is_null());
    assert!(stored.world.login_works());
}

pub(super) fn assert_restored(stored: &Stored) {
    assert_eq!(stored.rows().unwrap(), ["one", "two"]);
    assert_eq!(stored.world.phase().as_deref(), Some("Created"));
    assert!(stored.world.login_works());
}

#[tokio::test]
async fn a_restore_reads_all_before_it_gives_anything_up_and_lets_the_login_in_last() {
    let stored = overwriting().await;
    let password = stored.world.secret("password");
    assert_eq!(stored.world.run(Operation::Restore).await, Outcome::Done);
    assert_eq!(
        stored.world.api.requests(),
        [
            "GET database",
            "GET restore",
            "PATCH restore status Starting",
            "GET backup",
            "PATCH database status RestoreRequested",
            "GET secret",
            "PATCH restore status Restoring",
            "PATCH database status RestoreInProgress",
            "PATCH restore status Completed",
            "PATCH database status RestoreCompleted",
            "PATCH secret database,host,password,port,provider,sslmode,type,uri,username",
            "PATCH database status Created",
        ]
    );
    assert_restored(&stored);
    assert_eq!(stored.world.secret("password"), password, "applications keep their login");
    assert_eq!(stored.ready(Kind::Restore, "back").0, "True");
    assert_eq!(stored.world.condition("Ready").unwrap().0, "True");
}

#[tokio::test]
async fn a_secret_that_is_missing_is_whole_after_a_restore_or_is_not_made_at_all() {
    let is_whole = |stored: &Stored| {
        assert!(stored.world.login_works());
        assert!(stored.world.secret("uri").unwrap().contains(&stored.world.secret("password").unwrap()));
        assert_eq!(stored.world.phase().unwrap(), "Created");
    };
    let stored = overwriting().await;
    stored.world.api.set_secret(None);
    assert_eq!(stored.world.run(Operation::Restore).await, Outcome::Done);
    is_whole(&stored);

    // One that gives nothing up makes no password that works nowhere.
    let stored = backed_up().await;
    stored.ask_restore("back", "nightly", false);
    stored.world.api.set_secret(None);
    assert_failed(&stored.world.run(Operation::Restore).await, Reason::NotEmpty);
    assert_eq!(stored.world.api.secret(), None);

    // One that steps back after it has locked the login out.
    let stored = Stored::alone(&[]).await;
    stored.ask_backup("nightly");
    settle(&stored.world).await;
    stored.ask_restore("back", "nightly", false);
    stored.killed_at(5, Operation::Restore).await;
    assert_eq!(stored.world.phase().unwrap(), "RestoreRequested");
    assert!(!stored.world.login_works());
    stored.world.api.set_secret(None);
    stored.world.api.objects(|objects| objects.delete(Kind::Restore, "back"));
    settle(&stored.world).await;
    is_whole(&stored);
}

#[tokio::test]
async fn what_is_not_empty_is_not_given_up_unasked() {
    let stored = backed_up().await;
    stored.ask_restore("back", "nightly", false);
    let outcome = stored.world.run(Operation::Restore).await;
    assert!(assert_failed(&outcome, Reason::NotEmpty).contains("3 rows"));
    assert_eq!(stored.ready(Kind::Restore, "back").1, "NotEmpty");
    assert_untouched(&stored);
}

#[tokio::test]
async fn a_row_that_comes_between_the_look_and_the_drop_is_not_given_up_unasked() {
    for index in 2..8 {
        let stored = Stored::alone(&[]).await;
        let source = backed_up().await;
        let from = source.status(Kind::Backup, "nightly")["location"].clone();
        let spec = json!({"database": "orders", "from": {"location": from}, "overwrite": false});
        stored.world.api.objects(|objects| objects.make(Kind::Restore, "back", &spec));
        let (server, mut request) = (stored.server(), 0);
        stored.world.api.meanwhile(move || {
            if request == index {
                // Once the Database is claimed it is locked out.
                assert_eq!(server.commit(&Stored::target(), "late").is_ok(), index < 4);
            }
            request += 1;
        });
        let outcome = stored.world.run(Operation::Restore).await;
        let rows = stored.rows().unwrap();
        assert!(stored.world.login_works());
        assert_eq!(stored.world.phase().unwrap(), "Created");
        if index < 4 {
            assert_failed(&outcome, Reason::NotEmpty);
            assert_eq!(rows, ["late"], "at request {index}");
        } else {
            assert_eq!(rows, ["one", "two"], "nobody can commit any more");
        }
    }
}

#[tokio::test]
async fn a_run_that_has_lost_its_lock_gives_nothing_up() {
    // After the looks at what is in the database, before the first write to it.
    for index in [5, 6, 7] {
        let stored = overwriting().await;
        let (server, mut request) = (stored.server(), 0);
        stored.world.api.meanwhile(move || {
            if request == index {
                server.end_sessions();
            }
            request += 1;
        });
        assert_failed(&stored.world.run(Operation::Restore).await, Reason::Unreachable);
        assert_eq!(stored.rows().unwrap(), ["one", "two", "new"], "at request {index}");
        settle(&stored.world).await;
        assert_restored(&stored);
    }
}

#[tokio::test]
async fn a_backup_that_is_not_complete_is_not_loaded() {
    let stored = overwriting().await;
    stored.world.api.objects(|objects| {
        objects.edit(Kind::Backup, "nightly", |backup| backup["status"]["phase"] = json!("BackingUp"));
    });
    let outcome = stored.world.run(Operation::Restore).await;
    assert!(assert_failed(&outcome, Reason::BackupMissing).contains("no Backup nightly in phase Completed"));
    assert_untouched(&stored);
}

/// The manifest with another value in place of the one at `pointer`.
fn with(pointer: &'static str, value: Value) -> impl FnOnce(Vec<u8>) -> Option<Vec<u8>> {
    move |content| {
        let mut manifest: Value = serde_json::from_slice(&content).unwrap();
        *manifest.pointer_mut(pointer).unwrap() = value;
        Some(serde_json::to_vec(&manifest).unwrap())
    }
}

/// A Restore of a backup whose manifest somebody has changed, and whose Backup calls just that one its own.
async fn of_a_changed_backup(pointer: &'static str, value: Value) -> Stored {
    let stored = overwriting().await;
    stored.tamper("manifest.json", with(pointer, value)).await;
    let checksum = driver::names::sha256(&stored.content("manifest.json").await);
    stored.world.api.objects(|objects| {
        objects.edit(Kind::Backup, "nightly", |backup| backup["status"]["checksum"] = json!(checksum));
    });
    stored.forget_requests();
    stored
}

#[tokio::test]
async fn a_backup_that_cannot_be_loaded_changes_nothing_on_the_server() {
    let stored = overwriting().await;
    stored.damage().await;
    assert_failed(&stored.world.run(Operation::Restore).await, Reason::BackupDamaged);
    assert_eq!(stored.ready(Kind::Restore, "back").1, "BackupDamaged");
    assert_untouched(&stored);

    let stored = of_a_changed_backup("/backup/driver", json!("mysql")).await;
    let outcome = stored.world.run(Operation::Restore).await;
    assert!(assert_failed(&outcome, Reason::Unsupported).contains("is one of mysql"));
    assert_untouched(&stored);

    let stored = of_a_changed_backup("/description/serverVersion", json!("2.0")).await;
    let outcome = stored.world.run(Operation::Restore).await;
    assert!(assert_failed(&outcome, Reason::Unsupported).contains("newer server"));
    assert_untouched(&stored);

    let stored = overwriting().await;
    stored.tamper("manifest.json", |_| None).await;
    assert_failed(&stored.world.run(Operation::Restore).await, Reason::BackupMissing);
    assert_untouched(&stored);
}

#[tokio::test]
async fn a_backup_that_somebody_has_put_in_the_place_of_ours_is_not_loaded() {
    let path = "shop/orders/backup-1";
    let stored = overwriting().await;
    stored.tamper("manifest.json", |_| None).await;
    forge(&store(&stored.direct), path, "u-1").await;
    assert_eq!(stored.dumped(path).await.unwrap(), ["forged"], "it is whole");
    let outcome = stored.world.run(Operation::Restore).await;
    let message = assert_failed(&outcome, Reason::BackupDamaged);
    assert!(message.contains("is not the one that Backup nightly has recorded"), "{message}");
    assert_eq!(stored.ready(Kind::Restore, "back").1, "BackupDamaged");
    assert_untouched(&stored);

    // Nor is a new Database made from it.
    let born = Stored::empty(&bucket().await, &json!({"restoreFrom": {"backup": "nightly"}})).await;
    let nightly = stored.world.api.objects(|objects| objects.get(Kind::Backup, "nightly")).unwrap();
    born.world.api.objects(|objects| {
        objects.make(Kind::Backup, "nightly", &nightly["spec"]);
        objects.edit(Kind::Backup, "nightly", |backup| backup["status"] = nightly["status"].clone());
    });
    assert_failed(&born.world.run(Operation::Create).await, Reason::BackupDamaged);
    assert!(born.world.api.secret().unwrap()["data"]["uri"].is_null());

    // Who names the place in the bucket, and no Backup, says that it is the one that is wanted.
    let spec = json!({"database": "orders", "from": {"location": {"s3": stored.s3, "path": path}}, "overwrite": true});
    stored.world.api.objects(|objects| {
        objects.delete(Kind::Restore, "back");
        objects.make(Kind::Restore, "forced", &spec)
    });
    settle(&stored.world).await;
    assert_eq!(stored.rows().unwrap(), ["forged"]);
}

#[tokio::test]
async fn a_backup_without_a_checksum_is_not_loaded_by_its_name() {
    let stored = overwriting().await;
    stored.world.api.objects(|objects| {
        objects.edit(Kind::Backup, "nightly", |backup| {
            backup["status"].as_object_mut().unwrap().remove("checksum");
        });
    });
    let outcome = stored.world.run(Operation::Restore).await;
    let message = assert_failed(&outcome, Reason::BackupMissing);
    assert!(message.contains("has recorded no checksum"), "{message}");
    assert_untouched(&stored);
}

/// The release before recorded the hash of the manifest as it was parsed and written again.
#[tokio::test]
async fn a_backup_that_the_release_before_has_completed_is_loaded() {
    let stored = overwriting().await;
    let manifest =
        store(&stored.direct).read_manifest("shop/orders/backup-1").await.unwrap().unwrap().manifest;
    let checksum = driver::names::sha256(&manifest.to_json().unwrap());
    stored.world.api.objects(|objects| {
        objects.edit(Kind::Backup, "nightly", |backup| backup["status"]["checksum"] = json!(checksum));
    });
    settle(&stored.world).await;
    assert_restored(&stored);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_not_made_by_a_restore() {
    let stored = overwriting().await;
    stored.server().lose("orders");
    let outcome = stored.world.run(Operation::Restore).await;
    assert!(assert_failed(&outcome, Reason::DatabaseMissing).contains("spec.restoreFrom"));
    assert_eq!(stored.rows(), None);

    // One that got lost when all was loaded is not replaced by an empty one.
    let stored = overwriting().await;
    stored.killed_at(10, Operation::Restore).await;
    stored.server().lose("orders");
    assert_failed(&stored.world.run(Operation::Restore).await, Reason::DatabaseMissing);
    assert_eq!(stored.rows(), None);
}

#[tokio::test]
async fn while_another_run_holds_the_lock_a_restore_gives_nothing_up() {
    let stored = overwriting().await;
    let held = stored.hold_lock().await;
    assert_failed(&stored.world.run(Operation::Restore).await, Reason::Busy);
    assert_untouched(&stored);
    drop(held);
    settle(&stored.world).await;
    assert_restored(&stored);
}

#[tokio::test]
async fn a_database_from_a_backup_is_loaded_before_its_login_is_handed_out() {
    let source = backed_up().await;
    let from = json!({"location": source.status(Kind::Backup, "nightly")["location"]});
    let stored = Stored::empty(&bucket().await, &json!({"restoreFrom": from})).await;
    stored.world.api.fault_at(4, Fault::KilledBefore);
    assert_eq!(stored.world.try_run(Operation::Create).await, None);
    assert!(stored.world.api.secret().unwrap()["data"]["uri"].is_null());
    stored.world.api.heal();
    assert_eq!(stored.world.run(Operation::Create).await, Outcome::Done);
    assert_restored(&stored);
    // A repair loads nothing.
    stored.commit("after");
    assert_eq!(stored.world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(stored.rows().unwrap(), ["one", "two", "after"]);
}

#[tokio::test]
async fn a_database_from_a_backup_that_is_missing_waits_for_it() {
    let stored = Stored::empty(&bucket().await, &json!({"restoreFrom": {"backup": "nightly"}})).await;
    let outcome = stored.world.run(Operation::Create).await;
    assert!(assert_failed(&outcome, Reason::BackupMissing).contains("Backup nightly"));
    assert_eq!(stored.world.condition("Ready").unwrap().1, "BackupMissing");
    assert_eq!(stored.world.server.counts(), (0, 0));
    assert!(stored.world.api.secret().unwrap()["data"]["uri"].is_null());
}
