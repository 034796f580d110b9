//! Objects for tests, decoded from what the API server would send.

use serde_json::{Value, json};

use super::database::KnownDatabase;
use super::decode::{Object, object};
use super::driver::KnownDriver;
use super::job::KnownJob;
use super::request::KnownRequest;
use crate::kind::Kind;

/// Lays `over` over `under`, deeply.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                merge(under.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

fn decoded(kind: Kind, mut object_: Value, over: &Value) -> Object {
    merge(&mut object_, over);
    object(kind, &serde_json::value::to_raw_value(&object_).unwrap()).unwrap()
}

/// A Database in namespace `shop` whose uid is its name.
pub(crate) fn database(name: &str, over: &Value) -> KnownDatabase {
    let base = json!({
        "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1},
        "spec": {"driver": "engine", "connect": {"host": "Db.example"},
                 "credentials": {"username": {"value": "u"}, "password": {"value": "hunter2"}}},
    });
    let Object::Database(database) = decoded(Kind::Database, base, over) else { panic!("it is no Database") };
    *database
}

/// A Backup or Restore in namespace `shop` whose uid is its name.
pub(crate) fn request(kind: &str, name: &str, over: &Value) -> KnownRequest {
    let base = json!({
        "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1,
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"database": "orders"},
        "status": {},
    });
    let mut over = over.clone();
    if over.pointer("/status/phase") == Some(&json!("")) {
        over["status"]["phase"] = Value::Null;
    }
    let kind = if kind == "Backup" { Kind::Backup } else { Kind::Restore };
    let Object::Request(request) = decoded(kind, base, &over) else { panic!("it is no Request") };
    *request
}

/// A Job in namespace `shop` that works on the object with that uid.
pub(crate) fn job(uid: &str, operation: api::Operation, attempt: u32, over: &Value) -> KnownJob {
    use crate::job_name::{JobName, Series};
    let named = JobName { operation, series: Series::Generation(1), attempt };
    let base = json!({
        "metadata": {
            "name": named.with_uid(uid), "namespace": "shop", "uid": format!("job-{attempt}"),
            "labels": {"db.isotoma.com/uid": uid, "db.isotoma.com/operation": operation.as_str(),
                       "db.isotoma.com/generation": "1", "db.isotoma.com/attempt": attempt.to_string()},
        },
        "spec": {"template": {"spec": {"containers": [{"name": "driver", "image": "img:1"}]}}},
    });
    let Object::Job(job) = decoded(Kind::Job, base, over) else { panic!("it is no Job") };
    *job
}

/// A Driver named `engine`, or as `over` says.
pub(crate) fn driver(over: &Value) -> KnownDriver {
    let base = json!({
        "metadata": {"name": "engine", "uid": "driver", "generation": 1},
        "spec": {"image": "img:1"},
    });
    let Object::Driver(driver) = decoded(Kind::Driver, base, over) else { panic!("it is no Driver") };
    driver
}
