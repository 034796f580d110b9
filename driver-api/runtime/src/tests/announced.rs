//! A final backup counts only for the deletion that announced it: what else lies in the bucket is not believed, and left
//! alone.

use serde_json::{Value, json};

use super::assert_failed;
use super::backup::of_another_database;
use super::objects::Kind;
use super::operator::settle;
use super::stored::Stored;
use crate::outcome::Outcome;
use api::{Operation, Reason};
use driver::dump::{Description, Sink, StreamInfo, Writer};
use store::testing::store;
use store::{BackupIdentity, Store};

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

fn announced(stored: &Stored) -> Value {
    stored.world.api.database().unwrap()["status"]["finalBackup"].clone()
}

/// The folder of the attempt that is announced.
fn folder(stored: &Stored) -> String {
    format!("shop/orders/final-u-1-{}", announced(stored)["attempt"].as_str().unwrap())
}

/// Writes a whole backup with one forged row, of the Database with that uid, to `path`.
pub(super) async fn forge(store: &Store, path: &str, uid: &str) {
    let upload = store.begin(path, Some("forged"), &[]).await.unwrap();
    let info = StreamInfo { name: "rows".to_owned(), restore_with: "one row a line".to_owned() };
    let mut writer = upload.open(info).await.unwrap();
    writer.write("forged\n".into()).await.unwrap();
    writer.finish(Some(1)).await.unwrap();
    let text = |text: &str| text.to_owned();
    let identity = BackupIdentity {
        namespace: text("shop"),
        database: text("orders"),
        database_uid: text(uid),
        backup_uid: text("backup-1"),
        server_database: text("orders"),
        driver: text("memory"),
    };
    let description = Description {
        server_version: text("1.0"),
        tool_version: text("memory 1.0"),
        snapshot: None,
        details: Value::Null,
    };
    let _ = upload.complete(identity, description).await.unwrap();
}

/// A manifest that names nothing, so that nothing of it can be missing.
fn without_streams(manifest: &[u8]) -> Vec<u8> {
    let mut manifest: Value = serde_json::from_slice(manifest).unwrap();
    manifest["streams"] = json!([]);
    serde_json::to_vec_pretty(&manifest).unwrap()
}

/// The drop gives way to another attempt, and comes after it.
async fn assert_made_again(stored: &Stored, case: &str) {
    let before = folder(stored);
    assert_failed(&stored.world.run(Operation::Delete).await, Reason::Superseded);
    assert_eq!(stored.world.phase().unwrap(), "BackupBeforeDeleteRequested", "{case}");
    assert_eq!(stored.rows().unwrap(), ["one"], "{case}");
    assert_eq!(announced(stored)["checksum"], Value::Null, "{case}");
    assert_eq!(stored.world.run(Operation::BackupBeforeDelete).await, Outcome::Done, "{case}");
    assert_ne!(folder(stored), before, "{case}: another attempt");
    let keys = stored.keys().await;
    assert!(!keys.iter().any(|key| key.contains(&before)), "{case}: {keys:?}");
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.rows()), (None, None), "{case}");
    assert_eq!(stored.dumped_final().await.unwrap(), ["one"], "{case}");
}

#[tokio::test]
async fn a_final_backup_is_announced_after_the_lock_out_and_before_its_first_byte() {
    let stored = deleted(&["one"]).await;
    let run = stored.world.run(Operation::BackupBeforeDelete);
    let first = |line: &str| line.starts_with("PUT");
    let outcome = stored
        .while_held(first, run, async || {
            let announced = announced(&stored);
            assert_eq!(announced["attempt"].as_str().unwrap().len(), 32, "nobody can guess it");
            assert_eq!(announced["checksum"], Value::Null);
            assert_eq!(stored.world.phase().unwrap(), "BackupBeforeDeleteInProgress");
            assert!(stored.server().commit(&Stored::target(), "late").is_err());
            assert_eq!(stored.keys().await.len(), 0, "nothing is stored yet");
        })
        .await;
    assert_eq!(outcome, Outcome::Done);
    let manifest = stored.content(&format!("{}/manifest.json", folder(&stored))).await;
    assert_eq!(announced(&stored)["checksum"], json!(driver::names::sha256(&manifest)));
    assert_eq!(stored.world.phase().unwrap(), "BackupBeforeDeleteCompleted");
}

