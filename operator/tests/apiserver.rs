//! A few conversations with an API server that is played here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail on the spot"
)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::Operation;
use api::{Backup, Database, DriverRegistration};
use db_operator::announce::Announcements;
use db_operator::controller::{Context, reconcile, reconcile_backup};
use db_operator::database::decide::Launch;
use db_operator::error::LaunchError;
use db_operator::job::build::{self as job, Settings, StoreKeys};
use db_operator::launch::launch;
use db_operator::seen::jobs::KnownJob;
use db_operator::seen::requests::KnownRequest;
use db_operator::seen::watch::{Change, wait_for_kinds};
use db_operator::slots::Limits;
use db_operator::voice::Voice;
use futures::channel::mpsc;
use http::{Method, Request, Response};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use kube::runtime::controller::Action;
use kube::runtime::{reflector, watcher};
use serde_json::{Value, json};
use tower::service_fn;

/// What was asked, and the answers that are left.
#[derive(Clone, Default)]
struct ApiServer {
    asked: Arc<Mutex<Vec<(Method, String, Value)>>>,
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
}

impl ApiServer {
    fn answering(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.expect("a body");
                let sent = serde_json::from_slice(&body).unwrap_or(Value::Null);
                // kube begins a query with `?` even if it is empty, and each parameter with `&`.
                let path = parts.uri.to_string().replace("?&", "?").trim_end_matches('?').to_owned();
                server.asked.lock().unwrap().push((parts.method, path.clone(), sent.clone()));
                let answer = server.answers.lock().unwrap().pop_front();
                let (code, mut answer) = answer.unwrap_or_else(|| panic!("nothing was expected at {path}"));
                if answer.is_null() {
                    // As it was sent, which is what a create answers.
                    answer = sent;
                    answer["metadata"]["creationTimestamp"] = json!(Timestamp::now().to_string());
                }
                let response =
                    Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(response.expect("a response"))
            }
        });
        Client::new(service, "system")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }

    fn sent(&self, index: usize) -> Value {
        self.asked.lock().unwrap()[index].2.clone()
    }
}

const CREATED: (u16, Value) = (201, Value::Null);

fn refusal(code: u16, reason: &str, message: &str, cause: &str) -> (u16, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
        "details": {"causes": [{"reason": cause, "message": message}]},
    });
    (code, status)
}

fn exists() -> (u16, Value) {
    refusal(409, "AlreadyExists", "jobs.batch already exists", "")
}

fn terminating() -> (u16, Value) {
    refusal(403, "Forbidden", "namespace shop is being terminated", "NamespaceTerminating")
}

fn database(deleted: bool) -> Database {
    let mut database: Database = serde_json::from_value(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "u-1", "generation": 1,
                     "finalizers": ["db.isotoma.com/database"]},
        "spec": {"driver": "engine", "connect": {"host": "db.example"},
                 "credentials": {"username": {"value": "u"}, "password": {"value": "p"}}},
    }))
    .unwrap();
    if deleted {
        let time = json!("2026-01-01T00:00:00Z");
        database.metadata.deletion_timestamp = Some(serde_json::from_value(time).unwrap());
    }
    database
}

fn driver() -> DriverRegistration {
    serde_json::from_value(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Driver", "metadata": {"name": "engine"},
        "spec": {"image": "img:1"},
    }))
    .unwrap()
}

fn settings() -> Settings {
    Settings {
        namespace: "system".into(),
        cluster_id: "c-1".into(),
        release_service_account: "let-go".into(),
        log_format: "text",
    }
}

fn create_job() -> Job {
    let launch = Launch {
        operation: Operation::Create,
        request: None,
        source: None,
        attempt: 1,
        after_lost_work: false,
    };
    job::build(&database(false), &driver(), &launch, &StoreKeys::default(), &settings())
}

