//! The cluster that `make cluster` has brought up, and the programs that a person uses on it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The namespace of the release.
pub const OPERATOR_NAMESPACE: &str = "db-operator";

/// What `.cluster/env.sh` sets: only that cluster is tested, never whatever kubectl points at by chance.
#[derive(Debug)]
struct Environment {
    kubeconfig: PathBuf,
    path: String,
    audit_log: Option<PathBuf>,
}

static ENVIRONMENT: LazyLock<Result<Environment, String>> =
    LazyLock::new(|| read_environment().map_err(|error| format!("{error:#}")));

fn read_environment() -> Result<Environment> {
    let file = checkout().join(".cluster/env.sh");
    ensure!(file.exists(), "no cluster is up ({} does not exist): run `make cluster`", file.display());
    let output = std::process::Command::new("bash")
        .args(["-c", r#"source "$0" && printf '%s\n%s\n%s' "$KUBECONFIG" "$AUDIT_LOG" "$PATH""#])
        .arg(&file)
        .output()
        .context("cannot run bash")?;
    let text = String::from_utf8(output.stdout)?;
    let mut lines = text.lines();
    let (Some(kubeconfig), Some(audit_log), Some(path)) = (lines.next(), lines.next(), lines.next()) else {
        bail!("{} is damaged: run `make cluster`", file.display());
    };
    Ok(Environment {
        kubeconfig: kubeconfig.into(),
        path: path.to_owned(),
        audit_log: Some(audit_log).filter(|path| !path.is_empty()).map(PathBuf::from),
    })
}

fn environment() -> Result<&'static Environment> {
    ENVIRONMENT.as_ref().map_err(anyhow::Error::msg)
}

/// The root of the checkout.
pub(crate) fn checkout() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The API server's audit log; `None` in a cluster that is not ours.
pub fn audit_log() -> Result<Option<PathBuf>> {
    Ok(environment()?.audit_log.clone())
}

/// A client with all rights.
pub async fn client() -> Result<Client> {
    connect(None).await
}

/// A client that acts as `user`, such as `system:serviceaccount:team:default`.
pub async fn client_as(user: &str) -> Result<Client> {
    connect(Some(user)).await
}

/// A client with a token of a service account, as whoever steals it has one, and with nothing else.
pub async fn client_with_token(namespace: &str, account: &str) -> Result<Client> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client().await?, namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
    let answer = answer.with_context(|| format!("no token of {namespace}/{account}"))?;
    let token = answer.status.context("the API server gave no token")?.token;
    let mut config = config().await?;
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    Ok(Client::try_from(config)?)
}

async fn config() -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(&environment()?.kubeconfig)
        .context("cannot read the cluster's kubeconfig: run `make cluster`")?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

async fn connect(user: Option<&str>) -> Result<Client> {
    let mut config = config().await?;
    config.auth_info.impersonate = user.map(str::to_owned);
    let client = Client::try_from(config)?;
    if user.is_none() {
        client.apiserver_version().await.context("no cluster answers: run `make cluster`")?;
    }
    Ok(client)
}

/// Runs kubectl, and returns what it prints.
///
/// # Errors
///
/// With what it says, if it fails.
pub async fn kubectl(arguments: &[&str]) -> Result<String> {
    run("kubectl", arguments, "").await
}

/// [`kubectl`] with a standard input.
pub async fn kubectl_with_input(arguments: &[&str], input: &str) -> Result<String> {
    run("kubectl", arguments, input).await
}

/// Runs helm, and returns what it prints.
pub async fn helm(arguments: &[&str]) -> Result<String> {
    run("helm", arguments, "").await
}

/// [`helm`] with a standard input.
pub async fn helm_with_input(arguments: &[&str], input: &str) -> Result<String> {
    run("helm", arguments, input).await
}

/// Renders a chart with values, which its schema checks.
pub async fn helm_with_values(chart: &str, values: &str) -> Result<()> {
    helm_with_input(&["template", "trial", chart, "--set", "clusterId=trial", "--values", "-"], values)
        .await?;
    Ok(())
}

async fn run(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let environment = environment()?;
    let mut child = Command::new("env")
        .arg(program)
        .args(arguments)
        .env("KUBECONFIG", &environment.kubeconfig)
        .env("PATH", &environment.path)
        .current_dir(checkout())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {program}: run `make cluster`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{program} {}` failed: {}{}",
        arguments.join(" "),
        said,
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(String::from_utf8(output.stdout)?)
}
