//! The operation `restore`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::info;

use crate::binding::BindingSecret;
use crate::failure::{Failure, Result};
use crate::given;
use crate::loading::replace_by;
use crate::moves::while_reporting;
use crate::present::{Asked, ensure, hand_out};
use crate::record::Record;
use crate::run::Run;
use crate::session::in_session;
use crate::source::{SourceBackup, SourceLocation};
use api::{DatabasePhase, Progress, Reason, Restore, RestorePhase};
use driver::dump::Occupancy;
use driver::{Driver, Presence, Server, Target};

/// Loads the backup that the run's Restore names.
///
/// The whole backup is read and found good before anything is changed. From then on what was in the database is
/// given up, and only a load that is complete leads back to `Created`.
pub(crate) async fn restore<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    if run.record.live().phase() == Some(DatabasePhase::RestoreCompleted) {
        // All is loaded and said: nobody need ask for it any more.
        return load(driver, run, None).await;
    }
    let begun = run.restore_is_begun();
    let Some(mut request) = run.request().await? else {
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
            request.failed(RestorePhase::Starting, error.reason(), &run.hidden.redacted(error)).await;
        }
        step_back(driver, run).await?;
    }
    loaded
}

/// Whether it is `request` that the Database was claimed for.
fn is_active(run: &Run<'_>, request: &Record<Restore>) -> bool {
    let active = run.record.status().active_operation.and_then(|active| active.restore);
    active.as_deref() == Some(request.name())
}

/// Loads the backup, unless all of it is loaded, which is so if there is no `request` any more.
async fn load<D: Driver>(driver: &D, run: &mut Run<'_>, request: Option<&mut Record<Restore>>) -> Result<()> {
    let begun = run.restore_is_begun();
    let mut request = request.filter(|request| !request.is_completed());
    given::check(run).await?;
    let mut from = None;
    if let Some(request) = request.as_deref_mut() {
        let said = ("Starting", "a driver reads the backup");
        request.begin(RestorePhase::Starting, said, |_| {}).await?;
        let source = request.live().spec.from.clone();
        let location = SourceLocation::of(&source, run).await?;
        location.check_given(&source, run)?;
        from = Some((location, source));
    }
    let mut asked = Asked::by(driver, run).await?;
    let (server, database) = (asked.server.clone(), asked.database.clone());
    let mut secret = BindingSecret::new(run.client.clone(), run.record.live(), D::TYPE);
    let mut due = None;
    if let Some((location, source)) = from {
        let found = SourceBackup::at(location, &source, run).await?;
        found.check_engine(D::TYPE)?;
        found.verify().await?;
        due = Some(found);
    }

    in_session(driver, &server, &database, async |session| {
        let before = driver.observe(session, &database, None).await?;
        // What is loaded and not there any more got lost: an empty one in its place would hide that.
        check_is_ours(&before, begun && due.is_some(), &server, &database)?;

        if let (Some(request), Some(found)) = (request, due) {
            let overwrite = begun || request.live().spec.overwrite;
            check_room(driver, session, &database, &found, &before, overwrite).await?;
            if !begun {
                run.record.claim(DatabasePhase::RestoreRequested, &server, &database).await?;
                // A row that was committed since the look is one that nobody gave up; and one that were committed after what is
                // there is given up would be lost.
                driver.lock_out(session, &database).await?;
                check_room(driver, session, &database, &found, &before, overwrite).await?;
            }
            // If it is missing, it is made again, and is whole in the end, or when the run steps back.
            asked.set_password(secret.password().await?, run);
            // If the Restore is gone, this is the last moment at which nothing is given up.
            let url = found.url();
            request.advance(RestorePhase::Restoring, |status| status.source = Some(url.clone())).await?;
            run.record.claim(DatabasePhase::RestoreInProgress, &server, &database).await?;
            let counter = Arc::<AtomicU64>::default();
            let loading = replace_by(driver, session, &database, &mut asked.desired, &found, &counter);
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
        run.record.advance(DatabasePhase::RestoreCompleted, |_| {}).await?;
        asked.set_password(secret.password().await?, run);
        let present = driver.observe(session, &database, None).await?;
        ensure(driver, session, &database, &asked.desired, &present).await?;
        hand_out(driver, run, &asked, &mut secret).await
    })
    .await
}

/// Takes the claim of a Restore that has given up nothing off again, and lets the login in that it may have
/// locked out.
async fn step_back<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    if run.record.live().phase() != Some(DatabasePhase::RestoreRequested) {
        return Ok(());
    }
    given::check(run).await?;
    let mut asked = Asked::by(driver, run).await?;
    let (server, database) = (asked.server.clone(), asked.database.clone());
    in_session(driver, &server, &database, async |session| {
        // Under the lock, and refused if another run has gone on since the record was read.
        run.record.claim(DatabasePhase::RestoreRequested, &server, &database).await?;
        let mut secret = BindingSecret::new(run.client.clone(), run.record.live(), D::TYPE);
        asked.set_password(secret.password().await?, run);
        let present = driver.observe(session, &database, None).await?;
        if matches!(present, Presence::Ours { database: true, .. }) {
            ensure(driver, session, &database, &asked.desired, &present).await?;
            // If it was missing, it has been made with a new password.
            secret.complete(asked.content(driver)?).await?;
        }
        run.record.unclaim().await
    })
    .await
}

/// What is loaded into is ours, and is there, unless an earlier run was making it again.
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
    found: &SourceBackup,
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