/// An operator that has seen `database` and the driver, and leads.
fn operator(server: &ApiServer, database: &Database) -> Arc<Context> {
    let (databases, mut writer) = reflector::store();
    writer.apply_watcher_event(&watcher::Event::Apply(database.clone()));
    // The receiver keeps the value when its sender is gone.
    let (_, leading) = tokio::sync::watch::channel(true);
    let (wake, _) = mpsc::unbounded();
    let (deleted_backups, _) = reflector::store();
    let (wake_backup, _) = mpsc::unbounded();
    let metrics = Arc::default();
    let context = Context {
        client: server.client(),
        settings: settings(),
        limits: Limits { total: 50, per_server: 8 },
        resync: None,
        databases,
        world: Mutex::default(),
        leading,
        voice: Voice::new(server.client(), "pod-1", Arc::clone(&metrics)),
        metrics,
        wake,
        deleted_backups,
        wake_backup,
    };
    context.world().drivers.insert("engine".to_owned(), Arc::new(driver()));
    Arc::new(context)
}

async fn reconciled(operator: &Arc<Context>, database: &Database) -> Action {
    reconcile(Arc::new(database.clone()), Arc::clone(operator)).await.unwrap()
}

#[tokio::test]
async fn a_create_costs_one_write_and_no_read() {
    let server = ApiServer::answering([CREATED]);
    let database = database(false);
    let operator = operator(&server, &database);
    reconciled(&operator, &database).await;
    // The watch has not shown the Job yet, and nothing is launched twice.
    reconciled(&operator, &database).await;
    assert_eq!(server.asked(), ["POST /apis/batch/v1/namespaces/shop/jobs"]);
}

#[tokio::test]
async fn a_job_of_ours_that_exists_is_a_success() {
    let server = ApiServer::answering([exists(), (200, serde_json::to_value(create_job()).unwrap())]);
    launch(server.client(), &create_job()).await.unwrap();
    let name = create_job().metadata.name.unwrap();
    assert_eq!(
        server.asked(),
        [
            "POST /apis/batch/v1/namespaces/shop/jobs".to_owned(),
            format!("GET /apis/batch/v1/namespaces/shop/jobs/{name}"),
        ]
    );
}

#[tokio::test]
async fn a_foreign_job_of_that_name_is_told_and_left_alone() {
    let mut foreign = serde_json::to_value(create_job()).unwrap();
    foreign["metadata"]["labels"]["db.isotoma.com/uid"] = json!("u-2");
    let server = ApiServer::answering([exists(), (200, foreign), CREATED]);
    let database = database(false);
    reconciled(&operator(&server, &database), &database).await;
    assert_eq!(server.asked()[2], "POST /apis/events.k8s.io/v1/namespaces/shop/events");
    let event = server.sent(2);
    assert_eq!((event["reason"].as_str(), event["type"].as_str()), (Some("JobNameTaken"), Some("Warning")));
    assert_eq!(event["regarding"]["name"], "orders");
}

#[tokio::test]
async fn a_database_in_a_terminating_namespace_is_let_go_from_ours() {
    let server = ApiServer::answering([terminating(), CREATED, CREATED]);
    let database = database(true);
    let operator = operator(&server, &database);
    reconciled(&operator, &database).await;
    reconciled(&operator, &database).await;
    assert_eq!(
        server.asked(),
        [
            "POST /apis/batch/v1/namespaces/shop/jobs",
            "POST /apis/events.k8s.io/v1/namespaces/system/events",
            "POST /apis/batch/v1/namespaces/system/jobs",
        ]
    );
    let (event, release) = (server.sent(1), server.sent(2));
    assert_eq!(release["metadata"]["labels"]["db.isotoma.com/operation"], "release");
    assert_eq!(event["regarding"]["kind"], "Job");
    assert_eq!(event["regarding"]["name"], release["metadata"]["name"]);
    let note = event["note"].as_str().unwrap();
    assert!(note.contains("namespace shop is terminating") && note.contains("server db.example"), "{note}");
}

