//! Stories with a name: one thing goes wrong, everybody else's Databases go on, and its owner is told.

mod caps;
mod floods;
mod lease;
mod nonsense;
mod outages;
mod replicas;
mod resync;
mod stuck;

use std::sync::Arc;
use std::time::Duration;

use api::Operation;
use db_operator::job_name::{JobName, Series};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::play::Operator;
use crate::server::Server;
use crate::store::Key;

/// Long enough for a Database that nothing holds up.
const SOON: Duration = Duration::from_secs(20);

/// A server with namespaces `shop` and `other`, and a Driver.
fn served() -> Arc<Server> {
    let server = Server::new(Chance::of(7), 0);
    for namespace in ["system", "shop", "other"] {
        server.namespace(namespace);
    }
    server.driver("engine", "img:1");
    server
}

fn start(server: &Arc<Server>) -> Operator {
    Operator::start(server, "op-1", &[])
}

/// Makes so many Databases in a namespace.
fn databases(server: &Arc<Server>, namespace: &str, count: usize) {
    for index in 0..count {
        server.database(namespace, &format!("db-{index}"), &json!({}));
    }
}

/// Whether that is told about an object of that name within a minute or two.
async fn is_told(server: &Arc<Server>, reason: &str, name: &str) -> bool {
    server.until(Duration::from_mins(3), |state| state.was_told(reason, name)).await
}

/// The uid of a Database, and the name of the Job for that attempt to create it.
fn uid_and_job_name(server: &Server, database: &Key, attempt: u32) -> (String, String) {
    let uid = server.state().store.get(database).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    let name = JobName { operation: Operation::Create, series: Series::Generation(1), attempt };
    let name = name.with_uid(&uid);
    (uid, name)
}

/// Makes the Job for an attempt to create a Database, as the operator would, except for what `more` says. The owner of a
/// Database may create Jobs, and knows its uid.
fn forge(server: &Server, database: &Key, attempt: u32, more: &Value) -> Key {
    let (uid, name) = uid_and_job_name(server, database, attempt);
    forge_for(server, &uid, &name, attempt, more);
    ("jobs", database.1.clone(), name)
}

/// Makes a Job of that name in namespace `shop` with our labels.
fn forge_for(server: &Server, uid: &str, name: &str, attempt: u32, more: &Value) {
    let labels = json!({
        "app.kubernetes.io/managed-by": "db-operator", "db.isotoma.com/uid": uid,
        "db.isotoma.com/operation": "create", "db.isotoma.com/generation": "1",
        "db.isotoma.com/attempt": attempt.to_string(),
    });
    let mut job = json!({"metadata": {"name": name, "namespace": "shop", "labels": labels}, "spec": {}});
    for (field, value) in more.as_object().into_iter().flatten() {
        job[field] = value.clone();
    }
    server.create("jobs", job);
}

/// Two operators, of which `op-1` holds the Lease and `op-2` does not, after things have settled.
async fn leader_and_standby(server: &Arc<Server>) -> (Operator, Operator) {
    let leader = Operator::start(server, "op-1", &[]);
    sleep(Duration::from_secs(5)).await;
    let standby = Operator::start(server, "op-2", &[]);
    sleep(Duration::from_secs(30)).await;
    (leader, standby)
}