#[tokio::test]
async fn what_lay_in_the_bucket_before_is_neither_believed_nor_touched() {
    let of_old = "shop/orders/final-u-1";
    let guessed = "shop/orders/final-u-1-0123456789abcdef0123456789abcdef";
    for path in [of_old, guessed] {
        for empty in [false, true] {
            let stored = deleted(&["one"]).await;
            forge(&store(&stored.direct), path, "u-1").await;
            if empty {
                stored.tamper("manifest.json", |manifest| Some(without_streams(&manifest))).await;
            }
            let (before, manifest) = (stored.keys().await, stored.content("manifest.json").await);
            // A drop that rests on it is not made.
            stored.world.api.edit(|database| {
                database["status"]["phase"] = json!("BackupBeforeDeleteCompleted");
            });
            assert_failed(&stored.world.run(Operation::Delete).await, Reason::Superseded);
            assert_eq!(stored.rows().unwrap(), ["one"]);
            settle(&stored.world).await;
            assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
            let keys = stored.keys().await;
            assert_eq!(keys.len(), before.len() + 2, "{keys:?}");
            assert!(before.iter().all(|key| keys.contains(key)), "{keys:?}");
            assert_eq!(stored.content(&format!("{path}/manifest.json")).await, manifest);
            let ours =
                keys.iter().find(|key| key.ends_with("/manifest.json") && !key.contains(&format!("{path}/")));
            let ours = ours.unwrap().split_once('/').unwrap().1.trim_end_matches("/manifest.json").to_owned();
            assert_eq!(stored.dumped(&ours).await.unwrap(), ["one"]);
        }
    }
}

#[tokio::test]
async fn a_manifest_that_somebody_puts_into_the_announced_folder_is_not_taken_for_ours() {
    // Before ours is looked for, and in the moment in which ours is written.
    let moments: [fn(&str) -> bool; 2] = [
        |line| line.starts_with("PUT") && line.contains("/seg-"),
        |line| line.starts_with("PUT") && line.ends_with("/manifest.json"),
    ];
    for is_meant in moments {
        for empty in [false, true] {
            let stored = deleted(&["one"]).await;
            let run = stored.world.run(Operation::BackupBeforeDelete);
            let outcome = stored
                .while_held(is_meant, run, async || {
                    // Somewhere else first, so that what is under way is not ended.
                    forge(&store(&stored.direct), "elsewhere", "u-1").await;
                    let forged = stored.content("elsewhere/manifest.json").await;
                    let forged = if empty { without_streams(&forged) } else { forged };
                    let segment = stored.content("elsewhere/forged/seg-00001.zst").await;
                    stored.plant(&format!("{}/forged/seg-00001.zst", folder(&stored)), segment).await;
                    stored.plant(&format!("{}/manifest.json", folder(&stored)), forged).await;
                })
                .await;
            let message = assert_failed(&outcome, Reason::BackupDamaged);
            assert!(message.contains("see who writes to that bucket"), "{message}");
            assert_eq!(announced(&stored)["checksum"], Value::Null, "it is not recorded");
            assert_eq!(stored.rows().unwrap(), ["one"]);
            let forged = folder(&stored);
            settle(&stored.world).await;
            assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
            assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
            let keys = stored.keys().await;
            assert!(!keys.iter().any(|key| key.contains(&forged)), "{keys:?}");
        }
    }
}

#[tokio::test]
async fn a_manifest_that_is_replaced_before_the_drop_is_not_believed() {
    let stored = saved().await;
    stored.tamper("manifest.json", |manifest| Some(without_streams(&manifest))).await;
    assert_made_again(&stored, "a manifest without streams").await;

    let stored = saved().await;
    let path = folder(&stored);
    stored.tamper("manifest.json", |_| None).await;
    forge(&store(&stored.direct), &path, "u-1").await;
    assert_made_again(&stored, "a whole backup").await;

    let stored = saved().await;
    stored.tamper("manifest.json", |manifest| Some(of_another_database(&manifest))).await;
    assert_made_again(&stored, "a backup of another Database").await;

    let stored = saved().await;
    stored
        .tamper("manifest.json", |mut manifest| {
            Some({
                manifest.push(b' ');
                manifest
            })
        })
        .await;
    assert_made_again(&stored, "a space more").await;
}

#[tokio::test]
async fn a_manifest_without_streams_is_not_enough_even_where_its_checksum_is_recorded() {
    let stored = saved().await;
    let forged = without_streams(&stored.content("manifest.json").await);
    stored.tamper("manifest.json", |_| Some(forged.clone())).await;
    stored.world.api.edit(|database| {
        database["status"]["finalBackup"]["checksum"] = json!(driver::names::sha256(&forged));
    });
    assert_made_again(&stored, "its checksum is recorded").await;
}

#[tokio::test]
async fn from_the_claim_on_a_replaced_manifest_stops_the_drop() {
    for phase in ["DeletionRequested", "DeletionInProgress", "Deleted"] {
        let stored = saved().await;
        stored.tamper("manifest.json", |manifest| Some(without_streams(&manifest))).await;
        stored.world.api.edit(|database| database["status"]["phase"] = json!(phase));
        let outcome = stored.world.run(Operation::Delete).await;
        let message = assert_failed(&outcome, Reason::BackupDamaged);
        assert!(message.contains("the database is kept"), "{message}");
        assert_eq!(stored.rows().unwrap(), ["one"], "{phase}");
    }
}

