//! The operations that let a Backup go: `delete-backup`, and its `release`. They take no engine, and no Database.

use kube::Client;
use tracing::info;

use crate::env::{Assignment, RequestName};
use crate::failure::{Failure, Result};
use crate::operations::backup::own_location;
use crate::outcome::Outcome;
use crate::record::Request;
use crate::redacted;
use crate::target;
use api::Operation;
use api::Reason;
use api::{Backup, BackupLocation, BackupPhase};
use driver::secret::Secret;
use store::Store;

/// Lets the Backup of that name go, and records why it cannot.
pub(crate) async fn perform(client: Client, assignment: &Assignment, name: &RequestName) -> Outcome {
    let RequestName { name, uid } = name;
    let failed = |error: &Failure| Outcome::Failed { reason: error.reason(), message: error.chain() };
    let mut backup = match Request::load_deleted(client, &assignment.namespace, name, uid).await {
        Ok(Some(backup)) => backup,
        Ok(None) => {
            info!("the Backup is gone, or nobody deletes it: nothing to do");
            return Outcome::Done;
        }
        Err(error) => return failed(&error),
    };
    if !backup.live().is_guarded() {
        info!("the Backup is not guarded: nothing of it is to be deleted");
        return Outcome::Done;
    }
    let mut hidden = Vec::new();
    let error = match let_go(&mut backup, assignment, &mut hidden).await {
        Ok(()) => return Outcome::Done,
        Err(error) => error,
    };
    let (reason, message) = (error.reason(), redacted(&error, &hidden));
    // The account of a release may not write a status.
    if assignment.operation == Operation::DeleteBackup && reason != Reason::Superseded {
        let said = format!(
            "{message}; to let this Backup go and leave what is stored, set spec.deletionPolicy to Retain"
        );
        backup.failed(BackupPhase::Starting, reason, &said).await;
    }
    Outcome::Failed { reason, message }
}

async fn let_go(
    backup: &mut Request<Backup>,
    assignment: &Assignment,
    hidden: &mut Vec<Secret>,
) -> Result<()> {
    if assignment.operation == Operation::Release {
        info!("the namespace is terminating: what is stored stays");
        return backup.release().await;
    }
    // Without a recorded place, no run has begun to store anything.
    let Some(location) = backup.live().location().cloned() else { return backup.release().await };
    if !backup.live().deletes_what_is_stored() {
        info!("what is stored stays, as spec.deletionPolicy says");
        return backup.release().await;
    }
    check_is_its_own(backup.live(), &location)?;
    let field = format!("Backup {}: status.location.s3", backup.name());
    let store = target::open(&location.s3, assignment, hidden, &field).await?;
    let destination = store.url(&location.path);
    backup.deleting("Deleting", &format!("a driver is deleting what is stored in {destination}")).await?;
    if !backup.live().deletes_what_is_stored() {
        info!("what is stored stays, as spec.deletionPolicy says by now");
        return backup.release().await;
    }
    check_manifest(backup.live(), &store, &location.path).await?;
    store.delete(&location.path).await?;
    info!(destination, "deleted what was stored");
    backup.deleting("Deleted", &format!("what was stored in {destination} is deleted")).await?;
    backup.release().await
}

/// A status may be restored from elsewhere, or be that of a final backup. The folder follows from the object alone.
fn check_is_its_own(backup: &Backup, location: &BackupLocation) -> Result<()> {
    let own = own_location(backup);
    if location.path == own {
        return Ok(());
    }
    Err(Failure::new(
        Reason::Invalid,
        format!(
            "status.location is {}, and the folder of this Backup is {own}: what is stored there may be another's, and is not deleted",
            location.path
        ),
    ))
}

/// What is in the folder is this Backup, if it is a backup at all.
async fn check_manifest(backup: &Backup, store: &Store, path: &str) -> Result<()> {
    let found = store.read_manifest(path).await?;
    let Some(manifest) = found else { return Ok(()) };
    if Some(manifest.backup.backup_uid.as_str()) == backup.metadata.uid.as_deref() {
        return Ok(());
    }
    Err(Failure::new(
        Reason::BackupDamaged,
        format!(
            "the manifest in {} is of the Backup with uid {}, and not of this one: nothing is deleted; see who writes to that bucket",
            store.url(path),
            manifest.backup.backup_uid
        ),
    ))
}
