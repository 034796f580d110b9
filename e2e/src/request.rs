//! Backups and Restores as tests write them down, and what they say about themselves.

use anyhow::Result;
use api::{Backup, BackupDeletionPolicy, BackupPhase, Conditions, READY, Restore, RestorePhase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::context::Context;
use crate::wait::{PATIENCE, until};

/// A Backup of the Database of that name.
pub fn backup(name: &str, database: &str) -> Backup {
    parse(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Backup", "metadata": {"name": name},
        "spec": {"database": database},
    }))
}

/// A Restore into the Database of that name, from what the JSON says.
pub fn restore(name: &str, database: &str, from: &Value, overwrite: bool) -> Restore {
    parse(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Restore", "metadata": {"name": name},
        "spec": {"database": database, "from": from, "overwrite": overwrite},
    }))
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("a test's own JSON: {error}"))
}

/// The sentence of the Ready condition, where it is false for that reason.
pub fn failed_because<'a>(conditions: &'a Vec<Condition>, reason: &str) -> Option<&'a str> {
    let ready = Conditions::get(conditions, READY)?;
    (ready.status == "False" && ready.reason == reason).then_some(ready.message.as_str())
}

impl Context {
    /// Makes a Backup of a Database.
    pub async fn create_backup(&self, name: &str, database: &str) -> Result<Backup> {
        Ok(self.api().create(&PostParams::default(), &backup(name, database)).await?)
    }

    /// Makes a Backup that takes what it stores along when it is deleted.
    pub async fn create_deletable_backup(&self, name: &str, database: &str) -> Result<Backup> {
        let mut backup = backup(name, database);
        backup.spec.deletion_policy = Some(BackupDeletionPolicy::Delete);
        Ok(self.api().create(&PostParams::default(), &backup).await?)
    }

    /// Deletes a Backup, and does not wait.
    pub async fn begin_delete_backup(&self, name: &str) -> Result<()> {
        self.api::<Backup>().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Says that a Backup is to leave what it stored where it is.
    pub async fn retain_backup(&self, name: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"deletionPolicy": "Retain"}}));
        self.api::<Backup>().patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits until a Backup is gone.
    pub async fn backup_gone(&self, name: &str) -> Result<()> {
        until(&self.api::<Backup>(), name, PATIENCE, "its end", |live| live.is_none()).await?;
        Ok(())
    }

    /// Waits until a Backup is complete.
    pub async fn backed_up(&self, name: &str) -> Result<Backup> {
        let done = |live: Option<&Backup>| live.and_then(Backup::phase) == Some(BackupPhase::Completed);
        let live = until(&self.api::<Backup>(), name, PATIENCE, "Completed", done).await?;
        live.ok_or_else(|| anyhow::anyhow!("Backup {name} is gone"))
    }

    /// Waits until a Backup says that it does not go on for that reason, and returns its sentence.
    pub async fn backup_failed(&self, name: &str, reason: &str) -> Result<String> {
        let mut sentence = None;
        let failed = |live: Option<&Backup>| {
            let status = live.and_then(|live| live.status.as_ref());
            let said = status.and_then(|status| failed_because(&status.conditions, reason));
            sentence = said.map(str::to_owned);
            sentence.is_some()
        };
        until(&self.api::<Backup>(), name, PATIENCE, &format!("a condition with reason {reason}"), failed)
            .await?;
        Ok(sentence.unwrap_or_default())
    }

    /// Makes a Restore.
    pub async fn create_restore(
        &self,
        name: &str,
        database: &str,
        from: &Value,
        overwrite: bool,
    ) -> Result<Restore> {
        let restore = restore(name, database, from, overwrite);
        Ok(self.api().create(&PostParams::default(), &restore).await?)
    }

    /// Waits until a Restore is complete.
    pub async fn restored(&self, name: &str) -> Result<Restore> {
        let done = |live: Option<&Restore>| live.and_then(Restore::phase) == Some(RestorePhase::Completed);
        let live = until(&self.api::<Restore>(), name, PATIENCE, "Completed", done).await?;
        live.ok_or_else(|| anyhow::anyhow!("Restore {name} is gone"))
    }

    /// Waits until a Restore says that it does not go on for that reason, and returns its sentence.
    pub async fn restore_failed(&self, name: &str, reason: &str) -> Result<String> {
        let mut sentence = None;
        let failed = |live: Option<&Restore>| {
            let status = live.and_then(|live| live.status.as_ref());
            let said = status.and_then(|status| failed_because(&status.conditions, reason));
            sentence = said.map(str::to_owned);
            sentence.is_some()
        };
        let what = format!("a condition with reason {reason}");
        until(&self.api::<Restore>(), name, PATIENCE, &what, failed).await?;
        Ok(sentence.unwrap_or_default())
    }
}
