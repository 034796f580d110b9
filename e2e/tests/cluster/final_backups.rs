//! The final backup: lock out, dump, verify, then drop. No committed row is lost.

use anyhow::{Context as _, Result, ensure};
use api::{Backup, DatabasePhase as Phase};
use e2e::{
    Bucket, Context, DatabaseFixture, History, POSTGRESQL_17, POSTGRESQL_18, Writers, database, login,
    with_namespace,
};
use futures::future::try_join_all;
use kube::api::ListParams;
use serde_json::json;

use crate::backups::{fill, picture};
use crate::lifecycle::nothing_is_left;

/// The only Backup in the namespace.
async fn the_backup(test: &Context) -> Result<Backup> {
    let mut backups = test.api::<Backup>().list(&ListParams::default()).await?.items;
    ensure!(backups.len() == 1, "there should be one Backup: {backups:?}");
    backups.pop().context("no Backup")
}

#[tokio::test]
async fn a_deleted_database_comes_back_row_by_row_from_its_final_backup() {
    with_namespace("final", async |test| {
        let bucket = Bucket::make(&test).await?;
        let mut history = History::record(&test.api(), "orders").await?;
        test.create_ready(&database("orders").backup_to(&bucket)).await?;
        let before = picture(&fill(&test, "orders").await?).await?;
        test.delete("orders").await?;
        history
            .expect(&[
                Phase::Creating,
                Phase::Created,
                Phase::BackupBeforeDeleteRequested,
                Phase::BackupBeforeDeleteInProgress,
                Phase::BackupBeforeDeleteCompleted,
                Phase::DeletionRequested,
                Phase::DeletionInProgress,
                Phase::Deleted,
            ])
            .await?;
        nothing_is_left(&test, POSTGRESQL_17).await?;
        let last = the_backup(&test).await?.metadata.name.context("no name")?;
        test.backed_up(&last).await?;

        let copy = database("copy").on(POSTGRESQL_18).restore_from(json!({"backup": last}));
        test.create_ready(&copy).await?;
        let after = picture(&login(&test.client, &test.secret("copy").await?).await?).await?;
        ensure!(before == after, "{before:?} became {after:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_commit_that_was_acknowledged_before_the_deletion_is_in_the_final_backup() {
    with_namespace("final_writers", async |test| {
        let bucket = Bucket::make(&test).await?;
        test.create_ready(&database("orders").backup_to(&bucket)).await?;
        let writers = Writers::start(&test, "orders", 20).await?;
        test.delete("orders").await?;
        let acknowledged = writers.ended().await?;
        let last = the_backup(&test).await?.metadata.name.context("no name")?;
        test.create_ready(&database("copy").restore_from(json!({"backup": last}))).await?;
        Writers::check(&test, "copy", &acknowledged).await?;
        ensure!(acknowledged.iter().sum::<i32>() > 100, "hardly anything was written: {acknowledged:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_database_whose_final_backup_fails_stays_and_goes_on_when_the_cause_is_gone() {
    with_namespace("final_refused", async |test| {
        let bucket = Bucket::make(&test).await?;
        test.create_ready(&database("orders").backup_to(&bucket)).await?;
        fill(&test, "orders").await?;
        let mut target = bucket.target();
        target["bucket"] = json!("there-is-none");
        test.patch("orders", json!({"spec": {"backupTo": {"s3": target}}})).await?;
        test.ready("orders").await?;
        test.begin_delete("orders").await?;
        let message = test.refused("orders", "BucketMissing").await?;
        ensure!(message.contains("there-is-none"), "{message}");
        let databases = POSTGRESQL_17.databases(&test.client, &test.prefix()).await?;
        ensure!(databases.len() == 1, "it was dropped without a backup: {databases:?}");
        test.patch("orders", json!({"spec": {"backupTo": {"s3": bucket.target()}}})).await?;
        test.gone("orders").await?;
        nothing_is_left(&test, POSTGRESQL_17).await?;
        let last = the_backup(&test).await?;
        ensure!(last.phase() == Some(api::BackupPhase::Completed));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn no_phase_that_somebody_forges_brings_a_drop_without_a_final_backup() {
    with_namespace("final_forged", async |test| {
        let bucket = Bucket::make(&test).await?;
        let phases = ["DeletionRequested", "Deleted"];
        try_join_all(phases.map(|phase| {
            let (test, bucket) = (&test, &bucket);
            async move {
                let name = phase.to_lowercase();
                test.create_ready(&database(&name).backup_to(bucket)).await?;
                test.forge_phase(&name, phase).await?;
                test.begin_delete(&name).await?;
                let message = test.refused(&name, "BackupMissing").await?;
                ensure!(message.contains("final backup"), "{message}");
                anyhow::Ok(())
            }
        }))
        .await?;
        let kept = POSTGRESQL_17.databases(&test.client, &test.prefix()).await?;
        ensure!(kept.len() == phases.len(), "{kept:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_final_backup_that_is_not_there_when_it_is_called_complete_is_made_before_the_drop() {
    with_namespace("final_lost", async |test| {
        let bucket = Bucket::make(&test).await?;
        test.create_ready(&database("orders").backup_to(&bucket)).await?;
        test.forge_phase("orders", "BackupBeforeDeleteCompleted").await?;
        test.delete("orders").await?;
        nothing_is_left(&test, POSTGRESQL_17).await?;
        let last = the_backup(&test).await?;
        ensure!(last.phase() == Some(api::BackupPhase::Completed), "{last:?}");
        Ok(())
    })
    .await;
}
