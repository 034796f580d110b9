//! Events and metrics from decisions: the operator's only voice, for it may not write status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::Operation;
use api::lifecycle::Intent;
use api::names::database_name;
use api::{Database, DatabaseStatus};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::database::decide::{Decision, Settled, Stuck, Wait};
use crate::metrics::{Metrics, OfDecision, Reason};

/// How long an Event may take. Nothing waits for it but the next step on the same object.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// What people are to be told about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether something is wrong.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What happened, and what to do next.
    pub note: String,
}

impl Notice {
    /// Something is wrong.
    pub fn warning(reason: &'static str, note: String) -> Self {
        Self { warning: true, reason, note }
    }

    /// Something happened.
    pub fn normal(reason: &'static str, note: String) -> Self {
        Self { warning: false, reason, note }
    }
}

/// What to say about a decision, if anything. `drivers` are the names of those that are registered.
pub fn notice<'a>(
    decision: &Decision,
    database: &Database,
    drivers: impl Iterator<Item = &'a String>,
) -> Option<Notice> {
    let namespace = database.metadata.namespace.as_deref().unwrap_or_default();
    let stuck = match decision {
        Decision::Launch(launch) => {
            let retained = launch.operation == Operation::Delete && Intent::of(database) == Intent::Retain;
            return retained.then(|| retained_notice(database));
        }
        Decision::Wait(_) | Decision::Settled(_) => return None,
        Decision::Stuck(stuck) => stuck,
    };
    match stuck {
        Stuck::Contradiction => Some(Notice::warning(
            "Contradiction",
            format!(
                "status.phase is {}, and yet nobody has deleted this Database: its status was written by hand or restored from elsewhere; nothing is done until status.phase fits, or the Database is deleted",
                database.phase().map_or_else(|| "empty".to_owned(), |phase| format!("{phase:?}")),
            ),
        )),
        Stuck::UnknownDriver { probe: _ } => {
            Some(Notice::warning("UnknownDriver", unknown_driver(database, drivers)))
        }
        Stuck::NoPod { .. } | Stuck::NotRunning { .. } => stuck_job(stuck, namespace),
    }
}

/// What to say about a Job in `namespace` that does not start.
pub(crate) fn stuck_job(stuck: &Stuck, namespace: &str) -> Option<Notice> {
    Some(match stuck {
        Stuck::Contradiction | Stuck::UnknownDriver { .. } => return None,
        Stuck::NoPod { job } => Notice::warning(
            "JobHasNoPod",
            format!(
                "Job {job} has no pod: a quota or an admission policy refuses it, or the service account of the driver is missing in namespace {namespace}; `kubectl -n {namespace} describe job {job}` says which. To add the service account: `helm install db-operator-tenant charts/db-operator-tenant -n {namespace}`, or add {namespace} to the value tenantNamespaces of chart db-operator"
            ),
        ),
        Stuck::NotRunning { job, image } => Notice::warning(
            "JobNotRunning",
            format!(
                "the pod of Job {job} does not run: image {image} cannot be pulled, or no node has room for it; `kubectl -n {namespace} describe pod -l job-name={job}` says which"
            ),
        ),
    })
}

fn unknown_driver<'a>(database: &Database, drivers: impl Iterator<Item = &'a String>) -> String {
    let registered: Vec<_> = drivers.map(String::as_str).collect();
    let registered = if registered.is_empty() { "none".to_owned() } else { registered.join(", ") };
    let driver = &database.spec.driver;
    let next = if database.is_being_deleted() {
        format!(
            "this Database was begun with it and is being deleted, which goes on once a platform team registers Driver {driver} again, whatever spec.deletionPolicy says"
        )
    } else {
        "a platform team registers one by a Driver object; spec.driver cannot be changed, so with a wrong name delete this Database and create it again".to_owned()
    };
    format!("no Driver named {driver} is registered (registered: {registered}): {next}")
}

