//! The operation `backup`.

use tracing::info;

use crate::credentials;
use crate::dumping::{adopt_or_dump, check_is_there, clear_up, completed};
use crate::failure::Result;
use crate::folder::{BackupFolder, own_path};
use crate::given;
use crate::record::Record;
use crate::run::Run;
use crate::session::in_session;
use api::{Backup, BackupPhase, BackupStatus, DatabasePhase, Reason};
use driver::Driver;

/// Writes the Backup that the run is for. Whatever comes of it, the Database goes on: why a backup fails is
/// said on the Backup alone.
pub(crate) async fn backup<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    let Some(mut request) = run.request().await? else {
        info!("nobody asks for the Backup any more");
        return run.record.unclaim().await;
    };
    if request.is_completed() {
        return run.record.unclaim().await;
    }
    match write_backup(driver, run, &mut request).await {
        Ok(()) => {
            run.record.advance(DatabasePhase::BackupCompleted, |_| {}).await?;
            run.record.unclaim().await
        }
        // Another run is at work, and what is to be said is its to say.
        Err(error) if error.reason() == Reason::Busy => Err(error),
        Err(error) => {
            // If another run has completed it meanwhile, nothing is wrong with it.
            if !request.is_completed() {
                request.failed(BackupPhase::Starting, error.reason(), &run.hidden.redacted(&error)).await;
            }
            run.record.unclaim().await?;
            Err(error)
        }
    }
}

async fn write_backup<D: Driver>(driver: &D, run: &mut Run<'_>, request: &mut Record<Backup>) -> Result<()> {
    given::check(run).await?;
    let folder = BackupFolder::of(run, &own_path(request.live())).await?;
    let server = credentials::server(run.record.live(), &run.assignment.injected, D::DEFAULT_PORT).await?;
    run.hidden.hide(&server.admin.password);
    let database = run.target::<D>();
    in_session(driver, &server, &database, async |session| {
        check_is_there(&driver.observe(session, &database, None).await?, &server, &database)?;
        run.record.claim(DatabasePhase::BackupRequested, &server, &database).await?;
        let said = ("Starting", "a driver has claimed the Database");
        let spec = &run.record.live().spec;
        let said_of_it = BackupStatus {
            driver: Some(spec.driver.clone()),
            location: Some(folder.location()),
            database_uid: Some(run.assignment.uid.clone()),
            ..BackupStatus::default()
        };
        request
            .begin(BackupPhase::Starting, said, |status| {
                status.driver.clone_from(&said_of_it.driver);
                status.location.clone_from(&said_of_it.location);
                status.database_uid.clone_from(&said_of_it.database_uid);
            })
            .await?;
        // Where it is stored is known by now, and nothing is stored yet.
        request.guard().await?;
        run.record.advance(DatabasePhase::BackupInProgress, |_| {}).await?;
        let written = match adopt_or_dump(&folder, driver, session, &database, run, request).await {
            Ok(stored) => completed(&folder, &stored, run, request).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &written
            && error.reason() == Reason::Superseded
        {
            // Under the lock, so that no other run is at work on it.
            clear_up(&folder, request).await;
        }
        written
    })
    .await
}
