//! The operation `restore`, and what it shares with a create that is made from a backup.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use tracing::info;

use crate::Run;
use crate::binding::{BindingSecret, generate_password};
use crate::credentials;
use crate::failure::{Failure, Result};
use crate::moves::while_reporting;
use crate::operations::create::{ensure, parse_parameters};
use crate::record::Request;
use crate::source::Found;
use api::Reason;
use api::{DatabasePhase, Progress, Restore, RestorePhase};
use driver::dump::Occupancy;
use driver::{Desired, Driver, Login, Presence, Server, Target};

/// Loads the backup that the run's Restore names.
///
/// The whole backup is read and found good before anything is changed. From then on what was in the database is
/// given up, and only a load that is complete leads back to `Created`.
pub(crate) async fn restore<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    if run.record.live().phase() == Some(DatabasePhase::RestoreCompleted) {
        // All is loaded and said: nobody need ask for it any more.
        return load(driver, run, None).await;
    }
    let begun = is_begun(run);
    let Some(mut request) = requested(run).await? else {
        if begun {
            return Err(Failure::new(
                Reason::BackupMissing,
                "the database is half loaded, and the Restore that did it is gone: apply one again",
            ));
        }
        info!("nobody asks for the Restore any more");
        return step_back(driver, run).await;
    };
    if request.is_completed() {
        if !begun {
            return step_back(driver, run).await;
        }
        if !is_active(run, &request) {
            // What this one has loaded is given up already, and of the other's nobody knows how much is there.
            return Err(Failure::new(Reason::Superseded, "another Restore is at work on the Database"));
        }
    }
    let loaded = load(driver, run, Some(&mut request)).await;
    if let Err(error) = &loaded {
        if !matches!(error.reason(), Reason::Busy | Reason::Superseded) {
            request.failed(RestorePhase::Starting, error.reason(), &run.redacted(error)).await;
        }
        step_back(driver, run).await?;
    }
    loaded
}

async fn requested(run: &Run<'_>) -> Result<Option<Request<Restore>>> {
    let Some(name) = &run.assignment.request else { return Ok(None) };
    let namespace = &run.assignment.namespace;
    Request::load(run.client.clone(), namespace, &name.name, Some(&name.uid)).await
}

/// Whether an earlier run has given up what was in the database.
pub(crate) fn is_begun(run: &Run<'_>) -> bool {
    matches!(
        run.record.live().phase(),
        Some(DatabasePhase::RestoreInProgress | DatabasePhase::RestoreCompleted)
    )
}

/// Whether it is `request` that the Database was claimed for.
fn is_active(run: &Run<'_>, request: &Request<Restore>) -> bool {
    let active = run.record.status().active_operation.and_then(|active| active.restore);
    active.as_deref() == Some(request.name())
}

/// What every run on a database needs.
struct Work<P> {
    server: Server,
    database: Target,
    desired: Desired<P>,
    secret: BindingSecret,
}

impl<P: for<'de> Deserialize<'de>> Work<P> {
    async fn of<D: Driver<Parameters = P>>(run: &mut Run<'_>) -> Result<Self> {
        let parameters = parse_parameters(run.record.live().spec.parameters.clone())?;
        let server = credentials::server(run.record.live(), run.assignment, D::DEFAULT_PORT).await?;
        run.hide(&server.admin.password);
        let database = run.target::<D>();
        let mut secret = BindingSecret::new(run.client.clone(), run.record.live(), D::TYPE);
        let password = secret.password(run.record.status().binding.is_some()).await?;
        run.hide(&password);
        let desired = Desired::new(parameters, Login::new(&database.active_login, password));
        Ok(Self { server, database, desired, secret })
    }
}

