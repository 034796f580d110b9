//! How a backup is written into its folder, and what its Backup says about it.

use std::fmt::Display;

use tracing::{info, warn};

use crate::failure::{Failure, Result};
use crate::folder::BackupFolder;
use crate::moves::{size, while_reporting};
use crate::record::Record;
use crate::run::Run;
use api::{Backup, BackupPhase, BackupStatus, Operation, Progress, Reason};
use driver::{Driver, Presence, Target};
use store::{BackupIdentity, Completed, StoredManifest};

/// What is not on the server, or not ours, cannot be backed up.
pub(crate) fn check_is_there(presence: &Presence, server: &impl Display, database: &Target) -> Result<()> {
    match presence {
        Presence::Ours { database: true, .. } => Ok(()),
        Presence::Ours { database: false, .. } | Presence::Absent | Presence::Foreign { .. } => {
            Err(Failure::new(
                Reason::DatabaseMissing,
                format!(
                    "there is no database {} of ours on {server} to back up: bring it back there, correct spec.connect, or set spec.deletionPolicy to Delete",
                    database.name
                ),
            ))
        }
    }
}

/// Removes what was written of a Backup that was deleted before it was one: no attempt comes that would.
pub(crate) async fn clear_up(folder: &BackupFolder, request: &mut Record<Backup>) {
    let withdrawn = request.check_wanted().await;
    if !withdrawn.is_err_and(|error| error.reason() == Reason::Superseded) {
        return;
    }
    let removed = match folder.store().read_manifest(folder.path()).await {
        Ok(None) => folder.store().delete(folder.path()).await,
        // It was whole before it was deleted: what becomes of it is the policy's to say.
        Ok(Some(_)) => return,
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => info!(path = folder.path(), "removed what was written of a Backup that is deleted"),
        Err(error) => {
            tracing::warn!(error = error.chain(), "what was written of a deleted Backup is left");
        }
    }
}

/// Dumps the database, unless an earlier run has, to the same recipients. Answers the manifest, which is in
/// the store then.
pub(crate) async fn adopt_or_dump<D: Driver>(
    folder: &BackupFolder,
    driver: &D,
    session: &mut D::Session,
    database: &Target,
    run: &Run<'_>,
    request: &mut Record<Backup>,
) -> Result<StoredManifest> {
    if let Some(stored) = folder.manifest(run).await? {
        if stored.manifest.is_encrypted_to(folder.recipients())? {
            info!(path = folder.path(), "an earlier run has written this backup");
            return Ok(stored);
        }
        // The lock still holds, so no other run has dropped the database meanwhile.
        let present = driver.observe(session, database, None).await?;
        check_is_there(&present, &run.server_name::<D>(), database)?;
        warn!(path = folder.path(), "the backup is not encrypted as spec.backupTo says: removing it");
        folder.store().delete(folder.path()).await?;
    }
    Ok(dump(folder, driver, session, database, run, request).await?.either())
}

/// Dumps the database into `folder`.
pub(crate) async fn dump<D: Driver>(
    folder: &BackupFolder,
    driver: &D,
    session: &mut D::Session,
    database: &Target,
    run: &Run<'_>,
    request: &mut Record<Backup>,
) -> Result<Completed> {
    let upload = folder.store().begin(folder.path(), None, folder.recipients()).await?;
    let url = folder.url();
    // The record of a final backup that is made once more: a phase does not go back, and its condition says it.
    let phase = if request.is_completed() { BackupPhase::Completed } else { BackupPhase::BackingUp };
    request.advance(phase, |status| status.destination = Some(url.clone())).await?;
    info!(database = database.name, url, "writing the backup");
    let identity = BackupIdentity {
        namespace: run.assignment.namespace.clone(),
        database: run.assignment.database.clone(),
        database_uid: run.assignment.uid.clone(),
        backup_uid: request.uid().to_owned(),
        server_database: database.name.clone(),
        driver: D::TYPE.to_owned(),
    };
    let progress = upload.progress();
    let dumped = driver.dump(session, database, &upload);
    // The record of a final backup is nobody's wish: if somebody deletes it, it is made again in the end.
    let is_wish = run.assignment.operation == Operation::Backup;
    let written = while_reporting(dumped, async || {
        let now = Progress::of(progress.plain_bytes(), progress.expected_bytes());
        match request.progress(phase, now).await {
            Err(error) if !is_wish && error.reason() == Reason::Superseded => Ok(()),
            told => told,
        }
    })
    .await;
    let wanted = match written {
        Ok(description) if is_wish => match request.check_wanted().await {
            Err(error) if error.reason() == Reason::Superseded => Err(error),
            // Whoever deletes it waits for this run, so a manifest beside that is no harm.
            Err(error) => {
                warn!(error = error.chain(), "cannot see whether the Backup is still wanted");
                Ok(description)
            }
            Ok(()) => Ok(description),
        },
        written => written,
    };
    let completed = match wanted {
        Ok(description) => upload.complete(identity, description).await.map_err(Failure::from),
        Err(error) => Err(error),
    };
    if completed.is_err() {
        // What is left all the same, the next attempt ends.
        if let Err(error) = upload.abort().await {
            warn!(error = error.chain(), "cannot end the uploads");
        }
    }
    completed
}

/// Says that the Backup is complete, unless it says so of this very manifest.
pub(crate) async fn completed(
    folder: &BackupFolder,
    stored: &StoredManifest,
    run: &Run<'_>,
    request: &mut Record<Backup>,
) -> Result<()> {
    let (url, location) = (folder.url(), folder.location());
    let StoredManifest { manifest, sha256 } = stored;
    let said = request.live().status.as_ref().and_then(|status| status.checksum.as_ref());
    if request.is_completed() && said == Some(sha256) {
        return Ok(());
    }
    let stored = manifest.totals.stored_bytes;
    let change = |status: &mut BackupStatus| {
        status.destination = Some(url.clone());
        status.location = Some(location.clone());
        status.checksum = Some(sha256.clone());
        status.size = Some(size(stored));
        status.stored_bytes = i64::try_from(stored).ok();
        status.server_version = Some(manifest.description.server_version.clone());
        status.tool_version = Some(manifest.description.tool_version.clone());
        status.database_uid = Some(manifest.backup.database_uid.clone());
    };
    let message = format!("it is stored in {url}");
    let said = ("Completed", message.as_str());
    request.completed(&run.assignment.job, manifest.totals.bytes, said, change).await
}
