//! Databases as they are after their first run, and new ones.

use std::ops::Range;

use anyhow::Result;
use api::Database;
use serde_json::{Value, json};

use super::plane::{NAMESPACES, namespace};

/// How many servers they are on.
const SERVERS: usize = 50;

fn spec(number: usize) -> Value {
    let key = |name: &str, key: &str| json!({"valueFrom": {"secretKeyRef": {"name": name, "key": key}}});
    json!({
        "driver": "postgresql",
        "connect": {"host": format!("server-{}.example.com", number % SERVERS), "port": 5432},
        "credentials": {"username": {"value": "postgres"}, "password": key("server", "password")},
        "backupTo": {"s3": {"region": "eu-west-1", "bucket": "backups", "prefix": "all/", "credentials": {
            "accessKeyId": key("bucket", "id"), "secretAccessKey": key("bucket", "secret")}}},
    })
}

/// Databases that are Created, with their places in etcd. Each was verified an hour before now.
pub(crate) fn created(numbers: Range<usize>, generation: i64) -> impl Iterator<Item = (String, Value)> {
    let verified = k8s_openapi::jiff::Timestamp::now() - k8s_openapi::jiff::SignedDuration::from_hours(1);
    let verified = format!("{verified:.0}");
    numbers.map(move |number| {
        let status = json!({
            "phase": "Created", "observedGeneration": generation, "createdAt": verified, "verifiedAt": verified,
            "server": format!("server-{}.example.com:5432", number % SERVERS),
            "database": format!("scale_database_{number:06}_0123456789"),
            "binding": {"name": format!("database-{number:06}")},
            "deletionPolicy": "BackupThenDelete", "lastCompletedJob": "dbo-create-0123456789-1-1",
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Created", "observedGeneration": generation,
                "message": format!("the login is in Secret database-{number:06}"),
                "lastTransitionTime": verified,
            }],
        });
        stored(number, &namespace(number), generation, &["db.isotoma.com/database"], &status)
    })
}

/// Databases that nobody has looked at yet, with their places in etcd.
pub(crate) fn unseen(numbers: Range<usize>) -> impl Iterator<Item = (String, Value)> {
    // Half of them are in one namespace, and the others in all others.
    let home = |number: usize| {
        if number.is_multiple_of(2) { namespace(0) } else { namespace(1 + number / 2 % (NAMESPACES - 1)) }
    };
    numbers.map(move |number| stored(number, &home(number), 1, &[], &Value::Null))
}

fn stored(
    number: usize,
    namespace: &str,
    generation: i64,
    finalizers: &[&str],
    status: &Value,
) -> (String, Value) {
    let (name, time) = (format!("database-{number:06}"), "2026-01-01T00:00:00Z");
    let object = json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
        "metadata": {
            "name": name, "namespace": namespace, "generation": generation, "creationTimestamp": time,
            "uid": format!("00000000-0000-4000-8000-{number:012}"), "finalizers": finalizers,
            // As one that was applied has them.
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsType": "FieldsV1",
                "apiVersion": "db.isotoma.com/v1alpha1", "time": time,
                "fieldsV1": {"f:spec": {"f:driver": {}, "f:connect": {"f:host": {}, "f:port": {}}}}}],
        },
        "spec": spec(number),
        "status": status,
    });
    (format!("{PREFIX}{namespace}/{name}"), object)
}

/// Where Databases are in etcd.
pub(crate) const PREFIX: &str = "/registry/db.isotoma.com/databases/";

/// One that somebody creates now.
pub(crate) fn new(number: usize, name: &str) -> Result<Database> {
    let mut database = Database::new(name, serde_json::from_value(spec(number))?);
    database.metadata.namespace = Some(namespace(number));
    Ok(database)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn half_of_those_that_wait_are_in_one_namespace_and_none_of_the_others_is_left_out() {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (_, object) in unseen(0..10_000) {
            *counts.entry(object["metadata"]["namespace"].to_string()).or_default() += 1;
        }
        assert_eq!(counts.len(), NAMESPACES);
        let (few, many): (Vec<_>, Vec<_>) = counts.into_values().partition(|count| *count < 1_000);
        assert_eq!(many, [5_000]);
        assert!(few.iter().all(|count| (263..=264).contains(count)), "{few:?}");
    }
}
