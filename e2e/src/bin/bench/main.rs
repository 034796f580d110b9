//! `make bench`: figures, each beside something comparable in the same run.

#![allow(clippy::print_stdout, reason = "a benchmark prints tables")]
#![allow(clippy::disallowed_methods, reason = "it acts as a user, and reads its own arguments and settings")]

mod backups;
mod bare;
mod burst;
mod cgroup;
mod final_backups;
mod lifecycle;
mod logs;
mod memory;
mod pod;
mod rows;
mod scale;
mod seen;
mod sizes;
mod table;
mod workload;

use anyhow::{Result, bail, ensure};
use e2e::{Context, close_namespace, open_namespace};

use self::table::Table;

/// What can be measured, in the order in which it is.
const PARTS: [&str; 5] = ["lifecycle", "backups", "final-backups", "memory", "scale"];

#[tokio::main]
async fn main() -> Result<()> {
    // Another provider in the tree would otherwise make rustls panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for part in &wanted {
        ensure!(PARTS.contains(&part.as_str()), "{part:?} is not a part: parts are {}", PARTS.join(", "));
    }
    let parts =
        PARTS.into_iter().filter(|part| wanted.is_empty() || wanted.iter().any(|wanted| wanted == part));
    for part in parts {
        // It has a control plane of its own, whose processes end with what holds them.
        let table = if part == "scale" {
            unless_interrupted(Box::pin(scale::measure())).await?
        } else {
            let context = open_namespace(&format!("bench_{part}")).await?;
            let table = unless_interrupted(Box::pin(measure(part, &context))).await;
            close_namespace(&context).await?;
            table?
        };
        println!("\n{part}\n{table}");
    }
    Ok(())
}

/// Measures until Ctrl-C, and then cleans up all the same.
async fn unless_interrupted(measuring: impl Future<Output = Result<Table>>) -> Result<Table> {
    tokio::select! {
        table = measuring => table,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            bail!("interrupted")
        }
    }
}

async fn measure(part: &str, context: &Context) -> Result<Table> {
    match part {
        "lifecycle" => lifecycle::measure(context).await,
        "backups" => backups::measure(context).await,
        "final-backups" => final_backups::measure(context).await,
        _ => memory::measure(context).await,
    }
}
