//! Backups: a developer applies one, and it is there when it is whole.

use anyhow::{Context as _, Result, ensure};
use api::{Backup, Database, DatabasePhase as Phase};
use e2e::{
    Bucket, Context, DatabaseFixture, History, POSTGRESQL_15, POSTGRESQL_18, SERVERS, SOON, database,
    kubectl, login, ready, with_namespace,
};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::credentials::copy_authority;

/// Rows that a restore must bring back, made as the application makes them.
pub(crate) async fn fill(test: &Context, name: &str) -> Result<tokio_postgres::Client> {
    let application = login(&test.client, &test.secret(name).await?).await?;
    application
        .batch_execute(
            "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL); \
             CREATE INDEX ON orders (what); \
             INSERT INTO orders (what) SELECT 'thing ' || n FROM generate_series(1, 1000) n",
        )
        .await?;
    Ok(application)
}

/// A hash over all rows of `orders`, and how many there are.
pub(crate) async fn picture(application: &tokio_postgres::Client) -> Result<(i64, Option<String>)> {
    let sql = "SELECT count(*), md5(string_agg(id || ':' || what, ',' ORDER BY id)) FROM orders";
    let row = application.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

/// The manifest of the only backup in the bucket.
pub(crate) async fn manifest(bucket: &Bucket) -> Result<Value> {
    let keys = bucket.keys().await?;
    let manifests: Vec<_> = keys.iter().filter(|key| key.ends_with("/manifest.json")).collect();
    ensure!(manifests.len() == 1, "there should be one manifest: {keys:?}");
    Ok(serde_json::from_slice(&bucket.read(manifests[0]).await?)?)
}

#[tokio::test]
async fn a_backup_is_written_and_its_database_shows_every_phase() {
    with_namespace("backup", async |test| {
        let bucket = Bucket::make(&test).await?;
        let mut history = History::record(&test.api(), "orders").await?;
        test.create_ready(&database("orders").backup_to(&bucket)).await?;
        fill(&test, "orders").await?;
        test.create_backup("first", "orders").await?;
        let status = test.backed_up("first").await?.status.context("no status")?;
        history
            .expect(&[
                Phase::Creating,
                Phase::Created,
                Phase::BackupRequested,
                Phase::BackupInProgress,
                Phase::BackupCompleted,
                Phase::Created,
            ])
            .await?;
        let manifest = manifest(&bucket).await?;
        let checksum = status.checksum.context("no checksum")?;
        ensure!(checksum.len() == 64, "{checksum}");
        let destination = status.destination.context("no destination")?;
        ensure!(destination.starts_with(&format!("s3://{}/backups/", test.namespace)), "{destination}");
        ensure!(status.progress.is_some_and(|progress| progress.percent == 100));
        ensure!(status.size.is_some() && status.duration.is_some() && status.started_at.is_some());
        ensure!(status.server_version.as_deref().is_some_and(|version| version.starts_with("17")));
        let rows = &manifest["streams"].as_array().context("no streams")?;
        let table = rows.iter().find(|stream| stream["name"] == "table public.orders").context("no table")?;
        ensure!(table["rows"] == 1000, "{table}");
        ensure!(bucket.uploads().await? == 0, "an upload is left");
        // What people see.
        let seen = kubectl(&["get", "backups.db.isotoma.com", "-n", &test.namespace]).await?;
        for expected in ["Completed", "100", "s3://"] {
            ensure!(seen.contains(expected), "{expected} is missing in\n{seen}");
        }
        test.event("first", "BackupStarted", "Normal").await?;
        test.event("first", "BackupCompleted", "Normal").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_server_version_is_backed_up_by_a_tool_of_its_own() {
    with_namespace("backup_versions", async |test| {
        let bucket = Bucket::make(&test).await?;
        try_join_all(SERVERS.map(|server| {
            let (test, bucket) = (&test, &bucket);
            async move {
                let name = server.name;
                test.create_ready(&database(name).on(server).backup_to(bucket)).await?;
                fill(test, name).await?;
                test.create_backup(name, name).await?;
                let status = test.backed_up(name).await?.status.context("no status")?;
                let major = name.trim_start_matches("postgresql-");
                let tool = status.tool_version.unwrap_or_default();
                ensure!(tool.contains(&format!(" {major}.")), "{name} was dumped by {tool}");
                anyhow::Ok(())
            }
        }))
        .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn backups_of_one_database_take_their_turn_the_oldest_first() {
    with_namespace("backup_turns", async |test| {
        let bucket = Bucket::make(&test).await?;
        test.create_ready(&database("orders").on(POSTGRESQL_15).backup_to(&bucket)).await?;
        // Of those that are of one second, the first by name.
        for name in ["a", "b", "c"] {
            test.create_backup(name, "orders").await?;
        }
        let mut ends = Vec::new();
        for name in ["a", "b", "c"] {
            let status = test.backed_up(name).await?.status.context("no status")?;
            ends.push((status.started_at.context("no start")?.0, status.completed_at.context("no end")?.0));
        }
        for pair in ends.windows(2) {
            ensure!(pair[0].1 <= pair[1].0, "one began before the one before had ended: {ends:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_cannot_be_written_says_why_and_the_database_is_as_ready_as_before() {
    with_namespace("backup_refused", async |test| {
        let bucket = Bucket::make(&test).await?;
        let broken = |change: Value| {
            let mut target = bucket.target();
            for (name, value) in change.as_object().into_iter().flatten() {
                target[name] = value.clone();
            }
            json!({"spec": {"backupTo": {"s3": target}}})
        };
        test.put_secret("wrong", json!({"id": "nobody", "key": "wrong"})).await?;
        let key = |key: &str| json!({"valueFrom": {"secretKeyRef": {"name": "wrong", "key": key}}});
        let no_key = json!({"valueFrom": {"secretKeyRef": {"name": "absent", "key": "key"}}});
        let cases = [
            ("no-bucket", json!({"bucket": "there-is-none"}), "BucketMissing", "there-is-none"),
            ("elsewhere", json!({"region": "mars-1"}), "BucketMissing", "not in region \"mars-1\""),
            (
                "denied",
                json!({"credentials": {"accessKeyId": key("id"), "secretAccessKey": key("key")}}),
                "StorageDenied",
                "access key",
            ),
            (
                "no-key",
                json!({"credentials": {"accessKeyId": key("id"), "secretAccessKey": no_key}}),
                "CredentialsMissing",
                "absent",
            ),
        ];
        try_join_all(cases.map(|(name, change, reason, hint)| {
            let (test, bucket) = (&test, &bucket);
            let (broken, repaired) = (broken(change), broken(json!({})));
            async move {
                test.create_ready(&database(name).on(POSTGRESQL_18).backup_to(bucket)).await?;
                test.patch(name, broken).await?;
                test.ready(name).await?;
                test.create_backup(name, name).await?;
                let message = test.backup_failed(name, reason).await?;
                ensure!(message.contains(hint), "{name}: {message}");
                let live = test.api::<Database>().get(name).await?;
                ensure!(ready(&live), "{name}: {:?}", live.status);
                // The run says on the Backup why it failed, and only then gives its claim back.
                test.until(name, SOON, "Created", |live| live.phase() == Some(Phase::Created)).await?;
                // Repairing the cause ends it.
                test.patch(name, repaired).await?;
                test.backed_up(name).await?;
                anyhow::Ok(())
            }
        }))
        .await?;
        ensure!(bucket.uploads().await? == 0, "an upload is left");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_without_its_database_or_without_a_target_says_so() {
    with_namespace("backup_nothing", async |test| {
        test.create_backup("lost", "nobody").await?;
        let note = test.warned("lost", "DatabaseNotFound", SOON).await?;
        ensure!(note.contains("nobody"), "{note}");
        test.create_ready(&database("orders")).await?;
        test.create_backup("nowhere", "orders").await?;
        let message = test.backup_failed("nowhere", "Invalid").await?;
        ensure!(message.contains("spec.backupTo"), "{message}");
        // It waits for nothing but what it says.
        let live = test.api::<Backup>().get("nowhere").await?;
        ensure!(live.status.is_some_and(|status| {
            status.conditions.iter().any(|condition| condition.type_ == "Stalled")
        }));
        let live = test.api::<Database>().get("orders").await?;
        ensure!(ready(&live), "{:?}", live.status);
        // As above: the claim goes after the word.
        test.until("orders", SOON, "Created", |live: &Database| live.phase() == Some(Phase::Created)).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_store_with_a_certificate_of_its_own_is_trusted_by_its_authority_alone() {
    with_namespace("backup_tls", async |test| {
        let bucket = Bucket::make(&test).await?;
        copy_authority(&test).await?;
        let target = |ca: Value| {
            let mut target = bucket.target();
            target["endpoint"] = json!("https://s3.servers.svc.cluster.local:7443");
            target["ca"] = ca;
            json!({"spec": {"backupTo": {"s3": target}}})
        };
        test.create_ready(&database("orders").backup_to(&bucket)).await?;
        test.patch("orders", target(Value::Null)).await?;
        test.ready("orders").await?;
        test.create_backup("first", "orders").await?;
        let message = test.backup_failed("first", "Untrusted").await?;
        ensure!(message.contains("s3.ca"), "{message}");
        test.patch("orders", target(json!({"configMapKeyRef": {"name": "servers-ca", "key": "ca.crt"}})))
            .await?;
        test.backed_up("first").await?;
        // The final one, too, and the look at it before the drop.
        test.delete("orders").await
    })
    .await;
}
