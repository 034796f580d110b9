//! What comes of one POST, with an API server that is played here.

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

use api::Operation;
use db_operator::decision::Launch;
use db_operator::error::LaunchError;
use db_operator::job::build::build;
use db_operator::job::parts::{Settings, StoreKeys, Worker};
use db_operator::launch::{LAUNCH_TIMEOUT, launch};
use db_operator::seen::database::KnownDatabase;
use db_operator::seen::driver::KnownDriver;
use db_operator::subject::Subject;
use http::{Request, Response};
use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

/// Answers in turn; a null body is what was sent, with a uid. An answer of code 0 never comes.
fn answering(answers: impl IntoIterator<Item = (u16, Value)>) -> Client {
    let answers: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
    let service = service_fn(move |request: Request<Body>| {
        let answers = Arc::clone(&answers);
        async move {
            let sent = request.into_body().collect_bytes().await.expect("a body");
            let next = answers.lock().unwrap().pop_front();
            let (code, mut answer) = next.unwrap_or_else(|| panic!("nothing was expected"));
            if code == 0 {
                std::future::pending::<()>().await;
            }
            if answer.is_null() {
                answer = serde_json::from_slice(&sent).unwrap();
                answer["metadata"]["uid"] = json!("j-1");
            }
            let body = Body::from(answer.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).expect("a response"))
        }
    });
    Client::new(service, "system")
}

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

fn due() -> Job {
    let database: KnownDatabase = serde_json::from_value(json!({
        "metadata": {"name": "orders", "namespace": "shop", "uid": "u-1", "generation": 1},
        "spec": {"driver": "engine", "connect": {"host": "db.example"}},
    }))
    .unwrap();
    let driver: KnownDriver = serde_json::from_value(json!({
        "metadata": {"name": "engine", "uid": "d-1"}, "spec": {"image": "img:1"},
    }))
    .unwrap();
    let settings = Settings {
        namespace: "system".into(),
        cluster_id: "c-1".into(),
        release_service_account: "let-go".into(),
        release_image: "operator:1".into(),
        log_format: "text",
    };
    let launch = Launch {
        operation: Operation::Create,
        request: None,
        source: None,
        attempt: 1,
        after_lost_work: false,
        unasked: false,
    };
    let subject = Subject::Database(&database);
    build(subject, Worker::Driver(&driver), &launch, &StoreKeys::default(), &settings)
}

async fn error(answers: impl IntoIterator<Item = (u16, Value)>) -> LaunchError {
    launch(answering(answers), &due()).await.unwrap_err()
}

#[tokio::test]
async fn a_job_that_was_created_is_known_at_once() {
    let job = launch(answering([(201, Value::Null)]), &due()).await.unwrap();
    assert_eq!((&*job.uid, job.operation(), job.is_active()), ("u-1", Operation::Create, true));
}

#[tokio::test]
async fn one_that_exists_is_the_one_if_it_is_ours() {
    let mut existing = json!(due());
    existing["metadata"]["uid"] = json!("j-1");
    existing["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    let job = launch(answering([exists(), (200, existing.clone())]), &due()).await.unwrap();
    assert!(!job.is_active(), "the reply to an earlier POST was lost, and it has ended meanwhile");
    existing["metadata"]["labels"] = json!({});
    let taken = error([exists(), (200, existing)]).await;
    assert!(matches!(taken, LaunchError::NameTaken { .. }), "{taken:?}");
    assert!(taken.to_string().contains("shop"), "{taken}");
}

#[tokio::test]
async fn each_kind_of_refusal_is_told_apart() {
    let forbidden = "jobs.batch is forbidden: User \"system:serviceaccount:db-operator:db-operator\" cannot create resource \"jobs\" in API group \"batch\" in the namespace \"shop\"";
    let policy = "jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'db-operator-jobs' with binding 'db-operator-jobs' denied request: allowedDrivers: image img:1";
    let cases = [
        (
            refusal(403, "Forbidden", "namespace shop is being terminated", "NamespaceTerminating"),
            "NamespaceTerminating",
            false,
        ),
        (refusal(403, "Forbidden", forbidden, ""), "NotServed", true),
        (refusal(422, "Invalid", policy, ""), "DriverNotAllowed", true),
        (refusal(403, "Forbidden", "exceeded quota: pods", ""), "Refused", true),
        (refusal(503, "ServiceUnavailable", "etcd leader changed", ""), "Create", false),
    ];
    for (answer, category, is_answer) in cases {
        // The client repeats what the API server puts off.
        let error = error([answer.clone(), answer.clone(), answer.clone(), answer]).await;
        assert_eq!((error.category(), error.is_answer()), (category, is_answer), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    let begun = tokio::time::Instant::now();
    let lost = error([(0, Value::Null)]).await;
    assert!(matches!(lost, LaunchError::Timeout { .. }), "{lost:?}");
    assert_eq!(begun.elapsed(), LAUNCH_TIMEOUT);
}
