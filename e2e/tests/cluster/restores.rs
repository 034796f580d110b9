//! Restores: into the same database, another one, another server, and when only the bucket is left.

use anyhow::{Context as _, Result, ensure};
use api::{Backup, DatabasePhase as Phase};
use e2e::{
    Bucket, Context, DatabaseFixture, History, POSTGRESQL_15, POSTGRESQL_17, POSTGRESQL_18, database, login,
    with_namespace,
};
use kube::api::DeleteParams;
use serde_json::json;

use crate::backups::{fill, picture};

/// A Database with rows in it and a Backup of them; a hash over the rows.
async fn backed_up(test: &Context, bucket: &Bucket) -> Result<(i64, Option<String>)> {
    test.create_ready(&database("orders").backup_to(bucket)).await?;
    let before = picture(&fill(test, "orders").await?).await?;
    test.create_backup("first", "orders").await?;
    test.backed_up("first").await?;
    Ok(before)
}

async fn rows(test: &Context, name: &str) -> Result<(i64, Option<String>)> {
    picture(&login(&test.client, &test.secret(name).await?).await?).await
}

#[tokio::test]
async fn a_database_is_set_back_to_its_backup_only_if_that_is_asked_for() {
    with_namespace("restore_self", async |test| {
        let bucket = Bucket::make(&test).await?;
        let before = backed_up(&test, &bucket).await?;
        login(&test.client, &test.secret("orders").await?)
            .await?
            .batch_execute("DELETE FROM orders WHERE id > 10; CREATE TABLE newer (x int)")
            .await?;
        let from = json!({"backup": "first"});
        test.create_restore("careful", "orders", &from, false).await?;
        let message = test.restore_failed("careful", "NotEmpty").await?;
        ensure!(message.contains("overwrite"), "{message}");
        ensure!(rows(&test, "orders").await?.0 == 10, "something was changed");

        let mut history = History::record(&test.api(), "orders").await?;
        let password = test.secret("orders").await?["password"].clone();
        test.api::<api::Restore>().delete("careful", &DeleteParams::default()).await?;
        test.create_restore("bold", "orders", &from, true).await?;
        let status = test.restored("bold").await?.status.context("no status")?;
        ensure!(status.progress.is_some_and(|progress| progress.percent == 100));
        history
            .expect(&[
                Phase::Created,
                Phase::RestoreRequested,
                Phase::RestoreInProgress,
                Phase::RestoreCompleted,
                Phase::Created,
            ])
            .await?;
        test.ready("orders").await?;
        ensure!(rows(&test, "orders").await? == before);
        ensure!(test.secret("orders").await?["password"] == password, "the application lost its login");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_is_loaded_into_another_database_on_another_server() {
    with_namespace("restore_other", async |test| {
        let bucket = Bucket::make(&test).await?;
        let before = backed_up(&test, &bucket).await?;
        test.create_ready(&database("copy").on(POSTGRESQL_18)).await?;
        test.create_restore("copy", "copy", &json!({"backup": "first"}), false).await?;
        test.restored("copy").await?;
        test.ready("copy").await?;
        ensure!(rows(&test, "copy").await? == before);
        // An older server cannot take it, and says so before it changes anything.
        test.create_ready(&database("old").on(POSTGRESQL_15)).await?;
        test.create_restore("old", "old", &json!({"backup": "first"}), false).await?;
        let message = test.restore_failed("old", "Unsupported").await?;
        ensure!(message.contains("17") && message.contains("15"), "{message}");
        test.ready("old").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_database_is_born_from_a_bucket_when_nothing_else_is_left() {
    with_namespace("restore_bucket", async |test| {
        let bucket = Bucket::make(&test).await?;
        let before = backed_up(&test, &bucket).await?;
        let status = test.backed_up("first").await?.status.context("no status")?;
        let path = status.location.context("no location")?.path;
        test.patch("orders", json!({"spec": {"deletionPolicy": "Delete"}})).await?;
        test.delete("orders").await?;
        test.api::<Backup>().delete("first", &DeleteParams::default()).await?;

        let location = json!({"location": {"s3": bucket.target(), "path": path}});
        test.create_ready(&database("orders").restore_from(location)).await?;
        ensure!(rows(&test, "orders").await? == before);
        // It is not read again: what the application does later stays.
        login(&test.client, &test.secret("orders").await?).await?.batch_execute("DELETE FROM orders").await?;
        test.annotate("orders", "db.isotoma.com/reconcile", "once").await?;
        test.until("orders", e2e::PATIENCE, "the repair", |live| {
            live.status
                .as_ref()
                .is_some_and(|status| status.last_handled_reconcile.as_deref() == Some("once"))
        })
        .await?;
        ensure!(rows(&test, "orders").await? == (0, None), "the backup was loaded again");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_is_restored_into_another_namespace_by_its_place_in_the_bucket() {
    with_namespace("restore_from", async |test| {
        let bucket = Bucket::make(&test).await?;
        let before = backed_up(&test, &bucket).await?;
        let key = test.secret("bucket").await?;
        let location = test.backed_up("first").await?.status.and_then(|status| status.location);
        let from = json!({"location": location.context("no location")?});
        with_namespace("restore_into", async move |other| {
            other.put_secret("bucket", json!(key)).await?;
            other.create_ready(&database("orders")).await?;
            other.create_restore("moved", "orders", &from, false).await?;
            other.restored("moved").await?;
            other.ready("orders").await?;
            ensure!(rows(&other, "orders").await? == before);
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_is_damaged_or_missing_is_refused_before_anything_is_changed() {
    with_namespace("restore_damaged", async |test| {
        let bucket = Bucket::make(&test).await?;
        let before = backed_up(&test, &bucket).await?;
        test.create_restore("early", "orders", &json!({"backup": "none"}), true).await?;
        let message = test.restore_failed("early", "BackupMissing").await?;
        ensure!(message.contains("none"), "{message}");
        test.api::<api::Restore>().delete("early", &DeleteParams::default()).await?;

        let keys = bucket.keys().await?;
        let segment = keys.iter().find(|key| key.contains("/seg-")).context("no segment")?;
        let whole = bucket.read(segment).await?;
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        bucket.write(segment, &flipped).await?;
        test.create_restore("damaged", "orders", &json!({"backup": "first"}), true).await?;
        let message = test.restore_failed("damaged", "BackupDamaged").await?;
        ensure!(message.contains("seg-"), "{message}");
        ensure!(rows(&test, "orders").await? == before, "something was changed");
        // Once it is whole again, the next attempt ends it.
        bucket.write(segment, &whole).await?;
        test.restored("damaged").await?;
        test.ready("orders").await?;
        ensure!(rows(&test, "orders").await? == before);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_encrypted_backup_is_loaded_with_its_key_and_with_no_other() {
    // Made by age-keygen for this test, and for nothing else.
    const RECIPIENT: &str = include_str!("age-recipient.txt");
    const KEY: &str = include_str!("age-key.txt");
    const OTHER: &str = include_str!("age-other-key.txt");
    with_namespace("restore_age", async |test| {
        let bucket = Bucket::make(&test).await?;
        let target = json!({"s3": bucket.target(), "encryption": {"recipients": [RECIPIENT.trim()]}});
        let mut orders = database("orders").on(POSTGRESQL_17);
        orders.spec.backup_to = serde_json::from_value(target)?;
        orders.spec.deletion_policy = None;
        test.create_ready(&orders).await?;
        let before = picture(&fill(&test, "orders").await?).await?;
        // The final backup of it, too.
        test.delete("orders").await?;
        let backups = test.api::<Backup>().list(&kube::api::ListParams::default()).await?.items;
        let name = backups.first().and_then(|backup| backup.metadata.name.clone()).context("no Backup")?;
        for key in bucket.keys().await?.iter().filter(|key| key.contains("/seg-")) {
            ensure!(key.contains(".zst.age"), "{key} is not encrypted");
            ensure!(bucket.read(key).await?.starts_with(b"age-encryption.org/v1"), "{key} is not encrypted");
        }
        test.put_secret("age", json!({"right": KEY.trim(), "wrong": OTHER.trim()})).await?;
        let from = |key: Option<&str>| {
            let key = key.map(|key| json!({"valueFrom": {"secretKeyRef": {"name": "age", "key": key}}}));
            let mut from = json!({"backup": name});
            if let Some(key) = key {
                from["decryptionKey"] = key;
            }
            from
        };
        test.create(&database("without").restore_from(from(None))).await?;
        test.refused("without", "DecryptionFailed").await?;
        test.create(&database("wrong").restore_from(from(Some("wrong")))).await?;
        let message = test.refused("wrong", "DecryptionFailed").await?;
        ensure!(!message.contains("AGE-SECRET"), "{message}");
        test.create_ready(&database("copy").restore_from(from(Some("right")))).await?;
        ensure!(rows(&test, "copy").await? == before);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_is_restored_by_hand_as_the_page_says() {
    with_namespace("restore_by_hand", async |test| {
        test.leaves_databases();
        let bucket = Bucket::make(&test).await?;
        let before = backed_up(&test, &bucket).await?;
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/restore-by-hand.md"))?;
        let script =
            page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).context("no script")?;

        // What `aws s3 cp --recursive` would bring.
        let folder = std::env::temp_dir().join(&test.namespace);
        let status = test.backed_up("first").await?.status.context("no status")?;
        let path = format!("backups/{}/", status.location.context("no location")?.path);
        for key in bucket.keys().await? {
            let Some(name) = key.strip_prefix(&path) else { continue };
            let file = folder.join("bucket").join(name);
            std::fs::create_dir_all(file.parent().context("no folder")?)?;
            std::fs::write(file, bucket.read(&key).await?)?;
        }
        let login = POSTGRESQL_17.admin_login(&test.client).await?;
        let name = format!("{}_by_hand", test.prefix());
        let host = e2e::address(&test.client, &POSTGRESQL_17.host()).await?;
        let prelude = format!(
            "aws() {{ cp -r bucket backup; }}; \
             export PGHOST={host} PGUSER=postgres PGDATABASE={name}\n"
        );
        // Where it is, and who we are, the reader fills in.
        let filled: Vec<_> = script.lines().filter(|line| !line.starts_with("export PGHOST=")).collect();
        ensure!(filled.len() + 1 == script.lines().count(), "the page names no server any more");
        let output = tokio::process::Command::new("bash")
            .arg("-c")
            .arg(prelude + &filled.join("\n"))
            .env("PGPASSWORD", &login["password"])
            .current_dir(&folder)
            .output()
            .await?;
        std::fs::remove_dir_all(&folder)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{said}");
        let restored = POSTGRESQL_17.admin(&test.client, &name).await?;
        ensure!(picture(&restored).await? == before, "{said}");
        Ok(())
    })
    .await;
}