/// Loads the backup, unless all of it is loaded, which is so where there is no `request` any more.
async fn load<D: Driver>(
    driver: &D,
    run: &mut Run<'_>,
    request: Option<&mut Request<Restore>>,
) -> Result<()> {
    let begun = is_begun(run);
    let mut request = request.filter(|request| !request.is_completed());
    let Work { server, database, mut desired, secret } = Work::of::<D>(run).await?;
    let mut due = None;
    if let Some(request) = request.as_deref_mut() {
        let said = ("Starting", "a driver reads the backup");
        request.begin(RestorePhase::Starting, said, |_| {}).await?;
        let source = request.live().spec.from.clone();
        let found = Found::by(&source, run).await?;
        found.check_engine(D::TYPE)?;
        found.verify().await?;
        due = Some(found);
    }

    let mut session = driver.connect(&server, &database).await?;
    let before = driver.observe(&mut session, &database, None).await?;
    // What is loaded and not there any more got lost: an empty one in its place would hide that.
    check_is_ours(&before, begun && due.is_some(), &server, &database)?;

    if let (Some(request), Some(found)) = (request, due) {
        let overwrite = begun || request.live().spec.overwrite;
        check_room(driver, &mut session, &database, &found, &before, overwrite).await?;
        if !begun {
            let phase = DatabasePhase::RestoreRequested;
            run.record.claim(phase, &server.to_string(), &database.name).await?;
        }
        if !overwrite {
            // A row that was committed since is one that nobody gave up.
            driver.lock_out(&mut session, &database).await?;
            check_room(driver, &mut session, &database, &found, &before, overwrite).await?;
        }
        // Where the Restore is gone, this is the last moment at which nothing is given up.
        let url = found.url();
        request.advance(RestorePhase::Restoring, |status| status.source = Some(url.clone())).await?;
        run.record.claim(DatabasePhase::RestoreInProgress, &server.to_string(), &database.name).await?;
        let counter = Arc::<AtomicU64>::default();
        let loading = load_anew(driver, &mut session, &database, &mut desired, &found, &counter);
        while_reporting(loading, async || {
            let now = Progress::of(counter.load(Ordering::Relaxed), found.bytes());
            request.progress(RestorePhase::Restoring, now).await
        })
        .await?;
        let message = format!("database {} holds the backup in {}", database.name, found.url());
        let said = ("Completed", message.as_str());
        request.completed(&run.assignment.job, found.bytes(), said, |_| {}).await?;
    }
    // Only then the login is let in again: a row that it commits must never be loaded over.
    run.record.advance(DatabasePhase::RestoreCompleted).await?;
    let present = driver.observe(&mut session, &database, None).await?;
    ensure(driver, &mut session, &database, &desired, &present).await?;
    run.record.created(secret.name()).await
}

/// Takes the claim of a Restore that has given up nothing off again, and lets the login in that it may have
/// locked out.
async fn step_back<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    if run.record.live().phase() != Some(DatabasePhase::RestoreRequested) {
        return Ok(());
    }
    let Work { server, database, desired, .. } = Work::of::<D>(run).await?;
    let mut session = driver.connect(&server, &database).await?;
    // Under the lock, and refused where another run has gone on since the record was read.
    run.record.claim(DatabasePhase::RestoreRequested, &server.to_string(), &database.name).await?;
    let present = driver.observe(&mut session, &database, None).await?;
    if matches!(present, Presence::Ours { database: true, .. }) {
        ensure(driver, &mut session, &database, &desired, &present).await?;
    }
    run.record.unclaim().await
}

/// What is loaded into is ours, and is there, unless an earlier run was making it anew.
fn check_is_ours(before: &Presence, begun: bool, server: &Server, database: &Target) -> Result<()> {
    match before {
        Presence::Ours { database: true, .. } => Ok(()),
        Presence::Ours { .. } | Presence::Absent if begun => Ok(()),
        Presence::Ours { .. } | Presence::Absent | Presence::Foreign { .. } => Err(Failure::new(
            Reason::DatabaseMissing,
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
        Occupancy::Occupied { what } if !overwrite => Err(Failure::new(
            Reason::NotEmpty,
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
pub(crate) async fn load_anew<D: Driver>(
    driver: &D,
    session: &mut D::Session,
    database: &Target,
    desired: &mut Desired<D::Parameters>,
    found: &Found,
    counter: &Arc<AtomicU64>,
) -> Result<()> {
    driver.ensure_absent(session, database).await?;
    // Until it is locked nobody knows the login's password: a row that it committed would be loaded over.
    let password = std::mem::replace(&mut desired.login.password, generate_password()?);
    let made = driver.ensure_present(session, database, desired).await;
    desired.login.password = password;
    made?;
    driver.lock_out(session, database).await?;
    driver.check_load(session, database, found.description()).await?;
    info!(database = database.name, source = found.url(), "loading the backup");
    let source = found.open(counter)?;
    driver.load(session, database, &source).await?;
    info!(database = database.name, "loaded the backup");
    Ok(())
}
