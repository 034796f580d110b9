//! The operator itself: its probes and metrics, more than one of it, and its death.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use api::Database;
use e2e::{
    Context, DatabaseFixture, OPERATOR_NAMESPACE, PATIENCE, SOON, client, database, ready, until, until_any,
    with_namespace,
};
use futures::future::try_join_all;
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::client::Body;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::Mutex;

use crate::deletion::OwnService;

/// Held by tests that change the Deployment, one at a time.
pub(crate) static DEPLOYMENT: Mutex<()> = Mutex::const_new(());

const DATABASES: [&str; 5] = ["one", "two", "three", "four", "five"];

/// What the operator answers, asked through the API server, which every cluster allows.
async fn get(client: &Client, path: &str) -> Result<(u16, String, String)> {
    let service =
        format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/services/db-operator-metrics:8080/proxy{path}");
    let answer = client.send(Request::get(service).body(Body::empty())?).await?;
    let kind = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
    let (status, kind) = (answer.status().as_u16(), kind.unwrap_or_default().to_owned());
    Ok((status, kind, String::from_utf8(answer.into_body().collect_bytes().await?.to_vec())?))
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let _alone = DEPLOYMENT.lock().await;
    let client = client().await.unwrap();
    // Another test may just have killed it.
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let selection = watcher::Config::default().labels("kubernetes.io/service-name=db-operator-metrics");
    until_any(&slices, selection, SOON, "with a ready endpoint", |slice| {
        let ready = |endpoint: &Endpoint| endpoint.conditions.as_ref().and_then(|is| is.ready) == Some(true);
        slice.endpoints.iter().any(ready)
    })
    .await
    .unwrap();
    for path in ["/healthz", "/readyz", "/metrics"] {
        let (status, _, body) = get(&client, path).await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
    }
    let (_, kind, metrics) = get(&client, "/metrics").await.unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    for name in ["db_operator_complete_without_phase", "db_operator_stuck_jobs", "db_operator_databases"] {
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name}: {metrics}");
    }
    assert_eq!(get(&client, "/nowhere").await.unwrap().0, 404);
}

#[tokio::test]
async fn two_operators_launch_each_job_once() {
    let _alone = DEPLOYMENT.lock().await;
    with_namespace("two_operators", async |test| {
        scale(&test.client, 2).await?;
        let outcome = async {
            create_all(&test).await?;
            for name in DATABASES {
                test.ready(name).await?;
            }
            each_has_one_job(&test).await
        };
        let outcome = outcome.await;
        scale(&test.client, 1).await?;
        outcome
    })
    .await;
}

async fn create_all(test: &Context) -> Result<()> {
    try_join_all(DATABASES.map(|name| async move { test.create(&database(name)).await })).await?;
    Ok(())
}

async fn each_has_one_job(test: &Context) -> Result<()> {
    let jobs = test.api::<Job>().list(&ListParams::default()).await?.items;
    let mut launched: BTreeMap<String, usize> = BTreeMap::new();
    for job in &jobs {
        let pod =
            job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).context("a Job without a pod")?;
        let env = pod.containers.iter().flat_map(|container| container.env.iter().flatten());
        let name = env.filter(|env| env.name == "DB_OPERATOR_DATABASE").find_map(|env| env.value.clone());
        *launched.entry(name.context("a Job without a Database")?).or_default() += 1;
    }
    let once: BTreeMap<_, _> = DATABASES.iter().map(|name| ((*name).to_owned(), 1)).collect();
    ensure!(launched == once, "Jobs by Database: {launched:?}");
    Ok(())
}

async fn scale(client: &Client, replicas: i32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments.patch("db-operator", &PatchParams::default(), &patch).await?;
    until(&deployments, "db-operator", PATIENCE, "all replicas ready", |live| {
        live.and_then(|live| live.status.as_ref()).is_some_and(|status| {
            status.ready_replicas == Some(replicas) && status.replicas == Some(replicas)
        })
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn databases_are_made_though_the_operator_is_killed_meanwhile() {
    let _alone = DEPLOYMENT.lock().await;
    with_namespace("operator_killed", async |test| {
        create_all(&test).await?;
        let operators: Api<Pod> = Api::namespaced(test.client.clone(), OPERATOR_NAMESPACE);
        let ours = ListParams::default()
            .labels("app.kubernetes.io/name=db-operator,app.kubernetes.io/component=operator");
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let mut killed = 0;
        // As soon as the first has begun.
        let begun = |live: &Database| live.status.is_some();
        test.until("one", PATIENCE, "the begin", begun).await?;
        for pod in operators.list(&ours).await? {
            operators.delete(&pod.name_any(), &at_once).await?;
            killed += 1;
        }
        ensure!(killed > 0, "no operator was there to be killed");
        for name in DATABASES {
            test.ready(name).await?;
        }
        each_has_one_job(&test).await?;
        // And it deletes as ever.
        try_join_all(DATABASES.map(|name| test.delete(name))).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_storm_in_one_namespace_does_not_starve_another() {
    with_namespace("storm", async |test| {
        // A server of our own, for the cap is per server.
        let server = OwnService::new(&test, "postgresql-18").await?;
        server.up().await?;
        test.put_secret("wrong", json!({"username": "postgres", "password": "wrong"})).await?;
        // More than the default cap, and each holds its slot until it has failed for good.
        for number in 0..10 {
            test.create(&database(&format!("failing-{number}")).host(&server.host()).admin_secret("wrong"))
                .await?;
        }
        test.refused("failing-0", "AuthenticationFailed").await?;
        let host = server.host();
        let other = tokio::spawn(with_namespace("calm", async move |calm| {
            calm.create(&database("orders").host(&host).admin_secret("postgresql-18-admin")).await?;
            calm.until("orders", Duration::from_mins(1), "Ready in spite of the storm", ready).await?;
            calm.delete("orders").await
        }));
        other.await?;
        Ok(())
    })
    .await;
}
