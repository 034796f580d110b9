//! The pods that do the work: what they cost, how they are confined, and their death.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use e2e::{Context, PATIENCE, POSTGRESQL_17, audit_log, database, kubectl, login, until_any, with_namespace};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::watcher;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::lifecycle::nothing_is_left;

#[tokio::test]
async fn a_database_is_made_and_dropped_though_its_pods_are_killed() {
    with_namespace("pods_killed", async |test| {
        let fixture = database("orders");
        let (killed, created) = tokio::join!(kill(&test, "create", 2), test.create(&fixture));
        created?;
        killed?;
        test.ready("orders").await?;
        login(&test.client, &test.secret("orders").await?).await?;
        let (killed, deleted) = tokio::join!(kill(&test, "delete", 2), test.begin_delete("orders"));
        deleted?;
        killed?;
        test.gone("orders").await?;
        nothing_is_left(&test, POSTGRESQL_17).await
    })
    .await;
}

/// Kills that many pods of an operation: one as soon as it has a node, the next as soon as it runs.
async fn kill(test: &Context, operation: &str, how_many: usize) -> Result<()> {
    let pods = test.api::<Pod>();
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    let selection = watcher::Config::default().labels(&format!("db.isotoma.com/operation={operation}"));
    let mut killed = BTreeSet::new();
    let watching = until_any(&pods, selection, PATIENCE, "that is the last to be killed", |pod| {
        let has_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let moment = if killed.len().is_multiple_of(2) { has_node } else { phase != Some("Pending") };
        if moment && killed.insert(pod.name_any()) {
            let (pods, name, at_once) = (pods.clone(), pod.name_any(), at_once.clone());
            tokio::spawn(async move { pods.delete(&name, &at_once).await });
        }
        killed.len() == how_many
    });
    watching.await?;
    Ok(())
}

#[tokio::test]
async fn a_create_costs_the_api_server_one_write_of_the_operator_and_six_requests_of_the_driver() {
    let log = audit_log().unwrap().expect("only a cluster of `make cluster` has an audit log within reach");
    with_namespace("api_cost", async move |test| {
        let begin = std::fs::metadata(&log)?.len();
        test.create_ready(&database("orders")).await?;
        // The log is written in batches, in the order of the answers: this request closes the account.
        let marker = format!("e2e-marker-{}", test.namespace);
        let _ = test.secret(&marker).await;
        let lines = tokio::time::timeout(PATIENCE, requests(&log, begin, &test.namespace, &marker)).await??;
        let mut by_account: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for line in &lines {
            let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let request = format!(
                "{} {}/{} {}",
                text("/verb"),
                text("/objectRef/resource"),
                text("/objectRef/subresource"),
                text("/objectRef/name")
            );
            let account = text("/user/username").rsplit(':').next().unwrap_or_default();
            by_account.entry(account).or_default().push(request);
        }
        let operator = by_account.remove("db-operator").unwrap_or_default();
        let driver = by_account.remove("db-operator-driver").unwrap_or_default();
        ensure!(operator.len() == 1 && operator[0].starts_with("create jobs/"), "operator: {operator:#?}");
        ensure!((1..=6).contains(&driver.len()), "driver: {driver:#?}");
        Ok(())
    })
    .await;
}

/// The requests about a namespace in the audit log, from `begin` up to the one that names `marker`.
async fn requests(log: &Path, begin: u64, namespace: &str, marker: &str) -> Result<Vec<Value>> {
    let mut following = Command::new("tail")
        .arg(format!("--bytes=+{}", begin + 1))
        .arg("--follow=name")
        .arg(log)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(following.stdout.take().context("tail has no output")?).lines();
    let mut requests = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if line.contains(marker) {
            break;
        }
        if line.contains(namespace) {
            let request: Value = serde_json::from_str(&line)?;
            requests.extend(
                (request.pointer("/objectRef/namespace") == Some(&namespace.into())).then_some(request),
            );
        }
    }
    Ok(requests)
}

#[tokio::test]
async fn a_driver_pod_is_confined() {
    with_namespace("confined", async |test| {
        // The namespace enforces Pod Security `restricted`; this is what it does not ask for.
        test.create_ready(&database("orders")).await?;
        let jobs = test.api::<Job>().list(&ListParams::default()).await?.items;
        let spec = jobs.first().and_then(|job| job.spec.clone()).context("no Job")?;
        let pod = spec.template.spec.clone().unwrap_or_default();
        let container = pod.containers.first().context("no container")?;
        let security = container.security_context.clone().unwrap_or_default();
        ensure!(security.read_only_root_filesystem == Some(true), "its root file system is writable");
        let resources = container.resources.clone().unwrap_or_default();
        ensure!(resources.requests.is_some() && resources.limits.is_some(), "no requests and limits");
        ensure!(spec.ttl_seconds_after_finished.is_some() && spec.active_deadline_seconds.is_some());
        ensure!(
            jobs[0].metadata.owner_references.is_none(),
            "a foreground deletion would kill the delete Job"
        );
        // No value of a Secret stands in the Job: only where to find it.
        let password = &POSTGRESQL_17.admin_login(&test.client).await?["password"];
        let text = kubectl(&["get", "jobs,pods", "--namespace", &test.namespace, "--output", "yaml"]).await?;
        ensure!(!text.contains(password.as_str()), "a Job or pod shows the administrator's password");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_job_that_somebody_forges_drops_nothing() {
    with_namespace("forged", async |test| {
        test.create_ready(&database("orders")).await?;
        let jobs = test.api::<Job>();
        let real = jobs.list(&ListParams::default()).await?.items.into_iter().next().context("no Job")?;
        // The same pod, told to delete.
        let mut template = serde_json::to_value(real.spec.unwrap_or_default().template)?;
        for variable in template["spec"]["containers"][0]["env"].as_array_mut().into_iter().flatten() {
            if variable["name"] == "DB_OPERATOR_OPERATION" {
                variable["value"] = "delete".into();
            }
            if variable["name"] == "DB_OPERATOR_JOB" {
                variable["value"] = "forged".into();
            }
        }
        template["metadata"] = serde_json::json!({});
        let forged = serde_json::json!({
            "metadata": {"name": "forged"}, "spec": {"template": template, "backoffLimit": 0},
        });
        jobs.create(&PostParams::default(), &serde_json::from_value(forged)?).await?;
        let pods = watcher::Config::default().labels("job-name=forged");
        let pod = until_any(&test.api::<Pod>(), pods, PATIENCE, "that has failed", |pod| {
            pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed")
        })
        .await?;
        let text = serde_json::to_string(&pod)?;
        ensure!(text.contains("Superseded") && text.contains(r#""exitCode":42"#), "{text}");
        test.ready("orders").await?;
        login(&test.client, &test.secret("orders").await?).await?;
        Ok(())
    })
    .await;
}
