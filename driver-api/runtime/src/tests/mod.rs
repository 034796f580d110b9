//! The runtime against an API server and a database server in memory, with a fault at every request.

mod announced;
mod answers;
mod api_server;
mod backup;
mod backup_before_delete;
mod crash;
mod crash_large;
mod create;
mod delete;
mod delete_backup;
mod effects;
mod faults;

mod given;
mod half_way;
mod objects;
mod operator;
mod policy;
mod protocol;
mod release;
mod restore;
mod resync;
mod sessions;
mod stored;
mod unreadable;

use serde_json::{Value, json};

use self::api_server::ApiServer;
use super::env::Assignment;
use super::injected::Injected;
use super::outcome::Outcome;
use super::perform;
use api::Operation;
use api::Reason;
use driver::testkit::MemoryServer;

const ADMIN_PASSWORD: &str = "the-administrators-own";

/// A Database with its API server and database server.
struct World {
    api: ApiServer,
    server: MemoryServer,
    runs: std::cell::Cell<u32>,
}

impl World {
    fn new() -> Self {
        Self::with(&json!({}))
    }

    /// A Database whose spec has those fields besides the usual ones. Without another word it is dropped when it is
    /// deleted.
    fn with(fields: &Value) -> Self {
        let mut spec = json!({
            "driver": "memory", "name": "orders", "connect": {"host": "db.example.com"},
            "credentials": {"username": {"value": "admin"}, "password": {"value": ADMIN_PASSWORD}},
            "deletionPolicy": "Delete",
        });
        for (name, value) in fields.as_object().unwrap() {
            spec[name] = value.clone();
        }
        let api = ApiServer::new(json!({
            "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
            "metadata": {"name": "orders", "namespace": "shop", "uid": "u-1", "generation": 1, "resourceVersion": "1"},
            "spec": spec,
        }));
        Self { api, server: MemoryServer::default(), runs: std::cell::Cell::new(0) }
    }

    /// The assignment that the operator would give a new Job now.
    fn assignment(&self, operation: Operation) -> Assignment {
        let run = self.runs.get() + 1;
        self.runs.set(run);
        let metadata = self.api.database().map(|database| database["metadata"].clone()).unwrap_or_default();
        let generation = metadata["generation"].as_i64().unwrap_or(1);
        Assignment {
            database: "orders".to_owned(),
            namespace: "shop".to_owned(),
            operation,
            uid: metadata["uid"].as_str().unwrap_or("u-1").to_owned(),
            generation,
            job: format!("dbo-{operation}-{generation}-{run}"),
            cluster_id: "c-1".to_owned(),
            request: operator::next_request(self, operation),
            injected: Injected::default(),
        }
    }

    /// One run of a new Job; `None` if a fault killed it.
    async fn try_run(&self, operation: Operation) -> Option<Outcome> {
        let (driver, assignment) = (self.server.driver(), self.assignment(operation));
        self.api.until_killed(perform(&driver, self.api.client(), &assignment)).await
    }

    async fn run(&self, operation: Operation) -> Outcome {
        self.try_run(operation).await.expect("no fault was asked for")
    }

    async fn created() -> Self {
        let world = Self::new();
        assert_eq!(world.run(Operation::Create).await, Outcome::Done);
        world.api.forget_requests();
        world
    }

    fn phase(&self) -> Option<String> {
        self.api.database()?["status"]["phase"].as_str().map(str::to_owned)
    }

    /// Status, reason and message of a condition.
    fn condition(&self, kind: &str) -> Option<(String, String, String)> {
        let database = self.api.database()?;
        let conditions = database["status"]["conditions"].as_array()?.clone();
        let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
        let text = |field: &str| condition[field].as_str().unwrap().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    /// What the Secret says.
    fn secret(&self, key: &str) -> Option<String> {
        let secret = self.api.secret()?;
        let encoded: k8s_openapi::ByteString = serde_json::from_value(secret["data"][key].clone()).ok()?;
        String::from_utf8(encoded.0).ok()
    }

    fn login_works(&self) -> bool {
        let login = self.secret("username").zip(self.secret("password"));
        login.is_some_and(|(username, password)| self.server.logs_in(&username, &password))
    }
}

/// Asserts that a run failed for that reason.
fn assert_failed(outcome: &Outcome, expected: Reason) -> &str {
    match outcome {
        Outcome::Failed { reason, message, .. } if *reason == expected => message,
        Outcome::Done | Outcome::Terminated | Outcome::Failed { .. } => {
            panic!("expected a failure for {expected:?}, got {outcome:?}")
        }
    }
}
