//! The operation `backup-before-delete`: lock out, announce, dump, verify. Only then may `delete` drop.

use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use crate::credentials;
use crate::dumping::{check_is_there, completed, dump};
use crate::failure::{Failure, Result};
use crate::final_backup::{final_path, is_recorded, record_of, remove_left};
use crate::folder::BackupFolder;
use crate::given;
use crate::record::Record;
use crate::run::Run;
use crate::session::in_session;
use api::{Backup, BackupPhase, DatabasePhase, Reason};
use driver::{Driver, Target};
use store::{Completed, random_attempt};

/// How often the session that holds the lock is looked at while the backup is read back.
const LOCK_CHECK: Duration = Duration::from_secs(15);

/// Writes and verifies the final backup. From the moment that the logins are locked out, they stay so: the
/// object is being deleted, and a row that came later would be lost.
pub(crate) async fn backup_before_delete<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    if !run.record.live().is_guarded() {
        info!("the Database is not guarded: nothing of it is on a server");
        return Ok(());
    }
    if is_recorded(run.record.live()) {
        info!("the final backup is complete, and the drop is due");
        return Ok(());
    }
    given::check(run).await?;
    let attempt = random_attempt()?;
    let path = final_path(run, &attempt);
    let folder = BackupFolder::of(run, &path).await?;
    let mut request = record_of(run).await?;
    let mut written = lock_out_dump_verify(driver, run, &attempt, &folder, &mut request).await;
    if is_superseded(&written) && is_superseded(&request.check_wanted().await) {
        written = Err(Failure::new(
            Reason::Internal,
            format!(
                "somebody deleted Backup {}, which records the final backup: the next run makes it again",
                request.name()
            ),
        ));
    }
    if let Err(error) = &written
        && !matches!(error.reason(), Reason::Busy | Reason::Superseded)
    {
        request.failed(BackupPhase::Starting, error.reason(), &run.hidden.redacted(error)).await;
    }
    written
}

async fn lock_out_dump_verify<D: Driver>(
    driver: &D,
    run: &mut Run<'_>,
    attempt: &str,
    folder: &BackupFolder,
    request: &mut Record<Backup>,
) -> Result<()> {
    let server = credentials::server(run.record.live(), &run.assignment.injected, D::DEFAULT_PORT).await?;
    run.hidden.hide(&server.admin.password);
    let database = run.target::<D>();
    in_session(driver, &server, &database, async |session| {
        check_is_there(&driver.observe(session, &database, None).await?, &server, &database)?;
        run.record.claim(DatabasePhase::BackupBeforeDeleteRequested, &server, &database).await?;
        begin(request, "a driver locks the logins out").await?;
        driver.lock_out(session, &database).await?;
        info!(database = database.name, "locked the logins out");
        remove_left(run, folder).await?;
        // From here on, and not before, a backup may count as this deletion's.
        run.record.announce(attempt).await?;
        let stored = match dump(folder, driver, session, &database, run, request).await? {
            Completed::Ours(stored) => stored,
            Completed::Other(_) => {
                return Err(Failure::new(
                    Reason::BackupDamaged,
                    format!(
                        "somebody else has written a manifest to {}: see who writes to that bucket; the next run makes another attempt",
                        folder.url()
                    ),
                ));
            }
        };
        if stored.manifest.streams.is_empty() {
            return Err(Failure::new(
                Reason::Internal,
                "the driver's dump has no stream, and nothing is dropped for that: this is a defect of the driver",
            ));
        }
        let reading = folder.store().verify(folder.path(), &stored.manifest, None);
        while_locked(driver, session, &database, reading).await??;
        info!(path = folder.path(), "read the backup back: it is what was written");
        if is_superseded(&request.check_wanted().await) {
            *request = record_of(run).await?;
            begin(request, "this record was made again").await?;
        }
        completed(folder, &stored, run, request).await?;
        run.record.verified(attempt, &stored.sha256).await
    })
    .await
}

/// Says on the record that the final backup is begun. One that was complete is not any more, and its phase does not go
/// back.
async fn begin(request: &mut Record<Backup>, message: &str) -> Result<()> {
    let phase = if request.is_completed() { BackupPhase::Completed } else { BackupPhase::Starting };
    request.begin(phase, ("Starting", message), |status| status.checksum = None).await
}

fn is_superseded<T>(result: &Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.reason() == Reason::Superseded)
}

/// Does `work`, and looks beside it and at its end whether the session is there that holds the lock: without it
/// another run may be at work. To be asked also keeps a session from being ended as idle.
async fn while_locked<D: Driver, T>(
    driver: &D,
    session: &mut D::Session,
    database: &Target,
    work: impl Future<Output = T>,
) -> Result<T> {
    let looking = async {
        loop {
            sleep(LOCK_CHECK).await;
            if let Err(error) = driver.observe(session, database, None).await {
                return error;
            }
        }
    };
    let done = tokio::select! {
        done = work => done,
        lost = looking => return Err(lost.into()),
    };
    driver.observe(session, database, None).await?;
    Ok(done)
}