/// A Backup that is being deleted, with what it stored, and whose Database is gone.
fn deleted_backup() -> Backup {
    serde_json::from_value(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Backup",
        "metadata": {"name": "nightly", "namespace": "shop", "uid": "b-1", "generation": 2,
                     "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
                     "finalizers": ["db.isotoma.com/backup"]},
        "spec": {"database": "gone", "deletionPolicy": "Delete"},
        "status": {"driver": "engine", "location": {"path": "shop/gone/b-1", "s3": {
            "region": "eu-west-1", "bucket": "dumps", "credentials": {
                "accessKeyId": {"value": "id"},
                "secretAccessKey": {"valueFrom": {"secretKeyRef": {"name": "bucket", "key": "key"}}}}}}},
    }))
    .unwrap()
}

async fn backup_reconciled(operator: &Arc<Context>) -> Action {
    let backup = deleted_backup();
    operator.world().requests.apply(KnownRequest::of_backup(backup.clone()).unwrap());
    reconcile_backup(Arc::new(backup), Arc::clone(operator)).await.unwrap()
}

#[tokio::test]
async fn the_deletion_of_a_backup_costs_one_write_and_one_event_and_needs_no_database() {
    let server = ApiServer::answering([CREATED, CREATED]);
    let operator = operator(&server, &database(false));
    backup_reconciled(&operator).await;
    // The watch has not shown the Job yet, and nothing is launched twice.
    backup_reconciled(&operator).await;
    assert_eq!(
        server.asked(),
        ["POST /apis/batch/v1/namespaces/shop/jobs", "POST /apis/events.k8s.io/v1/namespaces/shop/events",]
    );
    let (job, event) = (server.sent(0), server.sent(1));
    assert_eq!(job["metadata"]["labels"]["db.isotoma.com/operation"], "delete-backup");
    assert!(
        job.to_string().contains(r#""secretKeyRef":{"key":"key","name":"bucket","optional":true}"#),
        "{job}"
    );
    assert_eq!(
        (&event["reason"], &event["regarding"]["name"]),
        (&json!("BackupDeletionStarted"), &json!("nightly"))
    );
    let load = operator.world().load(&operator.databases, "system");
    assert_eq!(load.total(), 1, "it takes a slot");
}

#[tokio::test]
async fn a_backup_waits_for_a_slot() {
    let server = ApiServer::answering([]);
    let operator = Arc::into_inner(operator(&server, &database(false))).unwrap();
    let operator = Arc::new(Context { limits: Limits { total: 0, per_server: 8 }, ..operator });
    assert_eq!(backup_reconciled(&operator).await, Action::requeue(Duration::from_secs(1)));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_backup_in_a_terminating_namespace_is_let_go_from_ours() {
    let server = ApiServer::answering([terminating(), CREATED, CREATED]);
    let operator = operator(&server, &database(false));
    backup_reconciled(&operator).await;
    backup_reconciled(&operator).await;
    assert_eq!(
        server.asked(),
        [
            "POST /apis/batch/v1/namespaces/shop/jobs",
            "POST /apis/events.k8s.io/v1/namespaces/system/events",
            "POST /apis/batch/v1/namespaces/system/jobs",
        ]
    );
    let (event, release) = (server.sent(1), server.sent(2));
    assert_eq!(release["metadata"]["labels"]["db.isotoma.com/operation"], "release");
    assert!(release.to_string().contains(r#"{"name":"DB_OPERATOR_BACKUP","value":"nightly"}"#), "{release}");
    assert!(!release.to_string().contains("secretKeyRef"), "{release}");
    let note = event["note"].as_str().unwrap();
    assert!(note.contains("shop/gone/b-1 of bucket dumps was left in place"), "{note}");
}

#[tokio::test]
async fn where_a_released_database_is_is_said_again_by_the_next_leader_and_once_each() {
    let database = database(true);
    let server = ApiServer::answering([CREATED]);
    let operator = operator(&server, &database);
    let mut release = job::build(&database, &driver(), &Launch::RELEASE, &StoreKeys::default(), &settings());
    release.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::now()));
    operator.world().jobs.add(KnownJob::of(&release).unwrap());
    reconciled(&operator, &database).await;
    reconciled(&operator, &database).await;
    assert_eq!(server.asked(), ["POST /apis/events.k8s.io/v1/namespaces/system/events"]);
    assert_eq!(server.sent(0)["reason"], "DatabaseLeftInPlace");
}

#[tokio::test]
async fn what_was_verified_too_long_ago_is_verified_again() {
    let verified = |ago: Duration| {
        let mut value = serde_json::to_value(database(false)).unwrap();
        let at = (Timestamp::now() - ago).to_string();
        value["status"] = json!({
            "phase": "Created", "createdAt": at, "verifiedAt": at,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Created", "message": "",
                            "observedGeneration": 1, "lastTransitionTime": at}],
        });
        serde_json::from_value::<Database>(value).unwrap()
    };
    let hour = Duration::from_hours(1);
    for (ago, launched) in [(hour / 2, false), (hour * 2, true)] {
        let (server, database) = (ApiServer::answering([CREATED]), verified(ago));
        let operator = Arc::into_inner(operator(&server, &database)).unwrap();
        let operator = Arc::new(Context { resync: Some(hour), ..operator });
        let action = reconciled(&operator, &database).await;
        if launched {
            assert_eq!(server.asked(), ["POST /apis/batch/v1/namespaces/shop/jobs"]);
            assert_eq!(server.sent(0)["metadata"]["labels"]["db.isotoma.com/operation"], "create");
        } else {
            assert!(server.asked().is_empty(), "{:?}", server.asked());
            assert_ne!(action, Action::await_change(), "it looks again when it is due");
        }
    }
}

