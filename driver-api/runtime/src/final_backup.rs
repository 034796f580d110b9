//! The final backup of a Database: where it is, the Backup that records it, and whether it may be believed.
//!
//! It counts only for the deletion that announced it, once the logins were locked out and before its first byte. What
//! else lies in the bucket, be it of the same uid, proves nothing: a control plane may have been restored from an older
//! snapshot, and others may write there.

use tracing::info;

use crate::failure::{Failure, Result};
use crate::folder::{BackupFolder, path_of};
use crate::record::Record;
use crate::record::request::Wanted;
use crate::run::Run;
use api::lifecycle::deletion_policy;
use api::{
    Backup, BackupPhase, BackupStatus, Conditions, Database, DatabasePhase, FinalBackup, READY, Reason,
};
use driver::names::short_hash;
use store::is_attempt;

/// Longest name that the final Backup takes from its Database. An object's name has 253 characters at most.
const LONGEST_NAME: usize = 230;

/// The folder of that attempt at the final backup: it follows from the Database's own uid and what its status announces.
pub(crate) fn final_path(run: &Run<'_>, attempt: &str) -> String {
    path_of(run, &format!("final-{}-{attempt}", run.assignment.uid))
}

/// Whether the final backup is complete and recorded, so that the drop is due.
pub(crate) fn is_recorded(live: &Database) -> bool {
    let announced = live.status.as_ref().and_then(|status| status.final_backup.as_ref());
    live.phase() == Some(DatabasePhase::BackupBeforeDeleteCompleted)
        && announced.is_some_and(|announced| announced.checksum.is_some())
}

/// Removes what an earlier run of this deletion has announced, and could not record. The database is there still, and the
/// lock holds, so nothing else is at work on it.
pub(crate) async fn remove_left(run: &Run<'_>, folder: &BackupFolder) -> Result<()> {
    let Some((attempt, _)) = announced(run) else { return Ok(()) };
    let left = folder.beside(final_path(run, &attempt));
    info!(path = left.path(), "removing what an earlier attempt at the final backup has left");
    Ok(left.store().delete(left.path()).await?)
}

/// Fails unless the final backup that this deletion has announced is in the store, whole by its manifest, which is the
/// one that was verified. The drop rests on nothing else: no phase and no Backup can stand for it.
pub(crate) async fn check(run: &mut Run<'_>) -> Result<()> {
    let Some((attempt, Some(checksum))) = announced(run) else {
        return Err(kept(Reason::BackupMissing, "its status records no final backup that is complete"));
    };
    let path = final_path(run, &attempt);
    let folder = BackupFolder::of(run, &path).await?;
    let url = folder.url();
    let Some(stored) = folder.manifest(run).await? else {
        return Err(kept(Reason::BackupMissing, &format!("there is no final backup in {url}")));
    };
    if stored.sha256 != checksum {
        return Err(kept(
            Reason::BackupDamaged,
            &format!("the manifest in {url} is not the one that was written: see who writes to that bucket"),
        ));
    }
    if stored.manifest.streams.is_empty() {
        return Err(kept(Reason::BackupDamaged, &format!("the final backup in {url} holds no stream")));
    }
    Ok(folder.store().check_lengths(folder.path(), &stored.manifest).await?)
}

/// The attempt that is announced, and its checksum once it is verified. What is no name of an attempt leads nowhere.
fn announced(run: &Run<'_>) -> Option<(String, Option<String>)> {
    let FinalBackup { attempt, checksum } = run.record.status().final_backup?;
    is_attempt(&attempt).then_some((attempt, checksum))
}

fn kept(reason: Reason, why: &str) -> Failure {
    Failure::new(
        reason,
        format!(
            "the database is kept: {why}; bring it back, or set spec.deletionPolicy to Delete to drop the database without one"
        ),
    )
}

fn record_name(run: &Run<'_>) -> String {
    let mut name = run.assignment.database.clone();
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    format!("{name}-final-{}", short_hash(&run.assignment.uid, 8))
}

/// Says on the Backup that records the final backup, if there is one, that the owner has given it up, so that nobody
/// waits for it.
pub(crate) async fn give_up(run: &Run<'_>) -> Result<()> {
    let namespace = &run.assignment.namespace;
    let found: Option<Record<Backup>> =
        Record::find(run.client.clone(), namespace, &record_name(run), None, Wanted::Alive).await?;
    let Some(mut record) = found else { return Ok(()) };
    let is_ready = |status: &BackupStatus| status.conditions.is_true(READY);
    if !record.live().status.as_ref().is_some_and(is_ready) {
        let policy = deletion_policy(run.record.live());
        let message = format!(
            "the Database was deleted with spec.deletionPolicy {policy:?}, which asks for no final backup: delete this Backup when you have seen it"
        );
        record.given_up(BackupPhase::Starting, &message).await;
    }
    Ok(())
}

/// The Backup that records the final backup. It is made if it is missing.
pub(crate) async fn record_of(run: &Run<'_>) -> Result<Record<Backup>> {
    let (assignment, name) = (run.assignment, record_name(run));
    let (client, namespace) = (run.client.clone(), &assignment.namespace);
    let found = Record::find(client.clone(), namespace, &name, None, Wanted::Alive).await?;
    match found {
        Some(found) => Ok(found),
        None => Record::make(client, namespace, &name, &assignment.database, &assignment.uid).await,
    }
}
