//! The token of what releases.

use anyhow::{Result, ensure};
use api::{Database, FINALIZER};
use e2e::{
    DatabaseFixture, OPERATOR_NAMESPACE, PATIENCE, client_with_token, database, until, with_namespace,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::page::has_table;

/// Somebody else's.
const OTHER: &str = "example.com/audit";

#[tokio::test]
async fn whoever_steals_the_token_of_what_releases_lets_go_only_what_a_terminating_namespace_waits_for() {
    with_namespace("rights_release", async |test| {
        // No driver ever touches it, so that nothing else is at work.
        let mut fixture = database("orders").driver("e2e-none");
        fixture.finalizers_mut().extend([FINALIZER.to_owned(), OTHER.to_owned()]);
        test.create(&fixture).await?;
        let thief = client_with_token(OPERATOR_NAMESPACE, "db-operator-release").await?;
        let path = format!("/apis/db.isotoma.com/v1alpha1/namespaces/{}/databases/orders", test.namespace);
        let only = |finalizers: &[&str]| json!({"metadata": {"finalizers": finalizers}});
        let mut rows = Vec::new();
        for attempt in [
            Attempt::patch(
                "to take our finalizer off in a namespace that does not end",
                &path,
                only(&[OTHER]),
            ),
            Attempt::patch("to change a spec", &path, json!({"spec": {"deletionPolicy": "Retain"}})),
            Attempt::patch(
                "to write a status",
                &format!("{path}/status"),
                json!({"status": {"phase": "Deleted"}}),
            ),
            Attempt::delete("to delete a Database", &path),
            Attempt::get("to list Databases", "/apis/db.isotoma.com/v1alpha1/databases"),
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
        ] {
            rows.push(attempt.refused(&thief).await?);
        }
        let namespaces: Api<Namespace> = Api::all(test.client.clone());
        namespaces.delete(&test.namespace, &DeleteParams::default()).await?;
        // The operator's own run does what it is for, and what is left is not ours.
        let api: Api<Database> = test.api();
        let live = until(&api, "orders", PATIENCE, "let go by us", |live| {
            live.is_none_or(|live| !live.finalizers().iter().any(|name| name == FINALIZER))
        })
        .await?;
        ensure!(live.is_some_and(|live| live.finalizers() == [OTHER]), "somebody else's finalizer is gone");
        let change = |metadata: Value| json!({"metadata": metadata});
        for attempt in [
            Attempt::patch("to take somebody else's finalizer off, as a namespace ends", &path, only(&[])),
            Attempt::patch("to add a finalizer, as a namespace ends", &path, only(&[OTHER, FINALIZER])),
            Attempt::patch(
                "to change a label, as a namespace ends",
                &path,
                change(json!({"labels": {"x": "y"}})),
            ),
            Attempt::patch(
                "to change an annotation, as a namespace ends",
                &path,
                change(json!({"annotations": {"x": "y"}})),
            ),
            Attempt::patch(
                "to change a spec, as a namespace ends",
                &path,
                json!({"spec": {"deletionPolicy": "Retain"}}),
            ),
        ] {
            rows.push(attempt.refused(&thief).await?);
        }
        api.patch("orders", &PatchParams::default(), &Patch::Merge(only(&[]))).await?;
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
