//! The server's pod as a place where other tools run: beside the server, with its own client programs.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use e2e::{Context, POSTGRESQL_17};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use tokio::process::Command;

use crate::cgroup::cost;

/// What a script took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// Seconds from its begin to its end, seen in the pod.
    pub(crate) wall: f64,
    /// Seconds of CPU of the pod, which are its own and the server's.
    pub(crate) cpu: f64,
}

/// The pod.
pub(crate) struct ServerPod {
    name: String,
    uid: String,
    /// The uid of the object store's pod.
    store: String,
    environment: String,
}

impl ServerPod {
    /// Finds it, and brings the programs there that it lacks. `endpoint` and its login go to every script.
    pub(crate) async fn prepare(context: &Context, endpoint: &str) -> Result<Self> {
        let (name, uid) = pod(context, POSTGRESQL_17.name).await?;
        let (_, store) = pod(context, "s3").await?;
        let admin = POSTGRESQL_17.admin_login(&context.client).await?;
        let key = context.secret("bucket").await?;
        let of = |map: &BTreeMap<String, String>, key: &str| map.get(key).cloned().unwrap_or_default();
        let environment = format!(
            "set -euo pipefail; export PGHOST=localhost PGUSER={} PGPASSWORD={} AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} AWS_REGION=eu-west-1 S3_ENDPOINT_URL={endpoint} PATH=$PATH:/tmp; cd /data; ",
            of(&admin, "username"),
            of(&admin, "password"),
            of(&key, "id"),
            of(&key, "key"),
        );
        let pod = Self { name, uid, store, environment };
        for program in ["s5cmd", "zstd"] {
            let file = which(program).await?;
            let bring = format!("cat > /tmp/{program}; chmod +x /tmp/{program}");
            pod.exec(&bring, Some(&file)).await?;
        }
        Ok(pod)
    }

    /// Runs a script there; answers what it took and printed.
    pub(crate) async fn run(&self, script: &str) -> Result<(Took, String)> {
        let before = cost(&self.uid).cpu;
        let output =
            self.exec(&format!("{}TIMEFORMAT=%R; time {{ {script}; }}", self.environment), None).await?;
        let cpu = cost(&self.uid).cpu - before;
        // bash says the time on standard error, after all that the script says there.
        let said = String::from_utf8_lossy(&output.stderr);
        let wall = said.lines().last().unwrap_or_default().parse();
        let wall = wall.with_context(|| format!("{script}: no time in {said:?}"))?;
        Ok((Took { wall, cpu }, String::from_utf8(output.stdout)?.trim_end().to_owned()))
    }

    /// CPU seconds of server and store so far.
    pub(crate) fn cpu(&self) -> f64 {
        cost(&self.uid).cpu + cost(&self.store).cpu
    }

    async fn exec(&self, script: &str, input: Option<&str>) -> Result<Output> {
        let mut command = Command::new("kubectl");
        command.args(["exec", "--namespace", "servers", "--stdin", &self.name, "--", "bash", "-c", script]);
        match input {
            Some(file) => command.stdin(std::fs::File::open(file)?),
            None => command.stdin(Stdio::null()),
        };
        let output = command.output().await.context("kubectl is not on the PATH: source .cluster/env.sh")?;
        ensure!(output.status.success(), "in the server's pod: {}", String::from_utf8_lossy(&output.stderr));
        Ok(output)
    }
}

async fn pod(context: &Context, server: &str) -> Result<(String, String)> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), "servers");
    let found = pods.list(&ListParams::default().labels(&format!("server={server}"))).await?;
    let pod = found.items.into_iter().next().with_context(|| format!("{server} is not up"))?;
    Ok((pod.metadata.name.unwrap_or_default(), pod.metadata.uid.unwrap_or_default()))
}

async fn which(program: &str) -> Result<String> {
    let output = Command::new("which").arg(program).output().await?;
    ensure!(output.status.success(), "{program} is not on the PATH: run e2e/bench.sh");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Seconds since then.
pub(crate) fn since(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64()
}
