//! World → facts → decision → what to do about one object. Pure.

use std::sync::Arc;
use std::time::Duration;

use api::lifecycle::is_past;
use api::{Operation, StoreAccess};
use k8s_openapi::api::core::v1::ObjectReference;

use crate::attempts::JobFact;
use crate::clock::{Moment, Now};
use crate::decision::{Decision, Launch, Settled, Stuck, Wait};
use crate::job::parts::{StoreKeys, Worker};
use crate::notice::Notice;
use crate::resync::Resync;
use crate::seen::backup::KnownBackup;
use crate::seen::database::KnownDatabase;
use crate::seen::job::{JobState, KnownJob};
use crate::seen::jobs::Tracked;
use crate::seen::references::{SourceReferences, StoreReferences};
use crate::seen::world::World;
use crate::slots::{Hold, Lane};
use crate::subject::Subject;
use crate::tenant_chart::TenantChart;
use crate::waiting::Scope;
use crate::{attempts, backup, broken, database};

/// How long a Job counts as one that runs, whatever is known of its pods: long enough for most to begin.
pub const YOUNG: Duration = Duration::from_secs(10);

/// What every plan is made under.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The operator's own namespace.
    pub operator_namespace: Arc<str>,
    /// How a namespace is given to it.
    pub tenant_chart: TenantChart,
    /// How Databases are verified unasked, if they are.
    pub resync: Option<Resync>,
}

/// What to do about an object.
#[derive(Debug)]
pub enum Plan<'a> {
    /// It is gone.
    Nothing,
    /// There is something to say about it, or nothing.
    Say(ObjectReference, Option<Notice>),
    /// It is one that Jobs work on.
    Act {
        /// The object.
        subject: Subject<'a>,
        /// What is decided.
        decision: Decision,
        /// What stands about it.
        notice: Option<Notice>,
    },
}

/// What to do about the object with that uid.
pub fn plan<'a>(world: &'a World, uid: &str, terms: &Terms, now: &Now) -> Plan<'a> {
    if let Some(broken) = world.broken(uid) {
        return Plan::Say(broken.reference(), Some(broken::notice(broken)));
    }
    if let Some(known) = world.databases.get(uid) {
        let facts = database_facts(world, known, terms, now);
        let decision = database::decide::decide(&facts);
        let drivers = world.drivers().map(|driver| &*driver.name);
        let notice = database::say::notice(&decision, known, &facts.jobs, drivers, &terms.tenant_chart);
        return Plan::Act { subject: Subject::Database(known), decision, notice };
    }
    let Some(request) = world.requests.get(uid) else { return Plan::Nothing };
    if let Some(known) = &request.deletion {
        let facts = backup_facts(world, known, terms, now);
        let decision = backup::decide::decide(&facts);
        let notice = backup::say::notice(&decision, known, &facts.jobs, &terms.tenant_chart);
        return Plan::Act { subject: Subject::Backup(known), decision, notice };
    }
    let is_lost = world.databases.named(&request.about()).is_none();
    let notice = backup::say::lost(request).filter(|_| is_lost);
    Plan::Say(request.reference(), notice)
}

/// The facts about a Database.
pub fn database_facts(
    world: &World,
    database: &KnownDatabase,
    terms: &Terms,
    now: &Now,
) -> database::facts::Facts {
    use database::facts;
    let subject = Subject::Database(database);
    let source = |from: Option<&SourceReferences>| world.requests.complete_source(&database.namespace, from);
    let about_it = world.requests.about(database);
    let mut requests =
        facts::requests(database, about_it, |request| source(request.from.as_deref())).into_iter();
    let verify_in = terms
        .resync
        .map(|resync| resync.due_in(&database.uid, database.verified_at, now.time, world.databases.len()));
    facts::Facts {
        phase: database.phase,
        intent: database.intent,
        was_created: database.was_created,
        guarded: database.guarded,
        current: facts::is_current(database),
        verify_in,
        generation: database.generation,
        wishes: facts::wishes(database, source(database.restore_from.as_deref())),
        registered: world.driver(&database.driver).is_some(),
        terminating: world.is_terminating(&database.namespace),
        completed: facts::completed(database),
        request: requests.next(),
        waiting: requests.collect(),
        jobs: jobs(world, subject, terms).map(|job| job_fact(world, subject, job, now)).collect(),
        spent: spent(world, subject, terms),
    }
}

