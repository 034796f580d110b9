//! What the API server accepts, what it refuses, and what it says then.

mod databases;
mod immutable;
mod stores;

use anyhow::{Result, ensure};
use e2e::client;
use http::Request;
use kube::Client;
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// Asks the API server what it would say to the creation of `object`, unknown fields refused.
async fn dry_run(client: &Client, plural: &str, object: &Value) -> Result<(), String> {
    let scope = if plural == "drivers" { "" } else { "namespaces/default/" };
    let path = format!("/apis/db.isotoma.com/v1alpha1/{scope}{plural}?dryRun=All&fieldValidation=Strict");
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(object.to_string().into_bytes()).map_err(|error| error.to_string())?;
    client.request::<DynamicObject>(request).await.map(drop).map_err(said)
}

/// What the API server says, without what kube adds.
#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's, and grows")]
fn said(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    }
}

fn merged(mut base: Value, change: &Value) -> Value {
    merge(&mut base, change);
    base
}

fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, change) => base.clone_from(change),
    }
}

fn valid(kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": "db.isotoma.com/v1alpha1", "kind": kind, "metadata": {"name": "e2e-dry-run"}, "spec": spec})
}

fn database_spec() -> Value {
    json!({
        "driver": "postgresql", "connect": {"host": "db.example.com"},
        "credentials": {"username": {"value": "postgres"}, "password": {"value": "x"}},
    })
}

/// One rule: a change that it accepts, a change that it refuses, and what it says then.
struct Rule(Value, Value, &'static str);

async fn check(plural: &str, base: Value, rules: &[Rule]) -> Result<()> {
    let client = client().await?;
    let mut wrong = Vec::new();
    for Rule(accepted, refused, says) in rules {
        if let Err(error) = dry_run(&client, plural, &merged(base.clone(), &json!({"spec": accepted}))).await
        {
            wrong.push(format!("{accepted} should be accepted: {error}"));
        }
        match dry_run(&client, plural, &merged(base.clone(), &json!({"spec": refused}))).await {
            Ok(()) => wrong.push(format!("{refused} should be refused")),
            Err(error) if error.contains(says) => {}
            Err(error) => {
                wrong.push(format!("{refused} should be refused with {says:?}, and it is with {error}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
