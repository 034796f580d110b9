//! Backups that are interrupted in the middle: each ends right, and leaves nothing behind.

use anyhow::{Context as _, Result, ensure};
use api::{Backup, BackupPhase, Database};
use e2e::{Bucket, Context, DatabaseFixture, POSTGRESQL_17, database, login, with_namespace};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::backups::fill;

/// Makes a Database whose backup takes some seconds, and begins one: it has uploaded something when this returns.
async fn uploading(test: &Context) -> Result<Bucket> {
    let bucket = Bucket::make(test).await?;
    test.create_ready(&database("orders").backup_to(&bucket)).await?;
    // Random digits, so that they stay long.
    login(&test.client, &test.secret("orders").await?)
        .await?
        .batch_execute(
            "CREATE TABLE orders AS SELECT n AS id, (SELECT string_agg(md5(random()::text || n || k), '') \
             FROM generate_series(1, 32) k) AS what FROM generate_series(1, 120000) n",
        )
        .await?;
    test.create_backup("nightly", "orders").await?;
    bucket.until_uploading().await?;
    Ok(bucket)
}

/// Waits until the Backup is complete, and looks whether it is all that is in the bucket.
async fn is_the_only_one(test: &Context, bucket: &Bucket) -> Result<()> {
    let backup = test.backed_up("nightly").await?;
    ensure!(bucket.uploads().await? == 0, "an upload is left");
    let uid = backup.uid().context("no uid")?;
    let keys: Vec<_> = bucket.keys().await?.into_iter().filter(|key| key.contains(&uid)).collect();
    let folders: std::collections::BTreeSet<_> =
        keys.iter().filter_map(|key| Some(key.rsplit_once("/seg-")?.0)).collect();
    ensure!(folders.len() == 1, "objects of more than one attempt are left: {keys:?}");
    Ok(())
}

async fn pods(test: &Context) -> Result<Vec<Pod>> {
    let backups = ListParams::default().labels("db.isotoma.com/operation=backup");
    Ok(test.api::<Pod>().list(&backups).await?.items)
}

#[tokio::test]
async fn a_backup_whose_pod_is_killed_is_made_by_the_next() {
    with_namespace("interrupted_pod", async |test| {
        let bucket = uploading(&test).await?;
        for pod in pods(&test).await? {
            test.api::<Pod>().delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
        }
        is_the_only_one(&test, &bucket).await
    })
    .await;
}

#[tokio::test]
async fn a_backup_whose_sessions_the_server_ends_is_made_by_the_next() {
    with_namespace("interrupted_session", async |test| {
        let bucket = uploading(&test).await?;
        let live: Database = test.api().get("orders").await?;
        let name = live.status.and_then(|status| status.database).context("no name")?;
        let admin = POSTGRESQL_17.admin(&test.client, "postgres").await?;
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
        let ended: i64 = admin.query_one(sql, &[&name]).await?.get(0);
        ensure!(ended > 0, "nobody was connected");
        is_the_only_one(&test, &bucket).await
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_deleted_during_its_backup_has_it_finished_and_a_final_one() {
    with_namespace("interrupted_delete", async |test| {
        let bucket = uploading(&test).await?;
        test.delete("orders").await?;
        is_the_only_one(&test, &bucket).await?;
        let backups = test.api::<Backup>().list(&ListParams::default()).await?.items;
        let complete = backups.iter().filter(|backup| backup.phase() == Some(BackupPhase::Completed)).count();
        ensure!((backups.len(), complete) == (2, 2), "{backups:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for() {
    with_namespace("interrupted_store", async |test| {
        let bucket = Bucket::make(&test).await?;
        // A Service in front of the store's pod, at first with a port on which nobody answers.
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "store"},
            "spec": {"ports": [{"name": "s3", "port": 7070}]},
        });
        let service: Service = serde_json::from_value(service)?;
        test.api::<Service>().create(&PostParams::default(), &service).await?;
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "store", "labels": {"kubernetes.io/service-name": "store"}},
            "endpoints": [{"addresses": [bucket.address(&test).await?]}],
            "ports": [{"name": "s3", "port": 9}],
        });
        let slice: EndpointSlice = serde_json::from_value(slice)?;
        test.api::<EndpointSlice>().create(&PostParams::default(), &slice).await?;
        let mut target = bucket.target();
        target["endpoint"] = json!(format!("http://store.{}.svc.cluster.local:7070", test.namespace));
        let mut fixture = database("orders").backup_to(&bucket);
        fixture.spec.backup_to = serde_json::from_value(json!({"s3": target}))?;
        test.create_ready(&fixture).await?;
        fill(&test, "orders").await?;
        test.create_backup("nightly", "orders").await?;
        until_logged(&test, "trying again").await?;
        let back = Patch::Merge(json!({"ports": [{"name": "s3", "port": 7070}]}));
        test.api::<EndpointSlice>().patch("store", &PatchParams::default(), &back).await?;
        test.backed_up("nightly").await?;
        test.delete("orders").await
    })
    .await;
}

/// Waits until the driver's pod says that.
async fn until_logged(test: &Context, what: &str) -> Result<()> {
    let pod = test.running_pod("db.isotoma.com/operation=backup").await?;
    let follow = LogParams { follow: true, ..LogParams::default() };
    let mut lines = test.api::<Pod>().log_stream(&pod, &follow).await?.lines();
    while let Some(line) = lines.try_next().await? {
        if line.contains(what) {
            return Ok(());
        }
    }
    anyhow::bail!("the pod ended without having said {what:?}")
}