/// An operator for which only another Driver is registered than the one that `database` names.
fn operator_without_its_driver(server: &ApiServer, database: &Database) -> Arc<Context> {
    let operator = operator(server, database);
    let mut other = driver();
    "other:1".clone_into(&mut other.spec.image);
    operator.world().drivers = [("other".to_owned(), Arc::new(other))].into();
    operator
}

#[tokio::test]
async fn a_terminating_namespace_does_not_wait_for_a_driver_that_is_gone() {
    let server = ApiServer::answering([terminating(), CREATED, CREATED]);
    let database = database(true);
    let operator = operator_without_its_driver(&server, &database);
    reconciled(&operator, &database).await;
    reconciled(&operator, &database).await;
    assert_eq!(
        server.asked(),
        [
            "POST /apis/batch/v1/namespaces/shop/jobs?dryRun=All",
            "POST /apis/events.k8s.io/v1/namespaces/system/events",
            "POST /apis/batch/v1/namespaces/system/jobs",
        ]
    );
    let release = server.sent(2);
    assert_eq!(release["metadata"]["labels"]["db.isotoma.com/operation"], "release");
    assert_eq!(release["spec"]["template"]["spec"]["containers"][0]["image"], "other:1");
}

#[tokio::test]
async fn without_its_driver_nothing_is_dropped_and_the_namespace_is_asked_again() {
    let server = ApiServer::answering([CREATED, CREATED, CREATED]);
    let database = database(true);
    let operator = operator_without_its_driver(&server, &database);
    let action = reconciled(&operator, &database).await;
    assert_eq!(action, Action::requeue(Duration::from_secs(30)));
    reconciled(&operator, &database).await;
    let probe = "POST /apis/batch/v1/namespaces/shop/jobs?dryRun=All";
    assert_eq!(server.asked(), [probe, "POST /apis/events.k8s.io/v1/namespaces/shop/events", probe]);
    let note = server.sent(1)["note"].as_str().unwrap().to_owned();
    assert!(note.contains("registers Driver engine again"), "{note}");
}

#[tokio::test]
async fn a_database_that_nobody_deletes_is_not_probed_for() {
    let server = ApiServer::answering([CREATED]);
    let database = database(false);
    let action = reconciled(&operator_without_its_driver(&server, &database), &database).await;
    assert_eq!(action, Action::await_change());
    assert_eq!(server.asked(), ["POST /apis/events.k8s.io/v1/namespaces/shop/events"]);
}

