//! Facts → decision → Job → launch, for one Database at a time, or one Backup that is being deleted, and when to look
//! again.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::Operation;
use api::lifecycle::Intent;
use api::{Backup, Database, DriverRegistration};
use futures::channel::mpsc::UnboundedSender;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::backup::decide as backups;
use crate::database::decide::{Decision, Launch, Settled, Stuck, Wait, decide};
use crate::database::facts::{Facts, Surroundings};
use crate::error::LaunchError;
use crate::job::build::{self as job, Settings, StoreKeys};
use crate::launch::{is_refused_for_good, launch};
use crate::metrics::{Metrics, OfOperation, Reason};
use crate::seen::jobs::KnownJob;
use crate::seen::requests::KnownRequest;
use crate::seen::watch::chain;
use crate::seen::world::World;
use crate::slots::Limits;
use crate::subject::Guarded;
use crate::voice::{Notice, Voice, labels, left_in_place, notice, release_key};

/// When those look again who wait for a slot. They are also woken when one is free.
const SLOT_INTERVAL: Duration = Duration::from_secs(1);

/// When a launch is tried again that the API server did not take; the second time after twice as long, and so
/// on.
const LAUNCH_INTERVAL: Duration = Duration::from_secs(3);

/// It grows to that many times [`LAUNCH_INTERVAL`].
const LAUNCH_INTERVALS: u32 = 10;

/// How often the API server is asked whether a namespace is terminating, where no launch tells.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// What reconciliations share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What every Job has in common.
    pub settings: Settings,
    /// How many Jobs may run.
    pub limits: Limits,
    /// How often a Database is verified unasked.
    pub resync: Option<Duration>,
    /// Every Database.
    pub databases: Store<Database>,
    /// Everything else that is watched.
    pub world: Mutex<World>,
    /// Whether this process is the one that acts.
    pub leading: watch::Receiver<bool>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Events.
    pub voice: Voice,
    /// Wakes the controller for a Database.
    pub wake: UnboundedSender<ObjectRef<Database>>,
    /// Every Backup that is being deleted.
    pub deleted_backups: Store<Backup>,
    /// Wakes the controller for one of them.
    pub wake_backup: UnboundedSender<ObjectRef<Backup>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("settings", &self.settings)
            .field("world", &self.world)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// What is watched. Never held across an `await`.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who waited for a slot and have one now.
    pub fn wake_admitted(&self) {
        let admitted = self.world().admitted(&self.databases, &self.settings.namespace, &self.limits);
        for database in admitted {
            self.wake(database);
        }
    }

    /// Has a Database reconciled soon.
    pub fn wake(&self, database: ObjectRef<Database>) {
        // The controller is gone only when the process ends.
        let _ = self.wake.unbounded_send(database);
    }

    /// The same, if there is such a Database: names in annotations may be anybody's.
    pub fn wake_if_known(&self, database: ObjectRef<Database>) {
        if self.databases.get(&database).is_some() {
            self.wake(database);
        }
    }

    /// Has a Backup that is being deleted reconciled soon.
    pub fn wake_backup(&self, backup: ObjectRef<Backup>) {
        let _ = self.wake_backup.unbounded_send(backup);
    }

    /// Has everything reconciled soon.
    pub fn wake_all(&self) {
        for database in self.databases.state() {
            self.wake(ObjectRef::from(database.as_ref()));
        }
        for backup in self.deleted_backups.state() {
            self.wake_backup(ObjectRef::from(backup.as_ref()));
        }
    }

    /// Wakes the Databases that wait for `backup`, which may be another one's: with a Restore, or to be made from it.
    pub fn wake_for_source(&self, backup: &KnownRequest) {
        let restored: Vec<_> = self.world().requests.restores_of(backup).map(KnownRequest::about).collect();
        for database in restored {
            self.wake_if_known(database);
        }
        for database in self.databases.state() {
            let from = database.spec.restore_from.as_ref().and_then(|from| from.backup.as_ref());
            if from == Some(&backup.name) && database.metadata.namespace.as_ref() == Some(&backup.namespace) {
                self.wake(ObjectRef::from(database.as_ref()));
            }
        }
    }

    fn facts(&self, database: &Database) -> Facts {
        let world = self.world();
        let around = Surroundings {
            now: Timestamp::now(),
            operator_namespace: &self.settings.namespace,
            resync: self.resync,
            driver: world.registered(&database.spec.driver),
            requests: &world.requests,
        };
        let uid = database.metadata.uid.as_deref().unwrap_or_default();
        Facts::of(database, world.jobs.of(uid), &around)
    }

    fn backup_facts(&self, backup: &Backup) -> backups::Facts {
        let world = self.world();
        let driver = world.registered(Guarded::from(backup).driver());
        backups::Facts::of(backup, &world.jobs, driver, &self.settings.namespace, Timestamp::now())
    }

    fn notice(&self, decision: &Decision, database: &Database) -> Option<Notice> {
        notice(decision, database, self.world().drivers.keys())
    }
}

