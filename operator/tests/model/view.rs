//! What the operator decides, by its own code: the state as its watches show it → World → plan.

use std::sync::Arc;
use std::time::Duration;

use api::Operation;
use db_operator::attempts::{Failed, Pods, Wishes};
use db_operator::clock::{Moment, Now};
use db_operator::decision::{Decision, Settled, Stuck, Wait};
use db_operator::job_name::{JobName, Series as Counted};
use db_operator::plan::{Plan, Terms, look_again, plan};
use db_operator::seen::backup::KnownBackup;
use db_operator::seen::change::Change;
use db_operator::seen::database::KnownDatabase;
use db_operator::seen::decode::{KnownNamespace, Object as Seen};
use db_operator::seen::driver::KnownDriver;
use db_operator::seen::job::{JobState, KnownJob};
use db_operator::seen::request::KnownRequest;
use db_operator::seen::world::World;
use db_operator::tenant_chart::TenantChart;
use k8s_openapi::jiff::Timestamp;

use crate::hasher::Table;
use crate::protocol::Progress;
use crate::run::begin;
use crate::sees::Sees;
use crate::state::{GONE, Job, Name, Object, REQUESTS, Request, Series, Stage, State};

/// What a decision about one object can rest on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct View {
    about: u8,
    object: Option<Object>,
    requests: Vec<Request>,
    jobs: Vec<(Name, u8, Option<u8>, u8)>,
    spent: Vec<Name>,
    terminating: bool,
}

/// What the operator does about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Launch {
        job: Job,
        lost_work: bool,
    },
    /// It waits for what comes by itself: a Job, the end of a namespace.
    Waits,
    Settled,
    /// It waits for a person.
    Stuck,
}

/// Decisions that were made before.
#[derive(Debug, Default)]
pub(crate) struct Decisions(Table<View, [Does; 2]>);

/// Longer than the operator waits for anything.
const LONG: Duration = Duration::from_hours(2);

impl Decisions {
    /// What the operator does about the object with that uid: at once, and when it has waited for as long as it likes.
    pub(crate) fn about(&mut self, state: &State, about: u8, sees: Sees) -> [Does; 2] {
        let is_about = |uid: u8| uid == about || about >= REQUESTS;
        let jobs = state.jobs.iter().filter(|job| sees != Sees::NoJobs && is_about(job.name.uid));
        let view = View {
            about,
            object: state.object,
            requests: sees.requests(state),
            jobs: jobs.map(|job| (job.name, job.generation, job.request, shown(job))).collect(),
            spent: state.spent.clone(),
            terminating: state.terminating,
        };
        if let Some(known) = self.0.get(&view) {
            return *known;
        }
        let decided = decide(&view);
        self.0.insert(view, decided);
        decided
    }
}

/// What a watch shows of a Job's stage.
fn shown(job: &Job) -> u8 {
    match job.stage {
        Stage::Stuck => 0,
        Stage::Running(_) | Stage::Over => 1,
        Stage::Failed { permanent: false } => 2,
        Stage::Failed { permanent: true } => 3,
        Stage::Complete => 4,
    }
}

fn decide(view: &View) -> [Does; 2] {
    let begin = Now { moment: Moment::after_start(Duration::ZERO), time: Timestamp::UNIX_EPOCH };
    let mut world = World::default();
    let mut take = |seen| drop(world.take(Change::Applied(seen), &begin));
    take(Seen::Driver(engine()));
    take(Seen::Namespace(KnownNamespace {
        name: "shop".into(),
        uid: "namespace".into(),
        terminating: view.terminating,
    }));
    if let Some(object) = &view.object {
        take(Seen::Database(Box::new(database(object))));
    }
    for request in &view.requests {
        take(Seen::Request(Box::new(known_request(request))));
    }
    for (name, generation, request, shown) in &view.jobs {
        take(Seen::Job(Box::new(known_job(*name, *generation, *request, *shown))));
    }
    for name in &view.spent {
        let gone = || Seen::Job(Box::new(known_job(*name, generation_of(*name), None, 2)));
        let _ = world.take(Change::Applied(gone()), &begin);
        let _ = world.take(Change::Gone(gone()), &begin);
    }
    let terms =
        Terms { operator_namespace: "system".into(), tenant_chart: TenantChart::default(), resync: None };
    let later = Now { moment: begin.moment.plus(LONG), time: begin.time };
    let at = |now| match plan(&world, &uid(view.about), &terms, now) {
        Plan::Nothing | Plan::Say(..) => (Does::Settled, false),
        Plan::Act { decision, .. } => (does(&decision, view), look_again(&decision).is_some()),
    };
    let ((now, looks_again), (then, _)) = (at(&begin), at(&later));
    let waits = matches!(now, Does::Waits | Does::Stuck);
    assert!(
        !waits || now == then || looks_again,
        "after a wait there would be something to do, and nobody looks again: {now:?} then {then:?} {view:#?}"
    );
    [now, then]
}

