//! What becomes of what a Backup stored when the Backup is deleted.

use anyhow::{Context as _, Result, ensure};
use api::{Backup, BackupPhase, DeletionPolicy};
use e2e::{
    Bucket, Context, DatabaseFixture, OPERATOR_NAMESPACE, PATIENCE, database, until, until_any,
    with_namespace,
};
use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::Api;
use kube::api::DeleteParams;
use kube::runtime::watcher;

use crate::backups::fill;

/// A Database with two Backups: `kept`, and `passing`, whose policy is Delete.
async fn backed_up(test: &Context, bucket: &Bucket) -> Result<()> {
    let fixture = database("orders").backup_to(bucket).deletion_policy(DeletionPolicy::Delete);
    test.create_ready(&fixture).await?;
    fill(test, "orders").await?;
    test.create_backup("kept", "orders").await?;
    test.create_deletable_backup("passing", "orders").await?;
    test.backed_up("kept").await?;
    test.backed_up("passing").await?;
    Ok(())
}

/// The keys below the folder of a Backup.
async fn stored(bucket: &Bucket, backup: &Backup) -> Result<Vec<String>> {
    let folder = format!("/{}/", backup.metadata.uid.as_deref().context("no uid")?);
    Ok(bucket.keys().await?.into_iter().filter(|key| key.contains(&folder)).collect())
}

#[tokio::test]
async fn a_deleted_backup_takes_everything_below_its_folder_along() {
    with_namespace("stored_deleted", async |test| {
        let bucket = Bucket::make(&test).await?;
        backed_up(&test, &bucket).await?;
        let (kept, passing) = (test.backed_up("kept").await?, test.backed_up("passing").await?);
        ensure!(!stored(&bucket, &passing).await?.is_empty(), "nothing was stored");
        let before = stored(&bucket, &kept).await?;
        test.begin_delete_backup("passing").await?;
        test.backup_gone("passing").await?;
        ensure!(stored(&bucket, &passing).await?.is_empty(), "something is left");
        ensure!(stored(&bucket, &kept).await? == before, "another backup was touched");
        ensure!(bucket.uploads().await? == 0, "an upload is left");
        test.event("passing", "BackupDeletionStarted", "Normal").await?;
        let note = test.event("passing", "BackupDeleted", "Normal").await?;
        ensure!(note.contains("s3://"), "{note}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_whose_database_is_gone_still_takes_what_it_stored_along() {
    with_namespace("stored_orphan", async |test| {
        let bucket = Bucket::make(&test).await?;
        backed_up(&test, &bucket).await?;
        let passing = test.backed_up("passing").await?;
        test.delete("orders").await?;
        ensure!(!stored(&bucket, &passing).await?.is_empty(), "a Backup outlives its Database");
        test.begin_delete_backup("passing").await?;
        test.backup_gone("passing").await?;
        ensure!(stored(&bucket, &passing).await?.is_empty(), "something is left");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_is_retained_leaves_what_it_stored() {
    with_namespace("stored_retained", async |test| {
        let bucket = Bucket::make(&test).await?;
        backed_up(&test, &bucket).await?;
        let before = bucket.keys().await?;
        test.begin_delete_backup("kept").await?;
        test.backup_gone("kept").await?;
        // Nor does one take it along whose owner thought better of it.
        test.retain_backup("passing").await?;
        test.begin_delete_backup("passing").await?;
        test.backup_gone("passing").await?;
        ensure!(bucket.keys().await? == before, "something was deleted");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_is_deleted_while_it_is_written_leaves_nothing() {
    with_namespace("stored_half", async |test| {
        let bucket = Bucket::make(&test).await?;
        let fixture = database("orders").backup_to(&bucket).deletion_policy(DeletionPolicy::Delete);
        test.create_ready(&fixture).await?;
        fill(&test, "orders").await?;
        let made = test.create_deletable_backup("passing", "orders").await?;
        let begun = |live: Option<&Backup>| live.and_then(Backup::phase) >= Some(BackupPhase::Starting);
        until(&test.api::<Backup>(), "passing", PATIENCE, "its begin", begun).await?;
        test.begin_delete_backup("passing").await?;
        test.backup_gone("passing").await?;
        ensure!(stored(&bucket, &made).await?.is_empty(), "something is left");
        ensure!(bucket.uploads().await? == 0, "an upload is left");
        test.ready("orders").await?;
        // The Database goes on.
        test.create_backup("next", "orders").await?;
        test.backed_up("next").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_whose_bucket_is_gone_says_why_and_retain_lets_it_go() {
    with_namespace("stored_no_bucket", async |test| {
        let bucket = Bucket::make(&test).await?;
        backed_up(&test, &bucket).await?;
        bucket.remove().await?;
        test.begin_delete_backup("passing").await?;
        let message = test.backup_failed("passing", "BucketMissing").await?;
        ensure!(message.contains(&test.namespace), "{message}");
        ensure!(message.contains("set spec.deletionPolicy to Retain"), "{message}");
        test.retain_backup("passing").await?;
        test.backup_gone("passing").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_deletion_of_a_namespace_ends_and_leaves_what_its_backups_stored() {
    with_namespace("stored_namespace", async |test| {
        test.leaves_databases();
        let bucket = Bucket::make(&test).await?;
        backed_up(&test, &bucket).await?;
        let before = bucket.keys().await?;
        let folder = test.backed_up("passing").await?.location().context("no location")?.path.clone();
        let namespaces: Api<Namespace> = Api::all(test.client.clone());
        namespaces.delete(&test.namespace, &DeleteParams::default()).await?;
        until(&namespaces, &test.namespace, PATIENCE, "its end", |live| live.is_none()).await?;
        ensure!(bucket.keys().await? == before, "something was deleted");
        let events: Api<Event> = Api::namespaced(test.client.clone(), OPERATOR_NAMESPACE);
        let what = "that says where the backup is";
        let says = |event: &Event| event.message.as_ref().is_some_and(|text| text.contains(&folder));
        until_any(&events, watcher::Config::default(), PATIENCE, what, says).await?;
        Ok(())
    })
    .await;
}