/// Decides about one Database, and acts.
pub async fn reconcile(database: Arc<Database>, operator: Arc<Context>) -> Result<Action, Infallible> {
    if !*operator.leading.borrow() {
        return Ok(Action::await_change());
    }
    let begun = Instant::now();
    let facts = operator.facts(&database); // (pure, but for the time)
    let decision = decide(&facts); // (pure)
    let object = Guarded::from(&*database);
    if let Some(job) = facts.released_by() {
        // Unless it was said.
        say_released(&operator, object, job).await; // (client)
    }
    let notice = |decision: &Decision| operator.notice(decision, &database); // (pure)
    let action = act_and_report(&operator, object, decision, notice).await; // (client)
    operator.metrics.reconcile_seconds.observe(begun.elapsed().as_secs_f64());
    Ok(action)
}

/// The same for a Backup that is being deleted.
pub async fn reconcile_backup(backup: Arc<Backup>, operator: Arc<Context>) -> Result<Action, Infallible> {
    if !*operator.leading.borrow() {
        return Ok(Action::await_change());
    }
    let begun = Instant::now();
    let facts = operator.backup_facts(&backup); // (pure, but for the time)
    let decision = backups::decide(&facts); // (pure)
    let object = Guarded::from(&*backup);
    if let Some(job) = facts.released_by() {
        say_released(&operator, object, job).await; // (client)
    }
    let notice = |decision: &Decision| backups::notice(decision, &backup); // (pure)
    let action = act_and_report(&operator, object, decision, notice).await; // (client)
    operator.metrics.reconcile_seconds.observe(begun.elapsed().as_secs_f64());
    Ok(action)
}

/// Answers when to look again.
async fn act_and_report(
    operator: &Context,
    object: Guarded<'_>,
    decision: Decision,
    notice: impl Fn(&Decision) -> Option<Notice>,
) -> Action {
    // (A Job is large, and few reconciliations make one.)
    match Box::pin(act(operator, object, decision)).await {
        Ok(decision) => {
            operator.metrics.decisions.get_or_create(&labels(&decision)).inc();
            report(operator, object, notice(&decision)).await;
            look_again(&decision)
        }
        Err(error) => {
            report(operator, object, refusal(&error)).await;
            let refused = operator.world().refused(object.uid());
            Action::requeue(LAUNCH_INTERVAL * refused.min(LAUNCH_INTERVALS))
        }
    }
}

/// Launches where a launch was decided. Answers what came of the decision.
async fn act(operator: &Context, object: Guarded<'_>, decision: Decision) -> Result<Decision, LaunchError> {
    let uid = object.uid();
    let due = match decision {
        Decision::Launch(due) => due,
        Decision::Stuck(Stuck::UnknownDriver { probe: true }) if is_terminating(operator, object).await => {
            Launch::RELEASE
        }
        Decision::Wait(_) | Decision::Settled(_) | Decision::Stuck(_) => {
            operator.world().leave_queue(uid);
            return Ok(decision);
        }
    };
    let Some(driver) = operator.world().driver_for(due.operation, object.driver()) else {
        return Ok(Decision::Stuck(Stuck::UnknownDriver { probe: false }));
    };
    let settings = &operator.settings;
    let has_slot =
        operator.world().reserve(object, &operator.databases, &settings.namespace, &operator.limits);
    if !has_slot {
        return Ok(Decision::Wait(Wait::Slot));
    }
    let launched = launch_or_release(operator, object, &driver, &due).await;
    let known = launched.as_ref().ok().and_then(KnownJob::of);
    operator.world().settle(uid, known);
    match launched {
        Ok(job) => {
            let operation = say_launched(operator, object, &job, &due);
            say_begun(operator, object, &Launch { operation, ..due.clone() }, &job).await;
            Ok(Decision::Launch(Launch { operation, ..due }))
        }
        Err(error) => {
            operator.wake_admitted();
            let reason = Reason { reason: error.category().to_owned() };
            operator.metrics.launch_failures.get_or_create(&reason).inc();
            warn!(name = object.name(), namespace = object.namespace(), "{}", chain(&error));
            Err(error)
        }
    }
}

/// Whether the namespace of an object takes no Job any more. Without its Driver there is none to be refused.
async fn is_terminating(operator: &Context, object: Guarded<'_>) -> bool {
    let driver = operator.world().driver_for(Operation::Release, object.driver());
    let Some(driver) = driver else { return false };
    let probe = job::probe(object, &driver, &operator.settings);
    is_refused_for_good(operator.client.clone(), &probe).await
}

/// Where the namespace takes no Job any more, a `release` in our own lets the object go.
async fn launch_or_release(
    operator: &Context,
    object: Guarded<'_>,
    driver: &DriverRegistration,
    due: &Launch,
) -> Result<Job, LaunchError> {
    if due.operation == Operation::Release {
        return release(operator, object, driver, due).await;
    }
    let (client, settings) = (&operator.client, &operator.settings);
    let keys = operator.world().store_keys(object, due);
    let is_kept = matches!(object, Guarded::Database(database) if Intent::of(database) == Intent::Keep);
    match launch(client.clone(), &job::build(object, driver, due, &keys, settings)).await {
        Err(LaunchError::NamespaceTerminating { .. }) if !is_kept => {
            release(operator, object, driver, &Launch::RELEASE).await
        }
        result => result,
    }
}