/// The facts about a Backup that is being deleted.
pub fn backup_facts(world: &World, backup: &KnownBackup, terms: &Terms, now: &Now) -> backup::facts::Facts {
    let subject = Subject::Backup(backup);
    // Those of its Database, and of any other that is made from it or restored from it.
    let databases = world.databases.in_namespace(&backup.namespace);
    let users = databases
        .flat_map(|database| world.jobs.of(&database.uid))
        .filter(|tracked| backup::facts::is_used_by(backup, &tracked.job));
    backup::facts::Facts {
        guarded: backup.guarded,
        generation: backup.generation,
        wishes: backup::facts::wishes(backup),
        registered: world.drivers().next().is_some(),
        terminating: world.is_terminating(&backup.namespace),
        jobs: jobs(world, subject, terms)
            .chain(users)
            .map(|job| job_fact(world, subject, job, now))
            .collect(),
        spent: spent(world, subject, terms),
    }
}

/// The Jobs that work on an object.
///
/// Labels can be set by anybody who may create Jobs, so one counts only where we would have launched it: in the object's
/// namespace, and for `release` in ours. Else one tenant could make us let go of another's database.
fn jobs<'a>(world: &'a World, subject: Subject<'a>, terms: &'a Terms) -> impl Iterator<Item = &'a Tracked> {
    world.jobs.of(subject.uid()).filter(move |tracked| is_at_home(&tracked.job, subject, terms))
}

fn is_at_home(job: &KnownJob, subject: Subject<'_>, terms: &Terms) -> bool {
    job.namespace == *home(job.operation(), subject, terms)
}

fn home<'a>(operation: Operation, subject: Subject<'a>, terms: &'a Terms) -> &'a Arc<str> {
    if operation.row().in_operator_namespace { &terms.operator_namespace } else { subject.namespace() }
}

fn spent(world: &World, subject: Subject<'_>, terms: &Terms) -> Vec<attempts::Spent> {
    let homes = [subject.namespace(), &terms.operator_namespace];
    let all = homes.into_iter().flat_map(|namespace| {
        let spent = world.jobs.spent(subject.uid(), namespace);
        spent.into_iter().filter(move |spent| home(spent.operation, subject, terms) == namespace)
    });
    all.collect()
}

fn job_fact(world: &World, subject: Subject<'_>, tracked: &Tracked, now: &Now) -> JobFact {
    let moves_data = subject.moves_data(tracked.job.operation());
    let driver = driver_for(world, tracked.job.operation(), subject);
    let now_built = driver.and_then(|worker| match worker {
        Worker::Driver(driver) => Some((&*driver.state, driver.image(moves_data))),
        Worker::Release => None,
    });
    tracked.fact(is_recorded(world, subject, &tracked.job), now_built, now.moment)
}

/// Whether a status says that the work of a Job is done.
fn is_recorded(world: &World, subject: Subject<'_>, job: &KnownJob) -> bool {
    let recorded = match (subject, &job.request) {
        (Subject::Database(_), Some(uid)) => {
            world.requests.get(uid).and_then(|request| request.completed_by.as_deref())
        }
        (Subject::Database(database), None) => database.completed.as_deref(),
        (Subject::Backup(backup), _) => {
            backup.written_by.as_deref().filter(|_| job.operation() == Operation::Backup)
        }
    };
    recorded == Some(&*job.name)
}

/// Who does `operation` on an object: its Driver, any Driver for what takes no engine, or ourselves.
pub fn driver_for<'a>(world: &'a World, operation: Operation, subject: Subject<'_>) -> Option<Worker<'a>> {
    let row = operation.row();
    if row.in_operator_namespace {
        return Some(Worker::Release);
    }
    // What takes no engine any Driver's image can do.
    let any = || world.drivers().next().filter(|_| !row.connects);
    world.driver(subject.driver()).or_else(any).map(Worker::Driver)
}

/// The secrets of the object store that `launch` moves data to or from, or deletes in.
pub fn store_keys(world: &World, subject: Subject<'_>, launch: &Launch) -> StoreKeys {
    let of = |store: &Arc<StoreReferences>| StoreKeys { store: (**store).clone(), decryption_key: None };
    match (launch.operation.row().store, subject) {
        (StoreAccess::BackupTarget, Subject::Database(database)) => of(&database.backup_to),
        (StoreAccess::Stored, Subject::Backup(backup)) => of(&backup.store),
        (StoreAccess::Source, Subject::Database(database)) => {
            source_keys(world, database, launch).unwrap_or_default()
        }
        (StoreAccess::None, _)
        | (StoreAccess::Stored, Subject::Database(_))
        | (StoreAccess::BackupTarget | StoreAccess::Source, Subject::Backup(_)) => StoreKeys::default(),
    }
}

