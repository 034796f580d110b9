//! The operator from start to end: wait for our kinds, see everything, act while the Lease is held, stop.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::Operation;
use api::{Backup, Database, DriverRegistration, MANAGED_BY, MANAGED_BY_LABEL, Restore};
use futures::channel::mpsc::{self, UnboundedReceiver};
use futures::{Stream, StreamExt, TryStreamExt, future};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{Controller, Error};
use kube::runtime::reflector::{self, ObjectRef, store::Writer};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config as ClientConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use crate::announce::Announcements;
use crate::config::Config;
use crate::controller::{Context, reconcile, reconcile_backup};
use crate::error::StartError;
use crate::lease;
use crate::seen::jobs::{Jobs, KnownJob};
use crate::seen::requests::KnownRequest;
use crate::seen::watch as watches;
use crate::seen::watch::{Change, deleted_backups, events, follow, project_driver, strip, wait_for_kinds};
use crate::server::{self, Health};
use crate::voice::Voice;

/// How long a connection to the API server may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), StartError> {
    let stop = on_signal()?;
    let health = Arc::new(Health::default());
    let listener = server::listen(config.listen).await?;
    tokio::spawn(server::serve(listener, Arc::clone(&health)));

    let mut client_config =
        ClientConfig::infer().await.map_err(|error| StartError::Client(Box::new(error)))?;
    client_config.connect_timeout = Some(CONNECT_TIMEOUT);
    let client = Client::try_from(client_config).map_err(|error| StartError::Client(Box::new(error)))?;
    operate(client, config, health, stop).await;
    info!("stopped");
    Ok(())
}

async fn operate(client: Client, config: Config, health: Arc<Health>, stop: watch::Receiver<bool>) {
    info!(
        version = env!("CARGO_PKG_VERSION"),
        namespace = config.namespace,
        pod = config.pod_name,
        "starting"
    );
    tokio::select! {
        () = wait_for_kinds(client.clone()) => {}
        () = stopped(stop.clone()) => return,
    }
    let (lead, leading) = watch::channel(false);
    let (wake, woken) = mpsc::unbounded();
    let (wake_backup, woken_backups) = mpsc::unbounded();
    let (databases, writer) = reflector::store();
    let (deleted, deleted_writer) = reflector::store();
    let context = Arc::new(Context {
        voice: Voice::new(client.clone(), &config.pod_name, Arc::clone(&health.metrics)),
        settings: config.job_settings(),
        limits: config.limits(),
        resync: config.resync_interval.map(|interval| interval.0),
        databases,
        world: Mutex::default(),
        leading: leading.clone(),
        metrics: Arc::clone(&health.metrics),
        wake,
        deleted_backups: deleted,
        wake_backup,
        client: client.clone(),
    });
    *health.context.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&context);
    let announcements = Arc::new(Announcements::default());
    let watches = watch_all(&context, &announcements, deleted_writer);
    tokio::select! {
        () = watches => {}
        () = stopped(stop.clone()) => return,
    }

    let (acted, end_lease) = oneshot::channel::<()>();
    let lease = {
        let (client, config) = (client.clone(), config.clone());
        tokio::spawn(async move {
            let end = async { drop(end_lease.await) };
            lease::hold(client, &config.namespace, &config.pod_name, lead, end).await;
        })
    };
    let changes = database_changes(client, Arc::clone(&context), announcements, writer, health);
    future::join(
        control(Arc::clone(&context), changes, woken, stop.clone()),
        control_backups(context, woken_backups, stop),
    )
    .await;
    // Only now, so that no other replica acts while our last launches end.
    drop(acted);
    if lease.await.is_err() {
        warn!("the Lease was not given back: it expires");
    }
}