#[tokio::test]
async fn a_namespace_that_terminates_before_its_database_is_deleted_only_waits() {
    let server = ApiServer::answering([terminating()]);
    let database = database(false);
    reconciled(&operator(&server, &database), &database).await;
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_refused_job_is_told_once_in_the_api_servers_words() {
    let quota = || refusal(403, "Forbidden", "exceeded quota: jobs", "");
    let server = ApiServer::answering([quota(), CREATED, quota()]);
    let database = database(false);
    let operator = operator(&server, &database);
    let first = reconciled(&operator, &database).await;
    let second = reconciled(&operator, &database).await;
    assert_eq!(server.asked().len(), 3, "one Event for two refusals: {:?}", server.asked());
    let event = server.sent(1);
    assert_eq!(event["reason"], "JobRefused");
    assert!(event["note"].as_str().unwrap().contains("exceeded quota: jobs"), "{event}");
    assert_eq!(first, Action::requeue(Duration::from_secs(3)));
    assert_eq!(second, Action::requeue(Duration::from_secs(6)), "each refusal waits longer");
}

#[tokio::test]
async fn other_refusals_do_not_look_like_a_terminating_namespace() {
    let server = ApiServer::answering([refusal(403, "Forbidden", "namespace shop is being terminated", "")]);
    let error = launch(server.client(), &create_job()).await.unwrap_err();
    assert!(matches!(error, LaunchError::Refused { .. }), "{error}");
}

/// A Backup of the Database `source`, of which this operator knows nothing else.
fn backup(phase: &str) -> KnownRequest {
    let backup = json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Backup", "spec": {"database": "source"},
        "metadata": {"name": "nightly", "namespace": "shop", "uid": "b-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"phase": phase},
    });
    KnownRequest::of_backup(serde_json::from_value(backup).unwrap()).unwrap()
}

#[tokio::test]
async fn who_waits_for_a_backup_of_another_database_is_looked_at_when_it_is_complete() {
    let restore = json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Restore",
        "metadata": {"name": "back", "namespace": "shop", "uid": "r-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"database": "orders", "from": {"backup": "nightly"}},
    });
    let restore = KnownRequest::of_restore(serde_json::from_value(restore).unwrap()).unwrap();
    let mut from_backup = database(false);
    from_backup.spec.restore_from = serde_json::from_value(json!({"backup": "nightly"})).unwrap();
    for (database, restores) in [(database(false), vec![restore]), (from_backup, Vec::new())] {
        let mut context = operator(&ApiServer::default(), &database);
        let (wake, mut woken) = mpsc::unbounded();
        Arc::get_mut(&mut context).unwrap().wake = wake;
        context.world().requests.replace(Operation::Restore, restores);
        let announcements = Announcements::default();
        let mut is_woken_by = |phase| {
            announcements.take(Operation::Backup, Change::Applied(backup(phase)), &context);
            woken.try_recv().is_ok()
        };
        assert!(!is_woken_by("BackingUp"));
        assert!(is_woken_by("Completed"));
        assert!(!is_woken_by("Completed"), "nothing is new");
    }
}

#[tokio::test]
async fn who_does_not_hold_the_lease_does_nothing() {
    let server = ApiServer::answering([]);
    let database = database(false);
    let (_, leading) = tokio::sync::watch::channel(false);
    let operator = Arc::into_inner(operator(&server, &database)).unwrap();
    reconciled(&Arc::new(Context { leading, ..operator }), &database).await;
    assert!(server.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_waits_until_the_api_server_knows_every_kind() {
    let list = || {
        (
            200,
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": []}),
        )
    };
    let missing = || refusal(404, "NotFound", "the server could not find the requested resource", "");
    let first = [missing(), missing(), missing(), missing()];
    let second = [list(), list(), list(), missing()];
    let third = [list(), list(), list(), list()];
    let server = ApiServer::answering([first, second, third].into_iter().flatten());
    let begun = tokio::time::Instant::now();
    wait_for_kinds(server.client()).await;
    assert_eq!(begun.elapsed().as_secs(), 10, "asked three times, 5 s apart, on a clock that the test moves");
    assert_eq!(server.asked().len(), 12);
}