/// Those of the bucket that a backup is loaded from, with its decryption key.
fn source_keys(world: &World, database: &KnownDatabase, launch: &Launch) -> Option<StoreKeys> {
    let from = match &launch.request {
        Some(restore) => world.requests.get(&restore.uid)?.from.as_deref()?,
        None => database.restore_from.as_deref().filter(|_| database.moves_data(launch.operation))?,
    };
    let stored = || {
        let backup = world.requests.backup(&database.namespace, from.backup.as_ref()?)?;
        backup.stored_in.as_deref().cloned()
    };
    Some(StoreKeys {
        store: from.location.clone().or_else(stored).unwrap_or_default(),
        decryption_key: from.decryption_key.clone(),
    })
}

/// Where a Job for `operation` counts, and what refuses together with it.
pub fn lane(subject: Subject<'_>, operation: Operation, image: &str, terms: &Terms) -> (Lane, Scope) {
    let lane =
        Lane { namespace: Arc::clone(subject.namespace()), server: subject.server(), image: image.into() };
    let driver = if operation.row().in_operator_namespace {
        operation.as_str().into()
    } else {
        Arc::clone(subject.driver())
    };
    (lane, Scope { namespace: Arc::clone(home(operation, subject, terms)), driver })
}

/// What an object holds of the slots, and until when nothing about that changes by time alone.
pub fn hold(world: &World, uid: &str, terms: &Terms, now: Moment) -> Option<(Hold, Option<Moment>)> {
    let subject = match world.databases.get(uid) {
        Some(database) => Subject::Database(database),
        None => Subject::Backup(world.requests.get(uid)?.deletion.as_deref()?),
    };
    let phase = match subject {
        Subject::Database(database) => database.phase,
        Subject::Backup(_) => None,
    };
    let at_work = jobs(world, subject, terms).filter(|tracked| {
        let job = &tracked.job;
        job.is_active() && !is_recorded(world, subject, job) && !is_past(job.operation(), phase)
    });
    let hold = |tracked: &Tracked| {
        let Tracked { job, since, .. } = tracked;
        let (lane, _) = lane(subject, job.operation(), &job.image, terms);
        let grown = since.plus(YOUNG);
        let (runs, until) = match job.state {
            JobState::Active(attempts::Pods::Ran) => (true, None),
            JobState::Active(attempts::Pods::None | attempts::Pods::Starting) if now < grown => {
                (true, Some(grown))
            }
            JobState::Active(_)
            | JobState::Suspended
            | JobState::Failed { .. }
            | JobState::Complete { .. } => (false, None),
        };
        let unasked = is_unasked(subject, job);
        (Hold { lane, runs, unasked }, until)
    };
    at_work.map(hold).max_by_key(|(hold, _)| hold.runs)
}

/// Whether a Job verifies a Database that is as it should be, and nobody has asked for it.
fn is_unasked(subject: Subject<'_>, job: &KnownJob) -> bool {
    let Subject::Database(database) = subject else { return false };
    job.operation() == Operation::Create && database::facts::is_current(database)
}

/// When to look at an object again, where nothing changes before.
pub fn look_again(decision: &Decision) -> Option<Duration> {
    match decision {
        Decision::Wait(Wait::Job { look_in: Some(left) } | Wait::Backoff { left, .. })
        | Decision::Settled(Settled::Current { verify_in: Some(left) }) => Some(*left),
        // The next attempt may be made beside it by then.
        Decision::Stuck(Stuck::NoPod { .. } | Stuck::NotRunning { .. }) => Some(attempts::NOT_RUNNING_AFTER),
        // A launch waits for its slot, and is told.
        Decision::Launch(_)
        | Decision::Wait(Wait::Job { look_in: None } | Wait::Suspended { .. } | Wait::Namespace)
        | Decision::Settled(Settled::Current { verify_in: None } | Settled::NothingLeft)
        | Decision::Stuck(Stuck::Contradiction | Stuck::UnknownDriver) => None,
    }
}

#[cfg(test)]
mod tests;
