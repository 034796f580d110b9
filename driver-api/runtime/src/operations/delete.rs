//! The operation `delete`: drops the database, or leaves it, and lets the object go.

use tracing::{info, warn};

use crate::binding::BindingSecret;
use crate::credentials;
use crate::failure::{Failure, Result};
use crate::final_backup;
use crate::given;
use crate::run::Run;
use crate::session::in_session;
use api::DatabasePhase;
use api::Reason;
use api::lifecycle::Intent;
use driver::{Driver, Presence};

/// Drops the database, or leaves it if the policy says so, and only then takes the finalizer off.
///
/// It reads neither parameters nor template: an invalid spec must not keep an object from being deleted.
pub(crate) async fn delete<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    if !run.record.live().is_guarded() {
        info!("the Database is not guarded: nothing of it is on a server");
        return Ok(());
    }
    let intent = Intent::of(run.record.live());
    if intent == Intent::Retain {
        return retain::<D>(run).await;
    }
    given::check(run).await?;
    let server = credentials::server(run.record.live(), &run.assignment.injected, D::DEFAULT_PORT).await?;
    run.hidden.hide(&server.admin.password);
    let target = run.target::<D>();
    in_session(driver, &server, &target, async |session| {
        let before = driver.observe(session, &target, None).await?;
        // Under the lock: a create that is still alive could hand the login out meanwhile.
        if intent == Intent::BackupThenDelete
            && may_hold_rows::<D>(run).await?
            && let Err(error) = final_backup::check(run).await
        {
            return Err(back_up_again(run, &before, error).await?);
        }
        if !matches!(before, Presence::Ours { .. }) {
            run.check_begun_here(&server)?;
        }
        run.record.claim(DatabasePhase::DeletionRequested, &server, &target).await?;
        run.record.advance(DatabasePhase::DeletionInProgress, |_| {}).await?;
        match before {
            Presence::Ours { .. } => {
                driver.ensure_absent(session, &target).await?;
                if let Presence::Ours { differences, .. } = driver.observe(session, &target, None).await? {
                    return Err(Failure::new(
                        Reason::Internal,
                        format!(
                            "the driver reports success, and yet something of {} is on {server} ({differences:?}): this is a defect of the driver",
                            target.name
                        ),
                    ));
                }
                info!(database = target.name, %server, "dropped the database and its logins");
            }
            Presence::Absent => info!(database = target.name, %server, "nothing is left on the server"),
            Presence::Foreign { what } => info!(%what, %server, "what is there is not ours, and stays"),
        }
        end(run, intent).await
    })
    .await
}

/// Whether an application may have written rows: the database was complete once, or its login was handed out
/// by a run that died before it could say so. Then it is said now, and a final backup is due.
async fn may_hold_rows<D: Driver>(run: &mut Run<'_>) -> Result<bool> {
    if run.record.was_created() {
        return Ok(true);
    }
    if BindingSecret::new(run.client.clone(), run.record.live(), D::TYPE).is_handed_out().await? {
        run.record.handed_out().await?;
        return Err(Failure::new(
            Reason::Superseded,
            "the login was handed out, so there may be rows: the final backup is due first",
        ));
    }
    Ok(false)
}

/// Has a final backup that is not in the store any more made again. Answers why the drop does not go on.
///
/// Only in the phase before the deletion is claimed: from then on nobody knows how much of the database is left.
async fn back_up_again(run: &mut Run<'_>, before: &Presence, error: Failure) -> Result<Failure> {
    let is_lost = matches!(error.reason(), Reason::BackupMissing | Reason::BackupDamaged);
    let is_whole = matches!(before, Presence::Ours { database: true, .. })
        && run.record.live().phase() == Some(DatabasePhase::BackupBeforeDeleteCompleted);
    if !(is_lost && is_whole) {
        return Ok(error);
    }
    warn!(error = error.chain(), "the final backup is lost, and the database is there still");
    run.record.step_back().await?;
    let message =
        "the final backup was lost after it was verified, or is not the one that was: it is made again";
    Ok(Failure::new(Reason::Superseded, message).with_source(error))
}

/// Leaves the database where it is. The server is not asked: it may be gone for good.
async fn retain<D: Driver>(run: &mut Run<'_>) -> Result<()> {
    let server = run.server_name::<D>();
    let target = run.target::<D>();
    run.record.claim(DatabasePhase::DeletionRequested, &server, &target).await?;
    run.record.advance(DatabasePhase::DeletionInProgress, |_| {}).await?;
    info!(database = target.name, server, "the database stays on the server, as spec.deletionPolicy says");
    end(run, Intent::Retain).await
}

/// Lets the object go, and before it what waits for a final backup that its owner has given up.
async fn end(run: &mut Run<'_>, intent: Intent) -> Result<()> {
    run.record.advance(DatabasePhase::Deleted, |_| {}).await?;
    if intent != Intent::BackupThenDelete && run.record.was_created() {
        final_backup::give_up(run).await?;
    }
    run.record.let_go().await
}