/// The control plane is restored from a snapshot of a time before the deletion: the same uid lives again, and a final
/// backup of it lies in the bucket.
#[tokio::test]
async fn after_the_control_plane_is_restored_an_older_final_backup_does_not_stand_for_a_new_one() {
    let stored = Stored::alone(&["one"]).await;
    let snapshot = stored.world.api.database().unwrap();
    stored.world.api.delete();
    assert_eq!(stored.world.run(Operation::BackupBeforeDelete).await, Outcome::Done);
    let older = stored.final_backup().await.unwrap();

    stored.world.api.edit(|database| *database = snapshot);
    assert_eq!(stored.world.run(Operation::Create).await, Outcome::Done, "it is let in again");
    stored.commit("later");
    stored.world.api.delete();
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
    assert_eq!(stored.dumped(&older).await.unwrap(), ["one"], "nobody announced it in this life");
    let record = stored.world.api.objects(|objects| objects.all(Kind::Backup)).remove(0);
    assert_eq!(record["status"]["conditions"][0]["status"], "True");
    let newer = record["status"]["location"]["path"].as_str().unwrap();
    assert_ne!(newer, older);
    assert_eq!(stored.dumped(newer).await.unwrap(), ["one", "later"]);
}

#[tokio::test]
async fn a_status_that_is_copied_to_another_object_announces_nothing_there() {
    let source = saved().await;
    let status = source.world.api.database().unwrap()["status"].clone();
    let stored = Stored::with_uid("u-2", &source.direct, &["theirs"]).await;
    stored.world.api.delete();
    stored.world.api.edit(|database| {
        for field in ["phase", "finalBackup", "activeOperation"] {
            database["status"][field] = status[field].clone();
        }
    });
    assert_failed(&stored.world.run(Operation::Delete).await, Reason::Superseded);
    assert_eq!(stored.rows().unwrap(), ["theirs"]);
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
    let record = stored.world.api.objects(|objects| objects.all(Kind::Backup)).remove(0);
    let path = record["status"]["location"]["path"].as_str().unwrap();
    assert!(path.starts_with("shop/orders/final-u-2-"), "{path}");
    assert_eq!(stored.dumped(path).await.unwrap(), ["theirs"]);
    assert_eq!(source.dumped_final().await.unwrap(), ["one"], "the other one's is left alone");
}

#[tokio::test]
async fn a_run_that_was_overtaken_does_not_record_its_attempt() {
    // Another run has begun, of another Job and of the same one, and has announced its attempt or not yet; and the server has
    // noticed or not that the lock is lost.
    for (job, attempt, lost) in [
        (Some("another"), Some("another"), true),
        (Some("another"), Some("another"), false),
        (Some("another"), None, false),
        (None, Some("another"), false),
    ] {
        let stored = deleted(&["one"]).await;
        let run = stored.world.run(Operation::BackupBeforeDelete);
        let reads_back = |line: &str| line.starts_with("GET") && line.contains("/seg-");
        let outcome = stored
            .while_held(reads_back, run, async || {
                if lost {
                    stored.server().end_sessions();
                }
                stored.world.api.edit(|database| {
                    if let Some(attempt) = attempt {
                        database["status"]["finalBackup"] = json!({"attempt": attempt});
                    }
                    if let Some(job) = job {
                        database["status"]["activeOperation"]["job"] = json!(job);
                    }
                });
            })
            .await;
        let reason = if lost { Reason::Unreachable } else { Reason::Superseded };
        assert_failed(&outcome, reason);
        assert_eq!(announced(&stored)["checksum"], Value::Null);
        assert!(attempt.is_none_or(|attempt| announced(&stored)["attempt"] == attempt));
        assert_eq!(stored.world.phase().unwrap(), "BackupBeforeDeleteInProgress");
        assert_eq!(stored.rows().unwrap(), ["one"]);
    }
}

#[tokio::test]
async fn what_the_release_before_has_verified_is_made_again_before_the_drop() {
    let stored = deleted(&["one"]).await;
    forge(&store(&stored.direct), "shop/orders/final-u-1", "u-1").await;
    stored.world.api.edit(|database| database["status"]["phase"] = json!("BackupBeforeDeleteCompleted"));
    settle(&stored.world).await;
    assert_eq!((stored.world.api.database(), stored.rows()), (None, None));
    assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
    assert_eq!(stored.dumped("shop/orders/final-u-1").await.unwrap(), ["forged"], "it is left alone");
}

/// Ours is to say where an attempt is, and nobody's to lead a run elsewhere by it.
#[tokio::test]
async fn an_attempt_that_is_no_name_is_neither_read_nor_removed() {
    for attempt in ["../../other", "a/../../other", "", "a/b", "."] {
        let stored = deleted(&["one"]).await;
        stored.plant("other/manifest.json", b"{}".to_vec()).await;
        stored.world.api.edit(|database| {
            database["status"]["phase"] = json!("BackupBeforeDeleteCompleted");
            database["status"]["finalBackup"] = json!({"attempt": attempt, "checksum": "0"});
        });
        assert_failed(&stored.world.run(Operation::Delete).await, Reason::Superseded);
        settle(&stored.world).await;
        assert_eq!((stored.world.api.database(), stored.rows()), (None, None), "{attempt:?}");
        assert_eq!(stored.dumped_final().await.unwrap(), ["one"], "{attempt:?}");
        assert_eq!(stored.content("other/manifest.json").await, b"{}", "{attempt:?}");
    }
}
