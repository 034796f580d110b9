//! The token of what releases.

use anyhow::{Result, ensure};
use api::{BACKUP_FINALIZER, Backup, BackupDeletionPolicy, Database, FINALIZER};
use e2e::{
    DatabaseFixture, OPERATOR_NAMESPACE, PATIENCE, Watched, backup, client_with_token, database, until,
    with_namespace,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::page::has_table;

/// Somebody else's.
const OTHER: &str = "example.com/audit";

/// An object that the thief wants to let go: what it is, how its kind is called, what we hold it by, and where it is.
struct Prey {
    what: &'static str,
    plural: &'static str,
    finalizer: &'static str,
    path: String,
}

impl Prey {
    fn new(what: &'static str, plural: &'static str, finalizer: &'static str, namespace: &str) -> Self {
        let path = format!("/apis/db.isotoma.com/v1alpha1/namespaces/{namespace}/{plural}/orders");
        Self { what, plural, finalizer, path }
    }

    /// What is tried on it while its namespace does not end.
    fn in_a_living_namespace(&self) -> Vec<Attempt> {
        let Self { what, plural, path, .. } = self;
        vec![
            Attempt::patch(
                &format!("to take our finalizer off a {what} in a namespace that does not end"),
                path,
                only(&[OTHER]),
            ),
            Attempt::patch(&format!("to change a {what}'s spec"), path, retain()),
            Attempt::patch(
                &format!("to write a {what}'s status"),
                &format!("{path}/status"),
                json!({"status": {"phase": "Deleted"}}),
            ),
            Attempt::delete(&format!("to delete a {what}"), path),
            Attempt::get(&format!("to list {what}s"), &format!("/apis/db.isotoma.com/v1alpha1/{plural}")),
        ]
    }

    /// What is tried on it as its namespace ends, and our finalizer is off.
    fn in_an_ending_namespace(&self) -> Vec<Attempt> {
        let Self { what, finalizer, path, .. } = self;
        let tried = |deed: &str| format!("to {deed}, as a namespace ends");
        let change = |metadata: Value| json!({"metadata": metadata});
        vec![
            Attempt::patch(&tried(&format!("take somebody else's finalizer off a {what}")), path, only(&[])),
            Attempt::patch(&tried(&format!("add a finalizer to a {what}")), path, only(&[OTHER, finalizer])),
            Attempt::patch(
                &tried(&format!("change a {what}'s label")),
                path,
                change(json!({"labels": {"x": "y"}})),
            ),
            Attempt::patch(
                &tried(&format!("change a {what}'s annotation")),
                path,
                change(json!({"annotations": {"x": "y"}})),
            ),
            Attempt::patch(&tried(&format!("change a {what}'s spec")), path, retain()),
        ]
    }
}

fn only(finalizers: &[&str]) -> Value {
    json!({"metadata": {"finalizers": finalizers}})
}

fn retain() -> Value {
    json!({"spec": {"deletionPolicy": "Retain"}})
}

/// Waits until the operator's own run has taken our finalizer off, and what is left is not ours.
async fn let_go<K: Watched>(api: &Api<K>, finalizer: &str) -> Result<()> {
    let live = until(api, "orders", PATIENCE, "let go by us", |live| {
        live.is_none_or(|live| !live.finalizers().iter().any(|name| name == finalizer))
    })
    .await?;
    ensure!(live.is_some_and(|live| live.finalizers() == [OTHER]), "somebody else's finalizer is gone");
    Ok(())
}

#[tokio::test]
async fn whoever_steals_the_token_of_what_releases_lets_go_only_what_a_terminating_namespace_waits_for() {
    with_namespace("rights_release", async |test| {
        // No driver ever touches them, so that nothing else is at work.
        let mut fixture = database("orders").driver("e2e-none");
        fixture.finalizers_mut().extend([FINALIZER.to_owned(), OTHER.to_owned()]);
        test.create(&fixture).await?;
        let mut fixture = backup("orders", "orders");
        fixture.spec.deletion_policy = Some(BackupDeletionPolicy::Delete);
        fixture.finalizers_mut().extend([BACKUP_FINALIZER.to_owned(), OTHER.to_owned()]);
        let (databases, backups): (Api<Database>, Api<Backup>) = (test.api(), test.api());
        backups.create(&PostParams::default(), &fixture).await?;
        let thief = client_with_token(OPERATOR_NAMESPACE, "db-operator-release").await?;
        let prey = [
            Prey::new("Database", "databases", FINALIZER, &test.namespace),
            Prey::new("Backup", "backups", BACKUP_FINALIZER, &test.namespace),
        ];
        let mut attempts: Vec<_> = prey.iter().flat_map(Prey::in_a_living_namespace).collect();
        attempts.extend([
            Attempt::get(
                "to read a Secret",
                &format!("/api/v1/namespaces/{}/secrets/postgresql-17-admin", test.namespace),
            ),
            Attempt::get(
                "to read a Secret of its own namespace",
                &format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/secrets/x"),
            ),
            Attempt::post(
                "to create a Job",
                &format!("/apis/batch/v1/namespaces/{OPERATOR_NAMESPACE}/jobs"),
                json!({}),
            ),
        ]);
        let mut rows = Vec::new();
        for attempt in attempts {
            rows.push(attempt.refused(&thief).await?);
        }
        let namespaces: Api<Namespace> = Api::all(test.client.clone());
        namespaces.delete(&test.namespace, &DeleteParams::default()).await?;
        let_go(&databases, FINALIZER).await?;
        let_go(&backups, BACKUP_FINALIZER).await?;
        for attempt in prey.iter().flat_map(Prey::in_an_ending_namespace) {
            rows.push(attempt.refused(&thief).await?);
        }
        let nobody = Patch::Merge(only(&[]));
        databases.patch("orders", &PatchParams::default(), &nobody).await?;
        backups.patch("orders", &PatchParams::default(), &nobody).await?;
        has_table("release", &rows)
    })
    .await;
}

#[tokio::test]
async fn a_namespace_whose_role_bindings_go_first_ends_all_the_same() {
    with_namespace("rights_ends", async |test| -> Result<()> {
        test.leaves_databases();
        test.create_ready(&database("orders")).await?;
        let bindings: Api<k8s_openapi::api::rbac::v1::RoleBinding> = test.api();
        for name in ["db-operator-tenant-jobs", "db-operator-tenant-driver"] {
            bindings.delete(name, &DeleteParams::default()).await?;
        }
        let namespaces: Api<Namespace> = Api::all(test.client.clone());
        namespaces.delete(&test.namespace, &DeleteParams::default()).await?;
        until(&namespaces, &test.namespace, PATIENCE, "its end", |live| live.is_none()).await?;
        Ok(())
    })
    .await;
}
