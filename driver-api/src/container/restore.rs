//! The operation `restore`, and what it shares with a create that is made from a backup.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::info;

use super::create::{ensure, parse_parameters};
use super::progress::while_reporting;
use super::request::Request;
use super::source::Found;
use super::{Run, binding::BindingSecret, credentials};
use crate::api::{DatabasePhase, Progress, Restore, RestorePhase};
use crate::driver::{Desired, Driver, Login, Presence, Server, Target};
use crate::dump::Occupancy;
use crate::error::{DriverError, ErrorKind, Result};

/// Loads the backup that the run's Restore names.
///
/// The whole backup is read and found good before anything is changed. From then on what was in the database is
/// given up, and only a load that is complete leads back to `Created`.
pub(super) async fn restore<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    let begun = is_begun(run);
    let Some(mut request) = requested(run).await? else {
        if begun {
            return Err(DriverError::new(
                ErrorKind::BackupMissing,
                "the database is half loaded, and the Restore that did it is gone: apply one again",
            ));
        }
        info!("nobody asks for the Restore any more");
        return run.record.unclaim().await;
    };
    if request.is_completed() && !begun {
        return run.record.unclaim().await;
    }
    let loaded = load(driver, run, &mut request).await;
    if let Err(error) = &loaded {
        if !matches!(error.kind(), ErrorKind::Busy | ErrorKind::Superseded) {
            request.failed(RestorePhase::Starting, error.kind(), &run.redacted(error)).await;
        }
        run.record.unclaim().await?;
    }
    loaded
}

async fn requested(run: &Run<'_>) -> Result<Option<Request<Restore>>> {
    let Some(name) = &run.assignment.request else { return Ok(None) };
    let namespace = &run.assignment.namespace;
    Request::load(run.client.clone(), namespace, &name.name, Some(&name.uid)).await
}

/// Whether an earlier run has given up what was in the database.
pub(super) fn is_begun(run: &Run<'_>) -> bool {
    matches!(
        run.record.live().phase(),
        Some(DatabasePhase::RestoreInProgress | DatabasePhase::RestoreCompleted)
    )
}

async fn load<D: Driver>(driver: &D, run: &mut Run<'_>, request: &mut Request<Restore>) -> Result<()> {
    let begun = is_begun(run);
    let spec = run.record.live().spec.clone();
    let parameters: D::Parameters = parse_parameters(spec.parameters)?;
    let server = credentials::server(run.record.live(), run.assignment, D::DEFAULT_PORT).await?;
    run.hide(&server.admin.password);
    let database = run.target::<D>();

    if !request.is_completed() {
        request.begin(RestorePhase::Starting, "Starting", "a driver reads the backup").await?;
    }
    let source = request.live().spec.from.clone();
    let found = Found::by(&source, run).await?;
    found.check_engine(D::TYPE)?;
    found.verify().await?;

    let mut session = driver.connect(&server, &database).await?;
    let before = driver.observe(&mut session, &database, None).await?;
    check_is_ours(&before, begun, &server, &database)?;
    let overwrite = begun || request.live().spec.overwrite;
    check_room(driver, &mut session, &database, &found, &before, overwrite).await?;

    let mut secret = BindingSecret::new(run.client.clone(), run.record.live(), D::TYPE);
    let password = secret.password(run.record.status().binding.is_some()).await?;
    run.hide(&password);
    let desired = Desired::new(parameters, Login::new(&database.active_login, password));

    if !begun {
        let phase = DatabasePhase::RestoreRequested;
        run.record.claim(phase, &server.to_string(), &database.name).await?;
    }
    if run.record.live().phase() != Some(DatabasePhase::RestoreCompleted) {
        run.record.claim(DatabasePhase::RestoreInProgress, &server.to_string(), &database.name).await?;
    }
    if !request.is_completed() {
        let url = found.url();
        request.advance(RestorePhase::Restoring, |status| status.source = Some(url.clone())).await?;
        let counter = Arc::<AtomicU64>::default();
        let loading = load_anew(driver, &mut session, &database, &desired, &found, &counter);
        while_reporting(loading, async || {
            let now = Progress::of(counter.load(Ordering::Relaxed), found.bytes());
            request.progress(RestorePhase::Restoring, now).await
        })
        .await?;
        let message = format!("database {} holds the backup in {}", database.name, found.url());
        let said = ("Completed", message.as_str());
        request.completed(&run.assignment.job, found.bytes(), said, |_| {}).await?;
    }
    let present = driver.observe(&mut session, &database, None).await?;
    ensure(driver, &mut session, &database, &desired, &present).await?;
    run.record.advance(DatabasePhase::RestoreCompleted).await?;
    run.record.created(secret.name()).await
}

/// What is loaded into is ours, and is there, unless an earlier run was making it anew.
fn check_is_ours(before: &Presence, begun: bool, server: &Server, database: &Target) -> Result<()> {
    match before {
        Presence::Ours { database: true, .. } => Ok(()),
        Presence::Ours { .. } | Presence::Absent if begun => Ok(()),
        Presence::Ours { .. } | Presence::Absent | Presence::Foreign { .. } => Err(DriverError::new(
            ErrorKind::DatabaseMissing,
            format!(
                "there is no database {} of ours on {server} to load into: bring it back there, or create another Database with spec.restoreFrom",
                database.name
            ),
        )),
    }
}

/// Whether the database can take the backup, and has room for it.
async fn check_room<D: Driver>(
    driver: &D,
    session: &mut D::Session,
    database: &Target,
    found: &Found,
    before: &Presence,
    overwrite: bool,
) -> Result<()> {
    if !matches!(before, Presence::Ours { database: true, .. }) {
        return Ok(());
    }
    match driver.check_load(session, database, found.description()).await? {
        Occupancy::Occupied { what } if !overwrite => Err(DriverError::new(
            ErrorKind::NotEmpty,
            format!(
                "database {} holds {what}: remove it, or apply a Restore with spec.overwrite to give it up for the backup",
                database.name
            ),
        )),
        Occupancy::Occupied { .. } | Occupancy::Empty => Ok(()),
    }
}

/// Makes the database anew, empty and locked, and loads the backup into it.
///
/// Always anew: of what an earlier run has loaded, nobody knows how much.
pub(super) async fn load_anew<D: Driver>(
    driver: &D,
    session: &mut D::Session,
    database: &Target,
    desired: &Desired<D::Parameters>,
    found: &Found,
    counter: &Arc<AtomicU64>,
) -> Result<()> {
    driver.ensure_absent(session, database).await?;
    driver.ensure_present(session, database, desired).await?;
    driver.lock_out(session, database).await?;
    driver.check_load(session, database, found.description()).await?;
    info!(database = database.name, source = found.url(), "loading the backup");
    let source = found.open(counter)?;
    driver.load(session, database, &source).await?;
    info!(database = database.name, "loaded the backup");
    Ok(())
}