fn retained_notice(database: &Database) -> Notice {
    let (name, server) = whereabouts(database);
    Notice::normal(
        "DatabaseRetained",
        format!("database {name} and its logins stay on server {server}, as spec.deletionPolicy says"),
    )
}

/// What to say where a Database is let go because its namespace is terminating.
pub fn left_in_place(database: &Database) -> Notice {
    let (name, server) = whereabouts(database);
    let namespace = database.metadata.namespace.as_deref().unwrap_or_default();
    Notice::warning(
        "DatabaseLeftInPlace",
        format!(
            "namespace {namespace} is terminating; database {name} on server {server} was left in place, for no Job can start there any more. To have databases dropped, delete the Database objects before their namespace"
        ),
    )
}

/// The name of a database, and its server.
fn whereabouts(database: &Database) -> (String, String) {
    let none = DatabaseStatus::default();
    let status = database.status.as_ref().unwrap_or(&none);
    (
        status.database.clone().unwrap_or_else(|| database_name(database)),
        status.server.clone().unwrap_or_else(|| server(database)),
    )
}

/// The server as the spec spells it, where no run has recorded it.
fn server(database: &Database) -> String {
    let connect = &database.spec.connect;
    let host = connect.host.to_ascii_lowercase();
    connect.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

/// The labels of a decision in metrics.
pub fn labels(decision: &Decision) -> OfDecision {
    let (decision, reason) = match decision {
        Decision::Launch(launch) => ("launch", launch.operation.as_str()),
        Decision::Wait(Wait::Job { .. }) => ("wait", "job"),
        Decision::Wait(Wait::Suspended) => ("wait", "suspended"),
        Decision::Wait(Wait::Backoff { permanent: false, .. }) => ("wait", "backoff"),
        Decision::Wait(Wait::Backoff { permanent: true, .. }) => ("wait", "permanent"),
        Decision::Wait(Wait::Slot) => ("wait", "slot"),
        Decision::Settled(Settled::Current { .. }) => ("settled", "current"),
        Decision::Settled(Settled::NothingLeft) => ("settled", "nothing-left"),
        Decision::Stuck(Stuck::Contradiction) => ("stuck", "contradiction"),
        Decision::Stuck(Stuck::UnknownDriver { .. }) => ("stuck", "unknown-driver"),
        Decision::Stuck(Stuck::NoPod { .. }) => ("stuck", "no-pod"),
        Decision::Stuck(Stuck::NotRunning { .. }) => ("stuck", "not-running"),
    };
    OfDecision { decision: decision.to_owned(), reason: reason.to_owned() }
}

/// What [`Voice`] knows the release of the object with that uid by.
pub(crate) fn release_key(uid: &str) -> String {
    format!("{uid}/release")
}

/// Publishes notices, each once as long as it stands.
pub struct Voice {
    recorder: Recorder,
    // What stands, by uid. Losing it repeats an Event, which Kubernetes counts up.
    standing: Mutex<BTreeMap<String, Notice>>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice").field("standing", &self.standing).finish_non_exhaustive()
    }
}

impl Voice {
    /// The voice of the operator in that pod.
    pub fn new(client: Client, pod: &str, metrics: Arc<Metrics>) -> Self {
        let reporter = Reporter { controller: "db-operator".to_owned(), instance: Some(pod.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), standing: Mutex::default(), metrics }
    }

    /// Says what now stands about the object with that uid, unless it stood before.
    pub async fn say(&self, uid: &str, about: &ObjectReference, notice: Option<Notice>) {
        let Some(notice) = notice else { return self.fall_silent(uid) };
        if self.stands(uid, &notice) {
            return;
        }
        if notice.reason == "Contradiction" {
            self.metrics.contradictions.inc();
        }
        let mut note = notice.note.clone();
        note.truncate(note.floor_char_boundary(LONGEST_NOTE));
        let name = about.name.as_deref().unwrap_or_default();
        let namespace = about.namespace.as_deref().unwrap_or_default();
        if notice.warning {
            warn!(reason = notice.reason, namespace, name, "{note}");
        } else {
            info!(reason = notice.reason, namespace, name, "{note}");
        }
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason.to_owned(),
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        match timeout(EVENT_TIMEOUT, self.recorder.publish(&event, about)).await {
            Ok(Ok(())) => {
                self.lock().insert(uid.to_owned(), notice);
            }
            Ok(Err(error)) => warn!(%error, namespace, name, "cannot publish the Event"),
            Err(_) => warn!(namespace, name, "cannot publish the Event in time"),
        }
    }

