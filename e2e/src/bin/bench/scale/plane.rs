//! A control plane of its own: a real etcd and a real API server, and nobody who makes pods. So a hundred thousand
//! Databases disturb nothing else, and what is measured is the operator.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::etcd::Etcd;

/// The namespace of the operator.
pub(crate) const OPERATOR_NAMESPACE: &str = "db-operator";

/// The namespaces of Databases.
pub(crate) const NAMESPACES: usize = 20;

/// How long a part may take to come up.
const PATIENCE: Duration = Duration::from_mins(1);

/// The control plane. It ends with this value.
pub(crate) struct Plane {
    /// A client with all rights.
    pub(crate) client: Client,
    /// Where the API server listens on loopback.
    pub(crate) port: u16,
    /// Where its objects are.
    pub(crate) etcd: Etcd,
    folder: PathBuf,
    _processes: Vec<Child>,
}

/// The name of the namespace with that number.
pub(crate) fn namespace(number: usize) -> String {
    format!("scale-{}", number % NAMESPACES)
}

impl Plane {
    /// Starts it, with our kinds and the namespaces.
    pub(crate) async fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("db-operator-scale-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let (etcd_port, peer_port, port) = (free_port()?, free_port()?, free_port()?);
        let etcd_address = format!("http://127.0.0.1:{etcd_port}");
        let peer_address = format!("http://127.0.0.1:{peer_port}");
        let program = |variable: &str| {
            std::env::var(variable).with_context(|| format!("{variable} is not set: run e2e/bench.sh scale"))
        };
        let key = folder.join("accounts.key");
        let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output().await?;
        ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(folder.join("tokens.csv"), "admin,admin,admin,system:masters\n")?;

        let etcd = Command::new(program("ETCD")?)
            .args(["--name", "scale", "--unsafe-no-fsync", "--log-level", "error"])
            // The default holds 2 GB, which the versions of a hundred thousand Databases may pass.
            .args(["--quota-backend-bytes", "8000000000", "--data-dir"])
            .arg(folder.join("etcd"))
            .args(["--listen-client-urls", &etcd_address, "--advertise-client-urls", &etcd_address])
            .args(["--listen-peer-urls", &peer_address, "--initial-advertise-peer-urls", &peer_address])
            .args(["--initial-cluster", &format!("scale={peer_address}")])
            .stdout(log(&folder, "etcd")?)
            .stderr(log(&folder, "etcd")?)
            .kill_on_drop(true)
            .spawn()
            .context("cannot run etcd")?;
        let api_server = Command::new(program("KUBE_APISERVER")?)
            .args(["--etcd-servers", &etcd_address, "--bind-address", "127.0.0.1"])
            .args(["--secure-port", &port.to_string(), "--authorization-mode", "RBAC"])
            .args(["--service-cluster-ip-range", "10.99.0.0/16"])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .arg("--cert-dir")
            .arg(folder.join("certificates"))
            .arg("--token-auth-file")
            .arg(folder.join("tokens.csv"))
            .arg("--service-account-key-file")
            .arg(&key)
            .arg("--service-account-signing-key-file")
            .arg(&key)
            .stdout(log(&folder, "kube-apiserver")?)
            .stderr(log(&folder, "kube-apiserver")?)
            .kill_on_drop(true)
            .spawn()
            .context("cannot run kube-apiserver")?;
        let authority = folder.join("certificates/apiserver.crt");
        wait_for("the API server's certificate", || authority.exists()).await?;
        let client = connect(&folder, port).await?;
        let plane =
            Self { client, port, folder, etcd: Etcd::at(&etcd_address)?, _processes: vec![etcd, api_server] };
        plane.prepare().await?;
        Ok(plane)
    }

    /// A kubeconfig for whoever has that token, through a port on loopback.
    pub(crate) fn kubeconfig(&self, who: &str, token: &str, port: u16) -> Result<PathBuf> {
        let file = self.folder.join(format!("{who}-{port}.kubeconfig"));
        std::fs::write(&file, kubeconfig(&self.folder, token, port))?;
        Ok(file)
    }

    /// The token of the account that has every right.
    pub(crate) const ADMIN_TOKEN: &'static str = "admin";

    /// Where logs are.
    pub(crate) fn log(&self, name: &str) -> Result<Stdio> {
        log(&self.folder, name)
    }

    /// Installs our chart as a release ships it, and answers the operator's token. Its Deployment stays an object.
    pub(crate) async fn install_chart(&self) -> Result<String> {
        let tenants: Vec<_> = (0..NAMESPACES).map(namespace).collect();
        let tenants = format!("tenantNamespaces={{{}}}", tenants.join(","));
        let rendered = self
            .run(
                "helm",
                &[
                    "template",
                    "--skip-tests",
                    "db-operator",
                    "charts/db-operator",
                    "--include-crds",
                    "--namespace",
                    OPERATOR_NAMESPACE,
                    "--kube-version",
                    "1.36.0",
                    "--set",
                    "clusterId=scale",
                    "--set",
                    &tenants,
                ],
                "",
            )
            .await?;
        self.run("kubectl", &["apply", "--server-side", "--force-conflicts", "-f", "-"], &rendered).await?;
        let token = ["create", "token", "db-operator", "-n", OPERATOR_NAMESPACE, "--duration=8h"];
        Ok(self.run("kubectl", &token, "").await?.trim().to_owned())
    }

