//! The value `clusterId`: with it the policy refuses another cluster's mark.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{
    OPERATOR_NAMESPACE, SOON, client_with_token, database, helm, helm_with_input, kubectl,
    kubectl_with_input, with_namespace,
};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::attempt::Attempt;
use super::jobs::{admissible, jobs_of, set_variable};
use super::token::OPERATORS_TOKEN;
use crate::docs::pages::{commands, run};

/// The policy of the release that is installed, as the chart makes it with that `clusterId`, under another name.
async fn policy_with(id: &str, name: &str) -> Result<String> {
    let release = ["db-operator", "--namespace", OPERATOR_NAMESPACE];
    let values = helm(&[&["get", "values", "--output", "yaml"], &release[..]].concat()).await?;
    let set = format!("clusterId={id}");
    let chart = [
        "charts/db-operator",
        "--show-only",
        "templates/admission-operator.yaml",
        "--values",
        "-",
        "--set",
        &set,
    ];
    let template = [&["template"], &release[..1], &chart, &release[1..]].concat();
    let rendered = helm_with_input(&template, &values).await?;
    let own = format!("db-operator-jobs.{OPERATOR_NAMESPACE}");
    ensure!(rendered.contains(&own), "the chart's policy has another name: {rendered}");
    Ok(rendered.replace(&own, name))
}

/// Waits until the API server refuses that Job, by a policy that it has just been given.
async fn is_refused(thief: &Client, jobs: &str, job: &Value) -> Result<String> {
    let mut look = interval(Duration::from_millis(200));
    let asked = async {
        loop {
            look.tick().await;
            let attempt = Attempt::post("a Job with another cluster's mark", jobs, job.clone());
            if let Some(refusal) = attempt.answer(thief).await? {
                return anyhow::Ok(refusal);
            }
        }
    };
    timeout(SOON, asked).await.context("with clusterId set, another cluster's mark is admitted")?
}

#[tokio::test]
async fn another_clusters_mark_is_refused_once_the_cluster_id_is_set() {
    let _valid = OPERATORS_TOKEN.read().await;
    with_namespace("cluster_id", async |test| {
        test.create_ready(&database("orders")).await?;
        let thief = client_with_token(OPERATOR_NAMESPACE, "db-operator").await?;
        let (good, jobs) = (admissible(&test).await?, jobs_of(&test.namespace));
        let commands = commands("docs/security.md", "kubectl get namespace kube-system")?;
        let id = run(commands.first().context("no command")?, &[]).await?;
        let marks = |job: &Value| job.to_string().contains(&format!(r#""value":"{id}""#));
        ensure!(marks(&good), "the operator's Databases have another mark than the page says: {id}");
        let mut forged = good.clone();
        set_variable(&mut forged, "DB_OPERATOR_CLUSTER_ID", json!({"value": "another"}));
        // What the page warns of.
        Attempt::post("another cluster's mark", &jobs, forged.clone()).admitted(&thief).await?;
        let policy = policy_with(&id, &test.namespace).await?;
        kubectl_with_input(&["apply", "--filename", "-"], &policy).await?;
        let outcome = async {
            let refusal = is_refused(&thief, &jobs, &forged).await?;
            ensure!(refusal.contains(&test.namespace), "it is refused for something else: {refusal}");
            Attempt::post("the operator's own Job", &jobs, good).admitted(&thief).await
        }
        .await;
        let kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings";
        kubectl(&["delete", kinds, &test.namespace]).await?;
        outcome
    })
    .await;
}
