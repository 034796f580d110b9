//! A driver's token, of one tenant.

use e2e::{OPERATOR_NAMESPACE, client_with_token, database, with_namespace};
use serde_json::json;

use super::attempt::Attempt;
use super::jobs::admissible;
use super::page::has_table;

#[tokio::test]
async fn whoever_steals_a_drivers_token_has_nothing_of_another_tenant() {
    with_namespace("rights_victim", async |victim| {
        victim.create_ready(&database("orders")).await?;
        let job = admissible(&victim).await?;
        let there = victim.namespace.clone();
        with_namespace("rights_driver", async move |thief_home| {
            let thief = client_with_token(&thief_home.namespace, "db-operator-driver").await?;
            let (here, ours) = (&thief_home.namespace, "/apis/db.isotoma.com/v1alpha1/namespaces");
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}});
            let finalizers = json!({"metadata": {"finalizers": null}});
            let phase = json!({"status": {"phase": "Deleted"}});
            let backup = json!({"apiVersion": "db.isotoma.com/v1alpha1", "kind": "Backup",
                "metadata": {"name": "x"}, "spec": {"database": "orders"}});
            let attempts = [
                Attempt::get(
                    "to read another tenant's Database",
                    &format!("{ours}/{there}/databases/orders"),
                ),
                Attempt::patch(
                    "to take another tenant's finalizer off",
                    &format!("{ours}/{there}/databases/orders"),
                    finalizers,
                ),
                Attempt::patch(
                    "to write another tenant's status",
                    &format!("{ours}/{there}/databases/orders/status"),
                    phase,
                ),
                Attempt::get("to read another tenant's Backup", &format!("{ours}/{there}/backups/x")),
                Attempt::post(
                    "to create another tenant's Backup",
                    &format!("{ours}/{there}/backups"),
                    backup,
                ),
                Attempt::get("to read another tenant's Restore", &format!("{ours}/{there}/restores/x")),
                Attempt::get(
                    "to read another tenant's Secret",
                    &format!("/api/v1/namespaces/{there}/secrets/orders"),
                ),
                Attempt::post(
                    "to create another tenant's Secret",
                    &format!("/api/v1/namespaces/{there}/secrets"),
                    secret.clone(),
                ),
                Attempt::post(
                    "to create another tenant's Job",
                    &format!("/apis/batch/v1/namespaces/{there}/jobs"),
                    job,
                ),
                Attempt::get("to list Databases of all tenants", "/apis/db.isotoma.com/v1alpha1/databases"),
                Attempt::get(
                    "to read a Secret in the operator's namespace",
                    &format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/secrets/x"),
                ),
                Attempt::get(
                    "to list the Secrets of its own namespace",
                    &format!("/api/v1/namespaces/{here}/secrets"),
                ),
                Attempt::delete(
                    "to delete a Database of its own namespace",
                    &format!("{ours}/{here}/databases/x"),
                ),
                Attempt::delete(
                    "to delete a Backup of its own namespace",
                    &format!("{ours}/{here}/backups/x"),
                ),
                Attempt::get("to read a Driver", "/apis/db.isotoma.com/v1alpha1/drivers/postgresql"),
                Attempt::get(
                    "to read a pod of its own namespace",
                    &format!("/api/v1/namespaces/{here}/pods/x"),
                ),
            ];
            let mut rows = Vec::new();
            for attempt in attempts {
                rows.push(attempt.refused(&thief).await?);
            }
            // What it is there for: the token is a good one.
            let own =
                Attempt::post("a Secret of its own", &format!("/api/v1/namespaces/{here}/secrets"), secret);
            own.admitted(&thief).await?;
            has_table("driver", &rows)
        })
        .await;
        Ok(())
    })
    .await;
}
