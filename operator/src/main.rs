//! The operator's program: flags, logs, run.

use anyhow::Context;
use clap::Parser;
use db_operator::config::{Config, LogFormat};
use db_operator::probe::Probe;
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    // Before anything that speaks TLS: another provider in the tree would otherwise make rustls panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    if let Some(probe) = Probe::asked_for() {
        return runtime.block_on(probe.ask()).map_err(anyhow::Error::msg);
    }
    let config = Config::parse();
    // The client says each failure as an error of its own, and without what it was about. We say it.
    let filter = format!("kube_client::client::builder=off,{}", config.log_level);
    let filter = EnvFilter::try_new(filter).context("--log-level is not a level or filter")?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match config.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_ansi(false).init(),
    }
    runtime.block_on(db_operator::run::run(config))?;
    Ok(())
}
