//! `make bench`: what a Database costs, beside a bare Job with the same image in the same run.

#![allow(clippy::print_stdout, reason = "a benchmark prints a table")]
#![allow(clippy::disallowed_methods, reason = "it acts as a user, and reads its own settings")]

mod logs;
mod seen;
mod table;
mod workload;

use anyhow::{Context, Result};
use kube::Client;

use self::table::{Samples, Table};
use self::workload::Workload;

/// How often each thing is measured, one after the other.
const ROUNDS: usize = 30;

/// How many are made at once.
const BURST: usize = 40;

#[tokio::main]
async fn main() -> Result<()> {
    // Another provider in the tree would otherwise make rustls panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_default().await.context("no cluster: run `make cluster` first")?;
    let workload = Workload::prepare(client.clone()).await?;
    let mut table = Table::default();

    println!("==> {ROUNDS} rounds, interleaved: a bare Job, a Database, its deletion");
    let (mut start, mut complete, mut created, mut gone) =
        (Samples::default(), Samples::default(), Samples::default(), Samples::default());
    let mut first_sql = Samples::default();
    for round in 0..ROUNDS {
        let job = workload.bare_job(&format!("bare-{round}")).await?;
        start.add(job.start);
        complete.add(job.complete);
        let name = format!("round-{round}");
        let database = workload.create(&name).await?;
        created.add(database.created);
        first_sql.extend(database.first_sql);
        gone.add(workload.delete(&name).await?);
    }
    table.row("bare Job: container start", &start, "");
    table.row("bare Job: reported complete", &complete, "");
    table.row("Database: apply to Created", &created, "");
    table.row("Database: delete to gone", &gone, "");
    table.row("driver: container start to first statement", &first_sql, "goal 50 ms");
    for (what, samples) in [("apply to Created", &created), ("delete to gone", &gone)] {
        let beyond = samples.p50() - start.p50();
        table.figure(
            &format!("{what}, beyond a container start"),
            &format!("{beyond:.3} s"),
            "goal 0.5 s, stretch 0.3 s",
        );
        let ratio = samples.p50() / complete.p50();
        table.figure(
            &format!("{what}, against a bare Job's completion"),
            &format!("{ratio:.2}"),
            "goal 0.35, stretch 0.25",
        );
    }

    println!("==> {BURST} at once: bare Jobs, then Databases");
    let jobs = workload.burst_of_jobs(BURST).await?;
    let databases = workload.burst_of_databases(BURST).await?;
    table.figure("bare Jobs at once", &format!("{:.2} /s", rate(jobs)), "");
    table.figure("Databases at once", &format!("{:.2} /s", rate(databases)), "");
    table.figure(
        "rate of Databases against bare Jobs",
        &format!("{:.2}", jobs / databases),
        "goal 0.9 or more",
    );

    for (what, count) in workload.requests_of_a_create().await? {
        table.figure(&what, &format!("{count}"), "");
    }
    for (what, value, goal) in workload.sizes().await? {
        table.figure(&what, &value, goal);
    }
    workload.clean_up().await?;
    println!("\n{table}");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "40 is exact")]
fn rate(seconds: f64) -> f64 {
    BURST as f64 / seconds
}