/// Watches Jobs, Drivers, Backups and Restores. Answers when all that exist have been seen.
async fn watch_all(context: &Arc<Context>, announcements: &Arc<Announcements>, mut deleted: Writer<Backup>) {
    let client = context.client.clone();
    let (jobs_seen, jobs) = oneshot::channel();
    let (drivers_seen, drivers) = oneshot::channel();
    let (backups_seen, backups) = oneshot::channel();
    let (restores_seen, restores) = oneshot::channel();

    let ours = format!("{MANAGED_BY_LABEL}={MANAGED_BY}");
    let job_events = events(Api::<Job>::all(client.clone()), Some(&ours));
    let tell = once(jobs_seen, {
        let context = Arc::clone(context);
        move |change| take_jobs(&context, change)
    });
    tokio::spawn(async move { follow("Jobs", job_events, |job| KnownJob::of(&job), tell).await });

    let driver_events = events(Api::<DriverRegistration>::all(client.clone()), None);
    let tell = once(drivers_seen, {
        let context = Arc::clone(context);
        move |change| take_drivers(&context, change)
    });
    tokio::spawn(async move { follow("Drivers", driver_events, project_driver, tell).await });

    let take_requests = |operation| {
        let (context, announcements) = (Arc::clone(context), Arc::clone(announcements));
        move |change| announcements.take(operation, change, &context)
    };
    let backup_events = events(Api::<Backup>::all(client.clone()), None).inspect_ok({
        let context = Arc::clone(context);
        move |event| take_deleted(&context, &mut deleted, event)
    });
    let tell = once(backups_seen, take_requests(Operation::Backup));
    tokio::spawn(async move { follow("Backups", backup_events, KnownRequest::of_backup, tell).await });
    let restore_events = events(Api::<Restore>::all(client), None);
    let tell = once(restores_seen, take_requests(Operation::Restore));
    tokio::spawn(async move { follow("Restores", restore_events, KnownRequest::of_restore, tell).await });

    // A sender goes only with the process.
    let _ = future::join4(jobs, drivers, backups, restores).await;
}

/// Passes on every change, and tells `seen` after the first, which is the list of all.
fn once<T>(seen: oneshot::Sender<()>, mut tell: impl FnMut(Change<T>)) -> impl FnMut(Change<T>) {
    let mut seen = Some(seen);
    move |change| {
        tell(change);
        if let Some(seen) = seen.take() {
            let _ = seen.send(());
        }
    }
}

fn take_jobs(context: &Context, change: Change<KnownJob>) {
    match change {
        Change::All(all) => {
            let mut jobs = Jobs::default();
            for job in all {
                jobs.add(job);
            }
            context.world().jobs = jobs;
            context.wake_all();
        }
        Change::Applied(job) => {
            context.world().jobs.apply(job.clone(), Timestamp::now());
            wake_objects(context, &job);
        }
        Change::Deleted(job) => {
            context.world().jobs.delete(&job);
            wake_objects(context, &job);
        }
    }
}

/// Wakes what a Job works on, and what waits for its end.
fn wake_objects(context: &Context, job: &KnownJob) {
    context.wake_if_known(database_of(job));
    for uid in [Some(&job.uid), job.request.as_ref(), job.source.as_ref()].into_iter().flatten() {
        let backup = context.world().requests.get(uid).filter(|request| request.deleted).cloned();
        if let Some(KnownRequest { operation: Operation::Backup, name, namespace, .. }) = backup {
            context.wake_backup(ObjectRef::new(&name).within(&namespace));
        }
    }
    context.wake_admitted();
}

/// Keeps those Backups that are being deleted, and wakes the controller for them.
fn take_deleted(context: &Context, writer: &mut Writer<Backup>, event: &watcher::Event<Backup>) {
    let Some(event) = deleted_backups(event) else { return };
    writer.apply_watcher_event(&event);
    match event {
        watcher::Event::Apply(backup) => context.wake_backup(ObjectRef::from(&backup)),
        // Only now the store has those of a list.
        watcher::Event::InitDone => context.wake_all(),
        watcher::Event::Init | watcher::Event::InitApply(_) | watcher::Event::Delete(_) => {}
    }
}

fn database_of(job: &KnownJob) -> ObjectRef<Database> {
    ObjectRef::new(&job.database).within(&job.database_namespace)
}

fn take_drivers(context: &Context, change: Change<(String, DriverRegistration)>) {
    {
        let drivers = &mut context.world().drivers;
        match change {
            Change::All(all) => {
                *drivers = all.into_iter().map(|(name, driver)| (name, Arc::new(driver))).collect();
            }
            Change::Applied((name, driver)) => {
                drivers.insert(name, Arc::new(driver));
            }
            Change::Deleted((name, _)) => {
                drivers.remove(&name);
            }
        }
    }
    context.wake_all();
}