/// Answers which operation was launched in the end.
fn say_launched(operator: &Context, object: Guarded<'_>, job: &Job, due: &Launch) -> Operation {
    let known = KnownJob::of(job);
    let operation = known.as_ref().map_or(due.operation, |known| known.operation);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    info!(
        object = object.name(), namespace = object.namespace(), %operation,
        attempt = known.map_or(due.attempt, |known| known.attempt), job = name, "launched"
    );
    let labels = OfOperation { operation: operation.to_string() };
    operator.metrics.jobs_launched.get_or_create(&labels).inc();
    if due.after_lost_work {
        operator.metrics.complete_without_phase.inc();
        error!(
            object = object.name(), namespace = object.namespace(), %operation,
            "the Job before ended well, and yet the phase did not move: a driver broke its contract"
        );
    }
    operation
}

/// Says on a Backup or Restore that it is begun, or that what is stored is being deleted.
async fn say_begun(operator: &Context, object: Guarded<'_>, due: &Launch, job: &Job) {
    if due.operation == Operation::DeleteBackup {
        let job = job.metadata.name.as_deref().unwrap_or_default();
        let notice = Notice::normal("BackupDeletionStarted", format!("attempt {} is Job {job}", due.attempt));
        return operator.voice.say(object.uid(), &object.reference(), Some(notice)).await;
    }
    let Some(request) = &due.request else { return };
    let Some(known) = operator.world().requests.get(&request.uid).cloned() else { return };
    let reason = if due.operation == Operation::Backup { "BackupStarted" } else { "RestoreStarted" };
    let job = job.metadata.name.as_deref().unwrap_or_default();
    let notice = Notice::normal(reason, format!("attempt {} is Job {job}", due.attempt));
    operator.voice.say(&known.uid, &known.reference(), Some(notice)).await;
}

/// Says where a released database or backup is, which is recorded nowhere else once its object is gone.
///
/// It is said before the launch, for the Job may end before we can say it. The terminating namespace takes no
/// Event, so it is about the Job, in ours.
async fn say_released(operator: &Context, object: Guarded<'_>, job: &str) {
    let about = ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        name: Some(job.to_owned()),
        namespace: Some(operator.settings.namespace.clone()),
        ..ObjectReference::default()
    };
    let notice = match object {
        Guarded::Database(database) => left_in_place(database),
        Guarded::Backup(backup) => backups::left_in_place(backup),
    };
    operator.voice.say(&release_key(object.uid()), &about, Some(notice)).await;
}

/// Launches the `release` of an object.
async fn release(
    operator: &Context,
    object: Guarded<'_>,
    driver: &DriverRegistration,
    due: &Launch,
) -> Result<Job, LaunchError> {
    let job = job::build(object, driver, due, &StoreKeys::default(), &operator.settings);
    say_released(operator, object, job.metadata.name.as_deref().unwrap_or_default()).await;
    launch(operator.client.clone(), &job).await
}

async fn report(operator: &Context, object: Guarded<'_>, notice: Option<Notice>) {
    operator.voice.say(object.uid(), &object.reference(), notice).await;
}

/// What to say about a launch that failed. What only takes time is not worth an Event.
fn refusal(error: &LaunchError) -> Option<Notice> {
    match error {
        LaunchError::NameTaken { .. } => {
            Some(Notice::warning("JobNameTaken", format!("{error}: remove it, and ours is launched")))
        }
        LaunchError::Refused { .. } => {
            Some(Notice::warning("JobRefused", format!("{error}; it is tried again")))
        }
        LaunchError::NamespaceTerminating { .. }
        | LaunchError::Create { .. }
        | LaunchError::Timeout { .. } => None,
    }
}

/// When to look again, where nothing changes before.
fn look_again(decision: &Decision) -> Action {
    match decision {
        // Soon enough to notice that it does not start.
        Decision::Launch(_) => Action::requeue(crate::database::decide::NO_POD_AFTER),
        Decision::Wait(Wait::Job { look_in: Some(left) } | Wait::Backoff { left, .. }) => {
            Action::requeue(*left)
        }
        Decision::Wait(Wait::Slot) => Action::requeue(SLOT_INTERVAL),
        Decision::Settled(Settled::Current { verify_in: Some(left) }) => Action::requeue(*left),
        Decision::Stuck(Stuck::UnknownDriver { probe: true }) => Action::requeue(PROBE_INTERVAL),
        // When the next attempt is made beside it, at the latest.
        Decision::Stuck(Stuck::NoPod { .. } | Stuck::NotRunning { .. }) => {
            Action::requeue(crate::database::decide::GIVEN_UP_AFTER)
        }
        Decision::Wait(Wait::Job { look_in: None } | Wait::Suspended)
        | Decision::Settled(Settled::Current { verify_in: None } | Settled::NothingLeft)
        | Decision::Stuck(Stuck::Contradiction | Stuck::UnknownDriver { probe: false }) => {
            Action::await_change()
        }
    }
}
