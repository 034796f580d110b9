//! The operation `create`: makes the database, or repairs it.

use std::sync::Arc;

use tracing::info;

use crate::binding::BindingSecret;
use crate::failure::{Failure, Result};
use crate::given;
use crate::loading::replace_by;
use crate::present::{Asked, ensure, hand_out};
use crate::run::Run;
use crate::session::in_session;
use crate::source::{SourceBackup, SourceLocation};
use api::{DatabasePhase, Reason, RestoreSource};
use driver::{Driver, Presence, Server, Target};

/// Connects, and only then makes its first effect, which is the finalizer; stores the password, and only
/// then uses it; believes only what it observes. If nothing is to be done, it says so and no more.
pub(crate) async fn create<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    given::check(run).await?;
    let source = source_of(run).await?;
    let mut asked = Asked::by(driver, run).await?;
    let (server, target) = (asked.server.clone(), asked.database.clone());

    in_session(driver, &server, &target, async |session| {
        let before = driver.observe(session, &target, None).await?;
        check_before(run, &before, &server, &target)?;
        let mut secret = BindingSecret::new(run.client.clone(), run.record.live(), D::TYPE);
        if run.record.is_observed() && is_as_asked(driver, session, run, &mut asked, &mut secret).await? {
            info!(database = target.name, "everything is as it was");
            return run.record.created(secret.name(), &target).await;
        }

        run.record.guard().await?;
        let was_created = run.record.was_created();
        let phase = if was_created { DatabasePhase::Created } else { DatabasePhase::Creating };
        run.record.claim(phase, &server, &target).await?;

        asked.set_password(secret.password().await?, run);
        match source {
            // What an earlier run has loaded is not known to be all. Once the login was handed out, it is.
            Some((location, source)) if !secret.is_handed_out().await? => {
                let found = SourceBackup::at(location?, &source, run).await?;
                found.check_engine(D::TYPE)?;
                found.verify().await?;
                replace_by(driver, session, &target, &mut asked.desired, &found, &Arc::default()).await?;
                let loaded = driver.observe(session, &target, None).await?;
                ensure(driver, session, &target, &asked.desired, &loaded).await?;
            }
            _ => ensure(driver, session, &target, &asked.desired, &before).await?,
        }
        hand_out(driver, run, &asked, &mut secret).await
    })
    .await
}

/// Where the database is to be loaded from, if it was never complete; or why that is not known, which matters only if
/// nothing is loaded yet. What the Job was given for it is looked at now.
async fn source_of(run: &Run<'_>) -> Result<Option<(Result<SourceLocation>, RestoreSource)>> {
    let Some(source) = run.record.live().spec.restore_from.clone() else { return Ok(None) };
    if run.record.was_created() {
        return Ok(None);
    }
    let location = SourceLocation::of(&source, run).await;
    if let Ok(location) = &location {
        location.check_given(&source, run)?;
    }
    Ok(Some((location, source)))
}

/// Fails if what is on the server is not ours to make or to repair, or got lost.
fn check_before(run: &Run<'_>, before: &Presence, server: &Server, target: &Target) -> Result<()> {
    let exists = match before {
        Presence::Absent => false,
        Presence::Ours { database, .. } => *database,
        Presence::Foreign { what } => {
            return Err(Failure::new(
                Reason::NameTaken,
                format!(
                    "{what} exists on {server} and does not belong to this Database: remove it there, or delete this Database and create it with another spec.name"
                ),
            ));
        }
    };
    if run.record.was_created() && !exists {
        return Err(Failure::new(
            Reason::DatabaseMissing,
            format!(
                "database {} was created and is not on {server} any more: bring it back there, correct spec.connect, or delete this Database and create it again, empty",
                target.name
            ),
        ));
    }
    if exists { Ok(()) } else { run.check_begun_here(server) }
}

/// Whether the database, its login and its Secret are what the spec asks for. Nothing is written.
async fn is_as_asked<D: Driver>(
    driver: &D,
    session: &mut D::Session,
    run: &mut Run<'_>,
    asked: &mut Asked<D::Parameters>,
    secret: &mut BindingSecret,
) -> Result<bool> {
    let Some(password) = secret.stored_password().await? else { return Ok(false) };
    asked.set_password(password, run);
    if !secret.holds(&asked.content(driver)?) {
        return Ok(false);
    }
    let seen = driver.observe(session, &asked.database, Some(&asked.desired)).await?;
    Ok(matches!(seen, Presence::Ours { database: true, differences } if differences.is_empty()))
}
