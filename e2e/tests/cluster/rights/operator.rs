//! The operator's token.

use anyhow::{Context as _, Result, ensure};
use e2e::{OPERATOR_NAMESPACE, PATIENCE, client_with_token, database, until_any, with_namespace};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::watcher;
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::jobs::{CHANGES, Change, admissible, from_secret, jobs_of, set_variable};
use super::page::has_table;
use super::token::OPERATORS_TOKEN;

#[tokio::test]
async fn whoever_steals_the_operators_token_reads_no_secret_and_writes_no_object() {
    let _valid = OPERATORS_TOKEN.read().await;
    with_namespace("rights_operator", async |test| {
        test.create_ready(&database("orders")).await?;
        let thief = client_with_token(OPERATOR_NAMESPACE, "db-operator").await?;
        let (namespace, good) = (test.namespace.as_str(), admissible(&test).await?);
        let jobs = jobs_of(namespace);
        let mut rows = Vec::new();
        for (what, change) in CHANGES {
            let mut job = good.clone();
            change(&mut job);
            rows.push(Attempt::post(what, &jobs, job).refused(&thief).await?);
            // That it was refused for that, the same Job without the change shows.
            Attempt::post("the operator's own Job", &jobs, good.clone()).admitted(&thief).await?;
        }
        for attempt in elsewhere(&good) {
            rows.push(attempt.refused(&thief).await?);
        }
        let release = release(&good).await?;
        for (what, change) in RELEASES {
            let mut job = release.clone();
            change(&mut job);
            rows.push(Attempt::post(what, &jobs_of(OPERATOR_NAMESPACE), job).refused(&thief).await?);
            let good = Attempt::post("what releases", &jobs_of(OPERATOR_NAMESPACE), release.clone());
            good.admitted(&thief).await?;
        }
        for attempt in beside_jobs(namespace) {
            rows.push(attempt.refused(&thief).await?);
        }
        has_table("operator", &rows)
    })
    .await;
}

/// The same Job in other namespaces.
fn elsewhere(good: &Value) -> Vec<Attempt> {
    let job_in = |namespace: &str| {
        let mut job = good.clone();
        job["metadata"]["namespace"] = json!(namespace);
        job["metadata"]["labels"]["db.isotoma.com/namespace"] = json!(namespace);
        job["spec"]["template"]["metadata"]["labels"]["db.isotoma.com/namespace"] = json!(namespace);
        set_variable(&mut job, "DB_OPERATOR_NAMESPACE", json!({"value": namespace}));
        job
    };
    let mut as_release = job_in(OPERATOR_NAMESPACE);
    as_release["metadata"]["labels"]["db.isotoma.com/operation"] = json!("release");
    as_release["spec"]["template"]["metadata"]["labels"]["db.isotoma.com/operation"] = json!("release");
    set_variable(&mut as_release, "DB_OPERATOR_OPERATION", json!({"value": "release"}));
    as_release["spec"]["template"]["spec"]["serviceAccountName"] = json!("db-operator-release");
    let mut as_operator = job_in(OPERATOR_NAMESPACE);
    as_operator["spec"]["template"]["spec"]["serviceAccountName"] = json!("db-operator");
    vec![
        Attempt::post("its own Job in kube-system", &jobs_of("kube-system"), job_in("kube-system")),
        Attempt::post(
            "its own Job in a namespace that is no tenant's",
            &jobs_of("servers"),
            job_in("servers"),
        ),
        Attempt::post(
            "a driver in its own namespace",
            &jobs_of(OPERATOR_NAMESPACE),
            job_in(OPERATOR_NAMESPACE),
        ),
        Attempt::post("a driver's image as what releases", &jobs_of(OPERATOR_NAMESPACE), as_release),
        Attempt::post("a driver under the operator's account", &jobs_of(OPERATOR_NAMESPACE), as_operator),
    ]
}

/// The Job that lets `good`'s object go, as the operator would make it.
async fn release(good: &Value) -> Result<Value> {
    let operator: Api<Deployment> = Api::namespaced(e2e::client().await?, OPERATOR_NAMESPACE);
    let operator = serde_json::to_value(operator.get("db-operator").await?)?;
    let image = operator.pointer("/spec/template/spec/containers/0/image").context("the operator's image")?;
    let mut job = good.clone();
    let name = good["metadata"]["name"].as_str().context("a name")?.replacen("create", "release", 1);
    job["metadata"]["name"] = json!(name);
    job["metadata"]["namespace"] = json!(OPERATOR_NAMESPACE);
    for labels in ["/metadata/labels", "/spec/template/metadata/labels"] {
        job.pointer_mut(labels).context("labels")?["db.isotoma.com/operation"] = json!("release");
    }
    set_variable(&mut job, "DB_OPERATOR_OPERATION", json!({"value": "release"}));
    set_variable(&mut job, "DB_OPERATOR_JOB", json!({"value": name}));
    let pod = &mut job["spec"]["template"]["spec"];
    pod["serviceAccountName"] = json!("db-operator-release");
    pod.as_object_mut().context("a pod")?.remove("serviceAccount");
    let container = &mut pod["containers"][0];
    container["image"] = image.clone();
    container["command"] = json!(["/db-operator-release"]);
    let variables = container["env"].as_array_mut().context("an environment")?;
    variables.retain(|variable| variable["valueFrom"].is_null());
    Ok(job)
}

