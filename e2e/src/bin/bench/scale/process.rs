//! An operator as a process: a release's binary, with the operator's own token.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::process::{Child, Command};

use super::cage::Cage;
use super::defaults::Defaults;
use super::plane::{OPERATOR_NAMESPACE, Plane, free_port};

/// How long it may take until it is ready.
const PATIENCE: Duration = Duration::from_mins(10);

/// Enters control groups, the files of which come before `--`, and becomes the program that comes after.
const ENTER: &str = r#"while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift; exec "$@""#;

/// A binary to measure.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) defaults: Defaults,
    /// Whether the limits of these defaults are in force.
    pub(crate) limited: bool,
}

/// Who is measured, and with which rights.
pub(crate) struct Subject {
    pub(crate) binary: Binary,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) token: String,
}

/// An operator that runs.
pub(crate) struct Operator {
    child: Child,
    /// After the process, for it goes in this order.
    cage: Option<Cage>,
    port: u16,
    started: Instant,
}

impl Operator {
    /// Starts it as the pod `name`.
    pub(crate) fn start(binary: &Binary, plane: &Plane, kubeconfig: &Path, name: &str) -> Result<Self> {
        let port = free_port()?;
        let cage = binary.limited.then(|| Cage::make(name, &binary.defaults)).transpose()?;
        let child = Command::new("sh")
            .args(["-c", ENTER, "sh"])
            .args(cage.iter().flat_map(Cage::doors))
            .arg("--")
            .arg(&binary.path)
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAMESPACE", OPERATOR_NAMESPACE)
            .env("POD_NAME", name)
            .env("CLUSTER_ID", "scale")
            // That of the chart as it is rendered.
            .env("RELEASE_IMAGE", "ghcr.io/isotoma/db-operator")
            .env("RESYNC_INTERVAL", &binary.defaults.resync)
            .env("LISTEN", format!("127.0.0.1:{port}"))
            .stdout(plane.log(name)?)
            .stderr(plane.log(name)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", binary.path.display()))?;
        Ok(Self { child, cage, port, started: Instant::now() })
    }

    /// Waits until it is ready. Answers how long that took.
    pub(crate) async fn ready(&mut self) -> Result<f64> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                let too_small = self.cage.as_ref().is_some_and(Cage::was_too_small);
                let why = if too_small { ", for it passed the chart's memory limit" } else { "" };
                bail!("the operator has ended: {status}{why}");
            }
            if self.get("/readyz").await.is_some() {
                return Ok(self.started.elapsed().as_secs_f64());
            }
            ensure!(self.started.elapsed() < PATIENCE, "the operator is not ready after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it holds the Lease.
    pub(crate) async fn leads(&self) -> bool {
        // Not anywhere in the text: what the metric is about begins with the same words.
        self.get("/metrics").await.is_some_and(|text| text.lines().any(|line| line == "db_operator_leader 1"))
    }

    /// Resident memory now, and the most that it ever was, in MiB.
    pub(crate) fn memory(&self) -> Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let of = |field: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
            let kibibytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
            Ok(kibibytes / 1024.0)
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }

    /// CPU time so far, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()?))?;
        let after_name = stat.rsplit_once(')').context("no such process")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // utime and stime, in hundredths of a second.
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
        Ok((ticks(11).context("no utime")? + ticks(12).context("no stime")?) / 100.0)
    }

    /// Its share of a core over that time, in percent.
    pub(crate) async fn share_of_a_core(&self, over: Duration) -> Result<f64> {
        let before = self.cpu()?;
        tokio::time::sleep(over).await;
        Ok((self.cpu()? - before) / over.as_secs_f64() * 100.0)
    }

    /// Ends it: at once, as a crash does, or as Kubernetes asks.
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        let id = self.id()?.to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &id]).status()?;
        ensure!(sent.success(), "cannot signal the operator");
        Ok(())
    }

    /// Ends it, and waits for its end.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.signal("TERM")?;
        self.child.wait().await?;
        Ok(())
    }

    fn id(&self) -> Result<u32> {
        self.child.id().context("the operator has ended")
    }

    async fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}", self.port);
        let client = kube::Client::try_from(kube::Config::new(url.parse().ok()?)).ok()?;
        let request = http::Request::get(path).body(Vec::new()).ok()?;
        tokio::time::timeout(Duration::from_secs(10), client.request_text(request)).await.ok()?.ok()
    }
}
