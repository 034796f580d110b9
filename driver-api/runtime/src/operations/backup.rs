//! The operation `backup`, and what it shares with the final backup.

use std::fmt::Display;

use tracing::{info, warn};

use crate::Run;
use crate::credentials;
use crate::failure::{Failure, Result};
use crate::moves::{size, while_reporting};
use crate::record::Request;
use crate::target;
use api::Operation;
use api::Reason;
use api::{Backup, BackupLocation, BackupPhase, BackupStatus, DatabasePhase, Progress, S3Target};
use driver::names::sha256;
use driver::{Driver, Presence, Target};
use store::{BackupIdentity, Manifest, Store};

/// Writes the Backup that the run is for. Whatever comes of it, the Database goes on: why a backup fails is
/// said on the Backup alone.
pub(crate) async fn backup<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    let Some(mut request) = requested(run).await? else {
        info!("nobody asks for the Backup any more");
        return run.record.unclaim().await;
    };
    if request.is_completed() {
        return run.record.unclaim().await;
    }
    match write_backup(driver, run, &mut request).await {
        Ok(()) => {
            run.record.advance(DatabasePhase::BackupCompleted).await?;
            run.record.unclaim().await
        }
        // Another run is at work, and what is to be said is its to say.
        Err(error) if error.reason() == Reason::Busy => Err(error),
        Err(error) => {
            // Where another run has completed it meanwhile, nothing is wrong with it.
            if !request.is_completed() {
                request.failed(BackupPhase::Starting, error.reason(), &run.redacted(&error)).await;
            }
            run.record.unclaim().await?;
            Err(error)
        }
    }
}

async fn requested(run: &Run<'_>) -> Result<Option<Request<Backup>>> {
    let Some(name) = &run.assignment.request else { return Ok(None) };
    let namespace = &run.assignment.namespace;
    Request::load(run.client.clone(), namespace, &name.name, Some(&name.uid)).await
}