/// Each changes one thing of the Job that releases.
const RELEASES: [Change; 5] = [
    ("what releases under the operator's account", |job| {
        job["spec"]["template"]["spec"]["serviceAccountName"] = json!("db-operator");
    }),
    ("what releases with another command", |job| {
        job["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["/db-operator"]);
    }),
    ("what releases with arguments", |job| {
        job["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["--help"]);
    }),
    ("what releases with a Secret in its environment", |job| {
        let from = from_secret("postgresql-17-admin", "password");
        set_variable(job, "DB_OPERATOR_ADMIN_PASSWORD", from);
        set_variable(
            job,
            "DB_OPERATOR_ADMIN_PASSWORD_FROM",
            json!({"value": "postgresql-17-admin/password"}),
        );
    }),
    ("what releases with a volume", |job| {
        let pod = &mut job["spec"]["template"]["spec"];
        pod["volumes"] = json!([{"name": "store-ca", "secret": {"secretName": "x", "items": [{"key": "k", "path": "p"}]}}]);
        pod["containers"][0]["volumeMounts"] =
            json!([{"name": "store-ca", "mountPath": "/etc/db-operator/store", "readOnly": true}]);
    }),
];

fn beside_jobs(namespace: &str) -> Vec<Attempt> {
    let core = format!("/api/v1/namespaces/{namespace}");
    let ours = format!("/apis/db.isotoma.com/v1alpha1/namespaces/{namespace}");
    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"},
        "spec": {"containers": [{"name": "x", "image": "x"}]}});
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x"}, "spec": {}});
    let token =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "x"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}});
    vec![
        Attempt::get("to read a Secret", &format!("{core}/secrets/postgresql-17-admin")),
        Attempt::get("to list Secrets", &format!("{core}/secrets")),
        Attempt::get("to list the Secrets of all namespaces", "/api/v1/secrets"),
        Attempt::patch(
            "to write a status",
            &format!("{ours}/databases/orders/status"),
            json!({"status": {"phase": "Deleted"}}),
        ),
        Attempt::patch(
            "to take a finalizer off",
            &format!("{ours}/databases/orders"),
            json!({"metadata": {"finalizers": null}}),
        ),
        Attempt::patch(
            "to change a Database",
            &format!("{ours}/databases/orders"),
            json!({"spec": {"deletionPolicy": "Delete"}}),
        ),
        Attempt::delete("to delete a Database", &format!("{ours}/databases/orders")),
        Attempt::delete("to delete a Job", &format!("{}/x", jobs_of(namespace))),
        Attempt::post("to create a pod", &format!("{core}/pods"), pod),
        Attempt::post(
            "to create a CronJob",
            &format!("/apis/batch/v1/namespaces/{namespace}/cronjobs"),
            cron,
        ),
        Attempt::get("to read a pod's log", &format!("{core}/pods/x/log")),
        Attempt::post("to run a command in a pod", &format!("{core}/pods/x/exec"), json!({})),
        Attempt::post(
            "to ask for a driver's token",
            &format!("{core}/serviceaccounts/db-operator-driver/token"),
            token,
        ),
        Attempt::post("to give itself a role", &format!("{rbac}/rolebindings"), binding),
        Attempt::patch(
            "to change the policy",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/x",
            json!({}),
        ),
    ]
}

#[tokio::test]
async fn a_driver_takes_no_secret_that_its_database_does_not_name() {
    let _valid = OPERATORS_TOKEN.read().await;
    with_namespace("rights_secret", async |test| {
        test.create_ready(&database("orders")).await?;
        let thief = client_with_token(OPERATOR_NAMESPACE, "db-operator").await?;
        let mut job = admissible(&test).await?;
        // The policy cannot know which Secret the Database names.
        set_variable(&mut job, "DB_OPERATOR_ADMIN_PASSWORD", from_secret("postgresql-18-admin", "password"));
        set_variable(
            &mut job,
            "DB_OPERATOR_ADMIN_PASSWORD_FROM",
            json!({"value": "postgresql-18-admin/password"}),
        );
        job["spec"]["backoffLimit"] = json!(0);
        let name = job["metadata"]["name"].as_str().context("a name")?.to_owned();
        let api: Api<Job> = Api::namespaced(thief, &test.namespace);
        api.create(&PostParams::default(), &serde_json::from_value(job)?).await?;
        let selection = watcher::Config::default().labels(&format!("job-name={name}"));
        let mut said = None;
        until_any(&test.api::<Pod>(), selection, PATIENCE, "its end", |pod| {
            let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            let ended =
                statuses.into_iter().flatten().find_map(|status| status.state.as_ref()?.terminated.as_ref());
            said = ended.and_then(|ended| ended.message.clone());
            ended.is_some()
        })
        .await?;
        let said = said.context("the driver said nothing")?;
        ensure!(said.contains("postgresql-18-admin/password") && said.contains("it is not used"), "{said}");
        // And the Database is what it was.
        test.ready("orders").await?;
        Ok(())
    })
    .await;
}
