//! The operation `backup-before-delete`: lock out, dump, verify. Only then may `delete` drop.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::Run;
use crate::credentials;
use crate::failure::{Failure, Result};
use crate::operations::backup::{Kept, check_is_there, location};
use crate::record::Request;
use crate::record::database::kubernetes;
use api::Reason;
use api::{
    Backup, BackupDeletionPolicy, BackupPhase, BackupSpec, BackupStatus, Conditions, DatabasePhase,
    MANAGED_BY, MANAGED_BY_LABEL, READY, UID_LABEL,
};
use driver::names::short_hash;
use driver::{Driver, Target};

/// Longest name that the final Backup takes from its Database. An object's name has 253 characters at most.
const LONGEST_NAME: usize = 230;

/// How often the session that holds the lock is looked at while the backup is read back.
const LOCK_CHECK: Duration = Duration::from_secs(15);

/// Writes and verifies the final backup. From the moment that the logins are locked out, they stay so: the
/// object is being deleted, and a row that came later would be lost.
pub(crate) async fn final_backup<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    if !run.record.live().is_guarded() {
        info!("the Database is not guarded: nothing of it is on a server");
        return Ok(());
    }
    let location = final_location(run);
    let kept = Kept::of(run, &location).await?;
    let mut request = record_of(run).await?;
    let mut written = lock_out_dump_verify(driver, run, &kept, &mut request).await;
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
        request.failed(BackupPhase::Starting, error.reason(), &run.redacted(error)).await;
    }
    written
}

async fn lock_out_dump_verify<D: Driver>(
    driver: &D,
    run: &mut Run<'_>,
    kept: &Kept,
    request: &mut Request<Backup>,
) -> Result<()> {
    let server = credentials::server(run.record.live(), run.assignment, D::DEFAULT_PORT).await?;
    run.hide(&server.admin.password);
    let database = run.target::<D>();
    let mut session = driver.connect(&server, &database).await?;
    check_is_there(&driver.observe(&mut session, &database, None).await?, &server, &database)?;
    let phase = DatabasePhase::BackupBeforeDeleteRequested;
    run.record.claim(phase, &server.to_string(), &database.name).await?;
    if !request.is_completed() {
        let said = ("Starting", "a driver locks the logins out");
        request.begin(BackupPhase::Starting, said, |_| {}).await?;
    }
    driver.lock_out(&mut session, &database).await?;
    info!(database = database.name, "locked the logins out");
    run.record.advance(DatabasePhase::BackupBeforeDeleteInProgress).await?;
    let manifest = kept.dump(driver, &mut session, &database, run, request).await?;
    let reading = kept.store().verify(kept.location(), &manifest, None);
    let verified = while_locked(driver, &mut session, &database, reading).await?;
    if let Err(error) = verified.map_err(Failure::from) {
        if error.reason() == Reason::BackupDamaged {
            // Another run may have made it anew since, and even have dropped the database.
            run.record.advance(DatabasePhase::BackupBeforeDeleteInProgress).await?;
            let found = kept.manifest(run).await?;
            if found.is_some_and(|found| found.attempt == manifest.attempt) {
                // The database is there still, so the next run can make it anew.
                warn!("the backup is not what was written: removing it");
                kept.store().delete(kept.location()).await?;
            }
        }
        return Err(error);
    }
    info!(location = kept.location(), "read the backup back: it is what was written");
    if is_superseded(&request.check_wanted().await) {
        *request = record_of(run).await?;
        request.begin(BackupPhase::Starting, ("Starting", "this record was made again"), |_| {}).await?;
    }
    kept.completed(&manifest, run, request).await?;
    run.record.advance(DatabasePhase::BackupBeforeDeleteCompleted).await
}

fn is_superseded<T>(result: &Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.reason() == Reason::Superseded)
}

/// Does `work`, and looks meanwhile and at its end whether the session is there that holds the lock: without it
/// another run may be at work. To be asked also keeps a session from being ended as idle.
async fn while_locked<D: Driver, T>(
    driver: &D,
    session: &mut D::Session,
    database: &Target,
    work: impl Future<Output = T>,
) -> Result<T> {
    let mut work = pin!(work);
    loop {
        let done = timeout(LOCK_CHECK, &mut work).await;
        driver.observe(session, database, None).await?;
        if let Ok(done) = done {
            return Ok(done);
        }
    }
}

/// Where the final backup is, whatever any object says: it follows from the uid of the Database alone.
fn final_location(run: &Run<'_>) -> String {
    location(run, &format!("final-{}", run.assignment.uid))
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
    let found: Option<Request<Backup>> =
        Request::load(run.client.clone(), namespace, &record_name(run), None).await?;
    let Some(mut record) = found else { return Ok(()) };
    let is_ready = |status: &BackupStatus| status.conditions.is_true(READY);
    if !record.live().status.as_ref().is_some_and(is_ready) {
        let policy = run.record.live().spec.deletion_policy();
        let message = format!(
            "the Database was deleted with spec.deletionPolicy {policy:?}, which asks for no final backup: delete this Backup when you have seen it"
        );
        record.failed(BackupPhase::Starting, Reason::Superseded, &message).await;
    }
    Ok(())
}

/// The Backup that records the final backup. It is made where it is missing.
#[expect(clippy::disallowed_methods, reason = "this is the one Backup that a driver makes")]
async fn record_of(run: &Run<'_>) -> Result<Request<Backup>> {
    let (assignment, name) = (run.assignment, record_name(run));
    let found = Request::load(run.client.clone(), &assignment.namespace, &name, None).await?;
    if let Some(found) = found {
        return Ok(found);
    }
    // By the uid, it is never taken for a wish of the next Database of that name.
    let labels = [(MANAGED_BY_LABEL, MANAGED_BY), (UID_LABEL, assignment.uid.as_str())];
    let backup = Backup {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned())))),
            ..ObjectMeta::default()
        },
        spec: BackupSpec {
            database: assignment.database.clone(),
            deletion_policy: Some(BackupDeletionPolicy::Retain),
        },
        status: None,
    };
    let api: Api<Backup> = Api::namespaced(run.client.clone(), &assignment.namespace);
    let made = api.create(&PostParams::default(), &backup).await;
    let made = made.map_err(|error| kubernetes(&format!("cannot make the Backup {name}"), error))?;
    info!(backup = name, "made the Backup that records the final backup");
    Ok(Request::of(run.client.clone(), &assignment.namespace, made))
}

/// Fails unless the final backup is in the store, whole by its manifest. The drop rests on nothing else: no
/// phase and no Backup can stand for it.
pub(crate) async fn check_exists(run: &mut Run<'_>) -> Result<()> {
    let location = final_location(run);
    let kept = Kept::of(run, &location).await?;
    let Some(manifest) = kept.manifest(run).await? else {
        return Err(Failure::new(
            Reason::BackupMissing,
            format!(
                "the database is kept: there is no final backup in {}; bring it back, or set spec.deletionPolicy to Delete to drop the database without one",
                kept.store().url(kept.location())
            ),
        ));
    };
    Ok(kept.store().check_lengths(kept.location(), &manifest).await?)
}