async fn write_backup<D: Driver>(driver: &D, run: &mut Run<'_>, request: &mut Request<Backup>) -> Result<()> {
    let kept = Kept::of(run, &own_location(request.live())).await?;
    let server = credentials::server(run.record.live(), run.assignment, D::DEFAULT_PORT).await?;
    run.hide(&server.admin.password);
    let database = run.target::<D>();
    let mut session = driver.connect(&server, &database).await?;
    check_is_there(&driver.observe(&mut session, &database, None).await?, &server, &database)?;
    run.record.claim(DatabasePhase::BackupRequested, &server.to_string(), &database.name).await?;
    let said = ("Starting", "a driver has claimed the Database");
    let spec = &run.record.live().spec;
    let place = BackupStatus {
        driver: Some(spec.driver.clone()),
        location: Some(kept.place()),
        database_uid: Some(run.assignment.uid.clone()),
        ..BackupStatus::default()
    };
    request
        .begin(BackupPhase::Starting, said, |status| {
            status.driver.clone_from(&place.driver);
            status.location.clone_from(&place.location);
            status.database_uid.clone_from(&place.database_uid);
        })
        .await?;
    // Where it is stored is known by now, and nothing is stored yet.
    request.guard().await?;
    run.record.advance(DatabasePhase::BackupInProgress).await?;
    let written = match kept.dump(driver, &mut session, &database, run, request).await {
        Ok(manifest) => kept.completed(&manifest, run, request).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &written
        && error.reason() == Reason::Superseded
    {
        // Under the lock, so that no other run is at work on it.
        kept.clear_up(request).await;
    }
    written
}

/// The folder of an ordinary Backup, and of nothing else.
pub(crate) fn own_location(backup: &Backup) -> String {
    let metadata = &backup.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("{}/{}/{}", text(&metadata.namespace), backup.spec.database, text(&metadata.uid))
}

/// The folder of the backup `id` of this run's Database.
pub(crate) fn location(run: &Run<'_>, id: &str) -> String {
    let assignment = run.assignment;
    format!("{}/{}/{id}", assignment.namespace, assignment.database)
}

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

/// Where a backup is kept.
pub(crate) struct Kept {
    target: S3Target,
    store: Store,
    location: String,
    recipients: Vec<String>,
}

impl Kept {
    /// The backup at `location` in the bucket that `spec.backupTo` names.
    pub(crate) async fn of(run: &mut Run<'_>, location: &str) -> Result<Self> {
        let target = target::of_database(run.record.live())?;
        let store = target::open(&target, run.assignment, &mut run.hidden, "spec.backupTo.s3").await?;
        let recipients = run.record.live().spec.backup_to.as_ref().map(|to| to.recipients().to_vec());
        Ok(Self { target, store, location: location.to_owned(), recipients: recipients.unwrap_or_default() })
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The folder in it.
    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// The same, as a status says it.
    fn place(&self) -> BackupLocation {
        BackupLocation { s3: self.target.clone(), path: self.location.clone() }
    }

    /// Removes what was written of a Backup that was deleted before it was one: no attempt comes that would.
    async fn clear_up(&self, request: &mut Request<Backup>) {
        let withdrawn = request.check_wanted().await;
        if !withdrawn.is_err_and(|error| error.reason() == Reason::Superseded) {
            return;
        }
        let removed = match self.store.read_manifest(&self.location).await {
            Ok(None) => self.store.delete(&self.location).await,
            // It was whole before it was deleted: what becomes of it is the policy's to say.
            Ok(Some(_)) => return,
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => info!(location = self.location, "removed what was written of a Backup that is deleted"),
            Err(error) => {
                tracing::warn!(error = error.chain(), "what was written of a deleted Backup is left");
            }
        }
    }

    /// Its manifest, if it is complete. A manifest that is another Database's is an error.
    pub(crate) async fn manifest(&self, run: &Run<'_>) -> Result<Option<Manifest>> {
        let found = self.store.read_manifest(&self.location).await?;
        match &found {
            Some(manifest) if manifest.backup.database_uid != run.assignment.uid => Err(Failure::new(
                Reason::BackupDamaged,
                format!(
                    "the manifest in {} is of another Database, with uid {}: see who writes to that bucket",
                    self.store.url(&self.location),
                    manifest.backup.database_uid
                ),
            )),
            _ => Ok(found),
        }
    }

    /// Dumps the database, unless an earlier run has, to the same recipients. Answers the manifest, which is in
    /// the store then.
    pub(crate) async fn dump<D: Driver>(
        &self,
        driver: &D,
        session: &mut D::Session,
        database: &Target,
        run: &Run<'_>,
        request: &mut Request<Backup>,
    ) -> Result<Manifest> {
        if let Some(manifest) = self.manifest(run).await? {
            if manifest.is_encrypted_to(&self.recipients)? {
                info!(location = self.location, "an earlier run has written this backup");
                return Ok(manifest);
            }
            // The lock still holds, so no other run has dropped the database meanwhile.
            let present = driver.observe(session, database, None).await?;
            check_is_there(&present, &run.server_name::<D>(), database)?;
            warn!(location = self.location, "the backup is not encrypted as spec.backupTo says: removing it");
            self.store.delete(&self.location).await?;
        }
        let upload = self.store.begin(&self.location, None, &self.recipients).await?;
        let destination = self.store.url(&self.location);
        let mut phase = BackupPhase::BackingUp;
        if request.is_completed() {
            // A final backup that got damaged or lost. A phase does not go back, so the condition says it.
            phase = BackupPhase::Completed;
            let said = ("BackingUp", "what was stored is not there any more: it is made anew");
            request.begin(phase, said, |_| {}).await?;
        }
        request.advance(phase, |status| status.destination = Some(destination.clone())).await?;
        info!(database = database.name, destination, "writing the backup");
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
        // The record of a final backup is nobody's wish: where somebody deletes it, it is made again in the end.
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
        &self,
        manifest: &Manifest,
        run: &Run<'_>,
        request: &mut Request<Backup>,
    ) -> Result<()> {
        let destination = self.store.url(&self.location);
        let location = self.place();
        let checksum = sha256(&manifest.to_json()?);
        let said = request.live().status.as_ref().and_then(|status| status.checksum.as_deref());
        if request.is_completed() && said == Some(checksum.as_str()) {
            return Ok(());
        }
        let stored = manifest.totals.stored_bytes;
        let change = |status: &mut BackupStatus| {
            status.destination = Some(destination.clone());
            status.location = Some(location.clone());
            status.checksum = Some(checksum.clone());
            status.size = Some(size(stored));
            status.stored_bytes = i64::try_from(stored).ok();
            status.server_version = Some(manifest.description.server_version.clone());
            status.tool_version = Some(manifest.description.tool_version.clone());
            status.database_uid = Some(manifest.backup.database_uid.clone());
        };
        let message = format!("it is stored in {destination}");
        let said = ("Completed", message.as_str());
        request.completed(&run.assignment.job, manifest.totals.bytes, said, change).await
    }
}
