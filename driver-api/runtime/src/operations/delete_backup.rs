//! The operation `delete-backup`. It takes no engine, and no Database.

use kube::Client;
use tracing::info;

use crate::env::{Assignment, RequestName};
use crate::failure::{Failure, Result};
use crate::folder::{self, own_path};
use crate::hidden::Hidden;
use crate::outcome::Outcome;
use crate::record::Record;
use crate::record::request::Wanted;
use api::Reason;
use api::{Backup, BackupLocation, BackupPhase};
use store::Store;

/// Lets the Backup of that name go, and records why it cannot.
pub(crate) async fn perform(client: Client, assignment: &Assignment, name: &RequestName) -> Outcome {
    let RequestName { name, uid } = name;
    let failed = |error: &Failure| Outcome::failed(error.reason(), error.chain());
    let found: Result<Option<Record<Backup>>> =
        Record::find(client, &assignment.namespace, name, Some(uid), Wanted::Deleted).await;
    let mut backup = match found {
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
    let mut hidden = Hidden::default();
    let error = match let_go(&mut backup, assignment, &mut hidden).await {
        Ok(()) => return Outcome::Done,
        Err(error) => error,
    };
    let (reason, message) = (error.reason(), hidden.redacted(&error));
    if reason != Reason::Superseded {
        let said = format!(
            "{message}; to let this Backup go and leave what is stored, set spec.deletionPolicy to Retain"
        );
        backup.failed(BackupPhase::Starting, reason, &said).await;
    }
    Outcome::failed(reason, message)
}

async fn let_go(backup: &mut Record<Backup>, assignment: &Assignment, hidden: &mut Hidden) -> Result<()> {
    // Without a recorded place, no run has begun to store anything.
    let Some(location) = backup.live().location().cloned() else { return backup.let_go().await };
    if !backup.live().deletes_what_is_stored() {
        info!("what is stored stays, as spec.deletionPolicy says");
        return backup.let_go().await;
    }
    check_is_its_own(backup.live(), &location)?;
    let field = format!("Backup {}: status.location.s3", backup.name());
    let store = folder::open(&location.s3, &assignment.injected, hidden, &field).await?;
    let destination = store.url(&location.path);
    backup.deleting("Deleting", &format!("a driver is deleting what is stored in {destination}")).await?;
    if !backup.live().deletes_what_is_stored() {
        info!("what is stored stays, as spec.deletionPolicy says by now");
        return backup.let_go().await;
    }
    check_manifest(backup.live(), &store, &location.path).await?;
    store.delete(&location.path).await?;
    info!(destination, "deleted what was stored");
    backup.deleting("Deleted", &format!("what was stored in {destination} is deleted")).await?;
    backup.let_go().await
}

/// A status may be restored from elsewhere, or be that of a final backup. The folder follows from the object alone.
fn check_is_its_own(backup: &Backup, location: &BackupLocation) -> Result<()> {
    let own = own_path(backup);
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
    let Some(manifest) = found.map(|stored| stored.manifest) else { return Ok(()) };
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
