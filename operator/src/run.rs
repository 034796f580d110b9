//! The operator from start to end: see everything, act while the Lease is held, stop.

use std::sync::Arc;
use std::time::Duration;

use http::header::DATE;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::fmt::rfc2822;
use kube::client::Body;
use kube::{Client, Config as ClientConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::controller::{Controller, Parts};
use crate::error::{StartError, chain};
use crate::kind::Kind;
use crate::lease::{self, Held};
use crate::plan::Terms;
use crate::resync::Resync;
use crate::seen::watch::{Source, watch as follow};
use crate::server::{self, Health};
use crate::voice::Voice;

/// How long a connection to the API server may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the first answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The wait before the API server is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Changes that wait to be taken: then the watches wait, too. Few, for what is told waits behind what is listed.
const CHANGES: usize = 64;

/// The namespace whose uid identifies a cluster.
const OF_THE_CLUSTER: &str = "/api/v1/namespaces/kube-system";

/// What is watched.
const SOURCES: [Source; 6] = [
    Source { kind: Kind::Database, path: "/apis/db.isotoma.com/v1alpha1/databases", query: "" },
    Source { kind: Kind::Backup, path: "/apis/db.isotoma.com/v1alpha1/backups", query: "" },
    Source { kind: Kind::Restore, path: "/apis/db.isotoma.com/v1alpha1/restores", query: "" },
    Source { kind: Kind::Driver, path: "/apis/db.isotoma.com/v1alpha1/drivers", query: "" },
    Source {
        kind: Kind::Job,
        path: "/apis/batch/v1/jobs",
        query: "labelSelector=app.kubernetes.io%2Fmanaged-by%3Ddb-operator",
    },
    Source { kind: Kind::Namespace, path: "/api/v1/namespaces", query: "" },
];

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), StartError> {
    let stop = on_signal()?;
    let health = Arc::new(Health::default());
    let listener = server::listen(config.listen).await?;
    tokio::spawn(server::serve(listener, Arc::clone(&health)));

    let mut client_config =
        ClientConfig::infer().await.map_err(|error| StartError::Client(Box::new(error)))?;
    client_config.connect_timeout = Some(CONNECT_TIMEOUT);
    let client = Client::try_from(client_config).map_err(|error| StartError::Client(Box::new(error)))?;
    operate(client, config, health, stop).await;
    info!("stopped");
    Ok(())
}

/// Works with that API server until `stop` is true.
pub async fn operate(client: Client, config: Config, health: Arc<Health>, stop: watch::Receiver<bool>) {
    info!(
        version = env!("CARGO_PKG_VERSION"),
        namespace = config.namespace,
        pod = config.pod_name,
        "starting"
    );
    let (cluster, time) = tokio::select! {
        first = first_answer(&client) => first,
        () = stopped(stop.clone()) => return,
    };
    let resync = config.resync_interval.0.map(|interval| Resync { interval, since: time });
    let parts = Parts {
        settings: config.job_settings(config.cluster_id.clone().unwrap_or(cluster)),
        limits: config.limits(),
        terms: Terms {
            operator_namespace: config.namespace.as_str().into(),
            tenant_chart: config.tenant_chart(),
            resync,
        },
        clock: Clock::set_to(time),
        voice: Voice::new(client.clone(), &config.pod_name),
        health: Arc::clone(&health),
    };
    let (tell, changes) = mpsc::channel(CHANGES);
    for source in SOURCES {
        let (client, tell, pulse) = (client.clone(), tell.clone(), Arc::clone(&health.pulse));
        let alive = pulse.alive(source.kind);
        tokio::spawn(async move {
            let _alive = alive;
            follow(client, source, tell, pulse).await;
        });
    }
    drop(tell);

    let (say, held) = watch::channel(Held::default());
    let (acted, end_lease) = oneshot::channel::<()>();
    let lease = tokio::spawn({
        let (client, config) = (client.clone(), config.clone());
        async move {
            let end = async { drop(end_lease.await) };
            lease::hold(client, &config.namespace, &config.pod_name, say, end).await;
        }
    });
    Controller::new(client, parts).run(changes, held, stopped(stop)).await;
    // Only now, so that no other replica acts while our last launches end.
    drop(acted);
    if lease.await.is_err() {
        warn!("the Lease was not given back: it expires");
    }
}

/// What identifies the cluster, and the API server's time. Asks until it is answered.
async fn first_answer(client: &Client) -> (String, Timestamp) {
    let mut is_first = true;
    loop {
        match timeout(PATIENCE, ask(client)).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(error)) if is_first => {
                warn!(error = chain(&*error), "the API server does not answer; asking again");
            }
            Err(_) if is_first => warn!("the API server does not answer in time; asking again"),
            Ok(Err(_)) | Err(_) => {}
        }
        is_first = false;
        sleep(RETRY).await;
    }
}

async fn ask(client: &Client) -> Result<(String, Timestamp), Box<dyn std::error::Error + Send + Sync>> {
    let response = client.send(http::Request::get(OF_THE_CLUSTER).body(Body::empty())?).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    if !status.is_success() {
        return Err(format!("it answers {status} to GET {OF_THE_CLUSTER}").into());
    }
    let body = response.into_body().collect_bytes().await?;
    let namespace: Namespace = serde_json::from_slice(&body)?;
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let time = date.and_then(|date| rfc2822::parse(&date.replace("GMT", "+0000")).ok());
    let time = time.map_or_else(Timestamp::now, |time| time.timestamp());
    let uid = namespace.metadata.uid.ok_or("namespace kube-system has no uid")?;
    Ok((uid, time))
}

/// Becomes true at SIGTERM or SIGINT.
fn on_signal() -> Result<watch::Receiver<bool>, StartError> {
    let (send, receive) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping: the running launches end, then the Lease is given back");
        send.send_replace(true);
        std::future::pending::<()>().await;
    });
    Ok(receive)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // The sender lives as long as the process.
    let _ = stop.wait_for(|stopping| *stopping).await;
}