    /// The object is gone.
    pub fn forget(&self, uid: &str) {
        let mut standing = self.lock();
        standing.remove(uid);
        standing.remove(&release_key(uid));
    }

    /// Nothing stands about the object any more.
    pub fn fall_silent(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// What was said is long ago, and another process may have spoken since.
    pub fn forget_all(&self) {
        self.lock().clear();
    }

    /// Counts the Jobs that do not start.
    pub fn count_stuck_jobs(&self) {
        for reason in ["JobHasNoPod", "JobNotRunning"] {
            let standing = self.lock();
            let count = standing.values().filter(|notice| notice.reason == reason).count();
            let labels = Reason { reason: reason.to_owned() };
            self.metrics.stuck_jobs.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn stands(&self, uid: &str, notice: &Notice) -> bool {
        self.lock().get(uid) == Some(notice)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Notice>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::decide::Launch;

    fn database(policy: &str, deleted: bool) -> Database {
        let mut database: Database = serde_json::from_value(serde_json::json!({
            "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
            "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {"driver": "engine", "deletionPolicy": policy, "connect": {"host": "Db.example", "port": 1234},
                     "credentials": {"username": {"value": "u"}, "password": {"value": "hunter2"}}},
            "status": {"phase": "Deleted", "database": "shop_orders_1"},
        }))
        .unwrap();
        if deleted {
            let now = "2026-01-01T00:00:00Z".parse().unwrap();
            database.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
        }
        database
    }

    fn stuck(stuck: Stuck) -> Notice {
        let drivers = ["engine-2".to_owned(), "engine-3".to_owned()];
        notice(&Decision::Stuck(stuck), &database("Delete", false), drivers.iter()).unwrap()
    }

    #[test]
    fn every_warning_names_the_object_and_the_next_step_and_fits() {
        let job = "dbo-create-0123456789-1-1".to_owned();
        let cases = [
            (Stuck::Contradiction, vec!["status.phase is Deleted, and"]),
            (Stuck::UnknownDriver { probe: false }, vec!["engine", "engine-2, engine-3"]),
            (
                Stuck::NoPod { job: job.clone() },
                vec![&*job, "namespace shop", "db-operator-tenant -n shop", "quota"],
            ),
            (Stuck::NotRunning { job: job.clone(), image: "img:1".into() }, vec![&*job, "img:1"]),
        ];
        for (reason, expected) in cases {
            let notice = stuck(reason);
            assert!(notice.warning);
            assert!(notice.note.len() <= LONGEST_NOTE, "{} bytes", notice.note.len());
            for expected in expected {
                assert!(notice.note.contains(expected), "{expected:?} is missing in {:?}", notice.note);
            }
        }
    }

    #[test]
    fn a_normal_launch_costs_no_event_and_a_retained_database_is_named() {
        let launch = |operation| {
            Decision::Launch(Launch {
                operation,
                request: None,
                source: None,
                attempt: 1,
                after_lost_work: false,
            })
        };
        let say = |operation, database: &Database| notice(&launch(operation), database, std::iter::empty());
        assert_eq!(say(Operation::Create, &database("Retain", false)), None);
        assert_eq!(say(Operation::Delete, &database("Delete", true)), None);
        let retained = say(Operation::Delete, &database("Retain", true)).unwrap();
        assert_eq!(retained.reason, "DatabaseRetained");
        assert!(
            retained.note.contains("shop_orders_1") && retained.note.contains("db.example:1234"),
            "{}",
            retained.note
        );
    }
}