    /// Registers the Driver that the Databases name, if the chart has not.
    pub(crate) async fn register_driver(&self) -> Result<()> {
        if self.run("kubectl", &["get", "drivers.db.isotoma.com", "postgresql"], "").await.is_ok() {
            return Ok(());
        }
        let driver = json!({"apiVersion": "db.isotoma.com/v1alpha1", "kind": "Driver",
            "metadata": {"name": "postgresql"}, "spec": {"image": "registry.example/postgresql:1"}});
        self.run("kubectl", &["apply", "-f", "-"], &driver.to_string()).await?;
        Ok(())
    }

    /// Waits until the API server shows that many Databases, as one that watches sees them.
    pub(crate) async fn settled(&self, count: usize) -> Result<()> {
        let begun = Instant::now();
        let path = "/apis/db.isotoma.com/v1alpha1/databases?limit=1&resourceVersion=0";
        let mut seen = None;
        while seen != Some(count) {
            ensure!(begun.elapsed() < PATIENCE * 10, "the API server shows {seen:?} of {count} Databases");
            tokio::time::sleep(Duration::from_millis(500)).await;
            // It may be too busy with what was just written to answer.
            let list: kube::Result<Value> =
                self.client.request(http::Request::get(path).body(Vec::new())?).await;
            seen = list.ok().and_then(|list| {
                let rest = list.pointer("/metadata/remainingItemCount").and_then(Value::as_u64);
                let items = list.pointer("/items").and_then(Value::as_array).map_or(0, Vec::len);
                Some(usize::try_from(rest.unwrap_or_default()).ok()? + items)
            });
        }
        Ok(())
    }

    /// Waits until the API server shows everybody the last change that was made before this.
    pub(crate) async fn has_caught_up(&self) -> Result<()> {
        let version = |cached: &'static str| async move {
            let path = format!("/apis/db.isotoma.com/v1alpha1/databases?limit=1{cached}");
            let list: Value = self.client.request(http::Request::get(path).body(Vec::new())?).await?;
            let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str);
            Ok::<u64, anyhow::Error>(version.context("a list without a version")?.parse()?)
        };
        let (begun, last) = (Instant::now(), version("").await?);
        while version("&resourceVersion=0").await? < last {
            ensure!(
                begun.elapsed() < PATIENCE,
                "the API server does not show version {last} after {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// How many lists of Databases, or pages of them, the API server has answered so far.
    pub(crate) async fn lists(&self) -> Result<f64> {
        let metrics = self.client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
        let of_databases = |line: &&str| {
            line.starts_with("apiserver_request_total{")
                && [r#"resource="databases""#, r#"verb="LIST""#].iter().all(|label| line.contains(label))
        };
        metrics
            .lines()
            .filter(of_databases)
            .map(|line| {
                line.rsplit(' ')
                    .next()
                    .unwrap_or_default()
                    .parse::<f64>()
                    .context("a metric without a number")
            })
            .sum()
    }

    async fn prepare(&self) -> Result<()> {
        let begun = Instant::now();
        while self.client.apiserver_version().await.is_err()
            || self.run("kubectl", &["get", "namespaces"], "").await.is_err()
        {
            ensure!(
                begun.elapsed() < PATIENCE,
                "the API server does not answer: see {}",
                self.folder.display()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let crds = "charts/db-operator/charts/crds/crds";
        self.run("kubectl", &["apply", "--server-side", "-f", crds], "").await?;
        let names = (0..NAMESPACES).map(namespace).chain([OPERATOR_NAMESPACE.to_owned()]);
        let namespaces: Vec<_> = names
            .map(|name| {
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string()
            })
            .collect();
        self.run("kubectl", &["apply", "-f", "-"], &namespaces.join("\n---\n")).await?;
        self.run("kubectl", &["wait", "--for=condition=Established", "crd", "--all"], "").await?;
        Ok(())
    }

    async fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        use tokio::io::AsyncWriteExt;
        let kubeconfig = self.kubeconfig("admin", Self::ADMIN_TOKEN, self.port)?;
        let mut child = Command::new(program)
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {program}: run e2e/bench.sh"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        ensure!(
            output.status.success(),
            "{program} {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // What is left there is of no use to anybody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn log(folder: &Path, name: &str) -> Result<Stdio> {
    let file =
        std::fs::OpenOptions::new().create(true).append(true).open(folder.join(format!("{name}.log")))?;
    Ok(file.into())
}

fn kubeconfig(folder: &Path, token: &str, port: u16) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "scale",
        "clusters": [{"name": "scale", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": folder.join("certificates/apiserver.crt"),
        }}],
        "users": [{"name": "scale", "user": {"token": token}}],
        "contexts": [{"name": "scale", "context": {"cluster": "scale", "user": "scale"}}],
    })
    .to_string()
}

async fn connect(folder: &Path, port: u16) -> Result<Client> {
    let config: Kubeconfig = serde_json::from_str(&kubeconfig(folder, Plane::ADMIN_TOKEN, port))?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

async fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_there() {
        if begun.elapsed() > PATIENCE {
            bail!("{what} did not come within {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