fn does(decision: &Decision, view: &View) -> Does {
    match decision {
        Decision::Launch(launch) => {
            let generation = view.object.map_or(1, |object| object.generation);
            let is_of_backup = view.about >= REQUESTS;
            let request = launch.request.as_ref().map(|request| number(&request.uid, launch.operation));
            let request = if is_of_backup { Some(view.about) } else { request };
            let series = match request {
                Some(request) if !is_of_backup => Series::Request(request),
                Some(_) => Series::Generation(1),
                None => Series::Generation(generation),
            };
            let attempt = u8::try_from(launch.attempt).unwrap();
            let name = Name { uid: view.about, operation: launch.operation, series, attempt };
            let stage = Stage::Running(begin(launch.operation, is_of_backup));
            let generation = if is_of_backup { 1 } else { generation };
            let job = Job { name, generation, request, stage, beside: false };
            Does::Launch { job, lost_work: launch.after_lost_work }
        }
        Decision::Wait(
            Wait::Job { .. } | Wait::Suspended { .. } | Wait::Backoff { .. } | Wait::Namespace,
        ) => Does::Waits,
        Decision::Settled(Settled::Current { .. } | Settled::NothingLeft) => Does::Settled,
        Decision::Stuck(
            Stuck::Contradiction | Stuck::UnknownDriver | Stuck::NoPod { .. } | Stuck::NotRunning { .. },
        ) => Does::Stuck,
    }
}

fn uid(number: u8) -> Arc<str> {
    format!("u{number}").into()
}

/// The uid that the operator makes up for the request that an operation was for.
fn uid_of_request(number: u8, operation: Operation) -> Arc<str> {
    if number != GONE {
        return uid(number);
    }
    let name = name_of_request(operation).unwrap_or_default();
    format!("gone-{}", api::names::short_hash(name, 10)).into()
}

fn number(of: &str, operation: Operation) -> u8 {
    match of.strip_prefix('u') {
        Some(number) => number.parse().unwrap(),
        None if *of == *uid_of_request(GONE, operation) => GONE,
        None => panic!("who is {of}?"),
    }
}

fn generation_of(name: Name) -> u8 {
    match name.series {
        Series::Generation(generation) => generation,
        Series::Request(_) => 1,
    }
}

pub(crate) fn text(name: Name) -> String {
    let series = match name.series {
        Series::Generation(generation) => Counted::Generation(generation.into()),
        Series::Request(request) => Counted::of_request(&uid_of_request(request, name.operation)),
    };
    let named = JobName { operation: name.operation, series, attempt: name.attempt.into() };
    named.with_uid(&uid(name.uid))
}

fn engine() -> KnownDriver {
    let spec = serde_json::from_value(serde_json::json!({"image": "img:1"})).unwrap();
    KnownDriver { name: "engine".into(), state: "driver/1".into(), spec: Arc::new(spec) }
}

fn database(object: &Object) -> KnownDatabase {
    let active = object.claim.and_then(|name| name_of_request(name.operation));
    KnownDatabase {
        uid: uid(object.uid),
        namespace: "shop".into(),
        name: "orders".into(),
        generation: object.generation.into(),
        guarded: object.guarded,
        intent: object.intent(),
        retry: None,
        reconcile: None,
        driver: "engine".into(),
        server: "db".into(),
        login: Arc::default(),
        backup_to: Arc::default(),
        restore_from: None,
        phase: object.phase,
        was_created: object.was_created,
        ready: object.ready,
        verified_at: None,
        handled: None,
        active: active.map(Into::into),
        completed: object.completed.map(|name| text(name).into()),
        recorded: None,
    }
}

/// Backups have one name here, and Restores another, so that one that is made again has the name of the one before.
fn name_of_request(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Backup => Some("backup"),
        Operation::Restore => Some("restore"),
        Operation::Create
        | Operation::BackupBeforeDelete
        | Operation::Rotate
        | Operation::Delete
        | Operation::DeleteBackup
        | Operation::Release => None,
    }
}

fn known_request(request: &Request) -> KnownRequest {
    let name: Arc<str> = name_of_request(request.operation).unwrap().into();
    let is_let_go = request.deleted && request.operation == Operation::Backup;
    let completed_by = request.completed_by.map(|name| text(name).into_boxed_str());
    let deletion = is_let_go.then(|| KnownBackup {
        uid: uid(request.uid),
        namespace: "shop".into(),
        name: Arc::clone(&name),
        generation: 1,
        guarded: request.guarded,
        retry: None,
        deletes_what_is_stored: request.deletable,
        database: "orders".into(),
        driver: "engine".into(),
        written_by: completed_by.clone(),
        bucket: None,
        store: Arc::default(),
    });
    KnownRequest {
        operation: request.operation,
        uid: uid(request.uid),
        namespace: "shop".into(),
        name,
        database: "orders".into(),
        database_uid: None,
        created: Timestamp::from_second(request.uid.into()).unwrap(),
        retry: None,
        deleted: request.deleted,
        completed: request.progress == Some(Progress::Completed),
        completed_by,
        from: None,
        stored_in: None,
        erased: false,
        deletion: deletion.map(Box::new),
    }
}

fn known_job(name: Name, generation: u8, request: Option<u8>, shown: u8) -> KnownJob {
    let text = text(name);
    let in_operator_namespace = name.operation.row().in_operator_namespace;
    let why = if shown == 3 { Failed::Permanent } else { Failed::Error };
    KnownJob {
        namespace: if in_operator_namespace { "system".into() } else { "shop".into() },
        uid: uid(name.uid),
        named: JobName::of(&text, &uid(name.uid)).unwrap(),
        name: text.into(),
        generation: generation.into(),
        request: request.map(|request| uid_of_request(request, name.operation)),
        wishes: Wishes::default(),
        image: "img:1".into(),
        driver: Some("driver/1".into()),
        state: match shown {
            0 => JobState::Active(Pods::Starting),
            1 => JobState::Active(Pods::Ran),
            4 => JobState::Complete { at: None },
            _ => JobState::Failed { why, at: None },
        },
    }
}