/// Reconciles every Database that is new, has changed or is woken, until `stop`. Then the running
/// reconciliations end.
async fn control(
    context: Arc<Context>,
    changes: impl Stream<Item = Result<Database, watcher::Error>> + Send + 'static,
    woken: UnboundedReceiver<ObjectRef<Database>>,
    stop: watch::Receiver<bool>,
) {
    let new_leader = leader_changes(context.leading.clone()).inspect({
        let context = Arc::clone(&context);
        move |()| context.voice.forget_all()
    });
    Controller::for_stream(changes, context.databases.clone())
        .reconcile_on(woken)
        .reconcile_all_on(new_leader)
        .graceful_shutdown_on(stopped(stop))
        .run(reconcile, |_, never: &std::convert::Infallible, _| match *never {}, context)
        .for_each(|result| {
            match result {
                // A Database may be gone before its turn comes.
                Ok(_) | Err(Error::ObjectNotFound(_)) => {}
                Err(error) => {
                    warn!(error = watches::chain(&error), "watching Databases failed; watching again");
                }
            }
            future::ready(())
        })
        .await;
}

/// The same for every Backup that is being deleted.
async fn control_backups(
    context: Arc<Context>,
    woken: UnboundedReceiver<ObjectRef<Backup>>,
    stop: watch::Receiver<bool>,
) {
    let new_leader = leader_changes(context.leading.clone());
    // What is new or has changed is woken, too.
    Controller::for_stream(futures::stream::pending(), context.deleted_backups.clone())
        .reconcile_on(woken)
        .reconcile_all_on(new_leader)
        .graceful_shutdown_on(stopped(stop))
        .run(reconcile_backup, |_, never: &std::convert::Infallible, _| match *never {}, context)
        // One may be gone before its turn comes; else nothing fails here.
        .for_each(|_| future::ready(()))
        .await;
}

fn database_changes(
    client: Client,
    context: Arc<Context>,
    announcements: Arc<Announcements>,
    writer: Writer<Database>,
    health: Arc<Health>,
) -> impl Stream<Item = Result<Database, watcher::Error>> + Send + 'static {
    events(Api::<Database>::all(client), None)
        .modify(strip)
        .reflect(writer)
        .inspect_ok(move |event| {
            match event {
                watcher::Event::Delete(database) => {
                    let uid = database.metadata.uid.as_deref().unwrap_or_default();
                    context.voice.forget(uid);
                    context.world().forget(uid);
                }
                // Everything else has been seen before.
                watcher::Event::InitDone if !health.ready.swap(true, Ordering::Relaxed) => {
                    info!(databases = context.databases.len(), "has seen every object");
                    // Only now is it known which Backup has no Database.
                    tokio::spawn(Arc::clone(&announcements).speak(Arc::clone(&context)));
                }
                watcher::Event::InitDone
                | watcher::Event::Init
                | watcher::Event::InitApply(_)
                | watcher::Event::Apply(_) => {}
            }
            // A phase that moved may have freed a slot.
            context.wake_admitted();
        })
        .applied_objects()
}

/// Something each time that this process begins to lead.
fn leader_changes(leading: watch::Receiver<bool>) -> impl Stream<Item = ()> + Send {
    futures::stream::unfold(leading, |mut leading| async move {
        loop {
            if leading.changed().await.is_err() {
                future::pending::<()>().await;
            }
            if *leading.borrow_and_update() {
                return Some(((), leading));
            }
        }
    })
}

/// Becomes true at SIGTERM or SIGINT.
fn on_signal() -> Result<watch::Receiver<bool>, StartError> {
    let (send, receive) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping: the running launches end, then the Lease is given back");
        send.send_replace(true);
        future::pending::<()>().await;
    });
    Ok(receive)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // The sender lives as long as the process.
    let _ = stop.wait_for(|stopping| *stopping).await;
}

#[cfg(test)]
mod tests;
