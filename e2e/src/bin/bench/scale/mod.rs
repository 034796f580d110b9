//! The operator with very many Databases: memory, start, CPU, latency, fairness, failover. Beside it the same of the
//! commit before this structure, if its binary was built.

mod cage;
mod defaults;
mod etcd;
mod follow;
mod latency;
mod objects;
mod plane;
mod player;
mod process;
mod proxy;
mod replicas;
mod size;
mod waiting;

use anyhow::{Context as _, Result};

use self::cage::Cage;
use self::defaults::Defaults;
use self::plane::Plane;
use self::process::{Binary, Subject};
use crate::table::Table;

/// Measures all of it, and says what it has if it cannot go on.
pub(crate) async fn measure() -> Result<Table> {
    let mut table = Table::default();
    let measured = measure_all(&mut table).await;
    if measured.is_err() {
        println!("\nuntil it failed:\n{table}");
    }
    measured.map(|()| table)
}

async fn measure_all(table: &mut Table) -> Result<()> {
    let path = std::env::var("OPERATOR").context("OPERATOR is not set: run e2e/bench.sh scale")?;
    let defaults = Defaults::of_chart()?;
    let limited = match Cage::make("trial", &defaults) {
        Ok(_) => true,
        Err(error) => {
            println!("==> NO LIMITS: this machine does not hold the operator to the chart's: {error:#}");
            false
        }
    };
    let binary =
        |name, path: String, limited| Binary { name, path: path.into(), defaults: defaults.clone(), limited };
    if let Ok(before) = std::env::var("OPERATOR_BEFORE") {
        // It needs rights that our chart does not give, and our chart lets nobody else create our Jobs. Its own
        // chart's limit is 64 MiB: without it, it shows what it takes.
        println!("==> the operator of 84e8f87, with every right and without limits");
        let measured = measure_before(binary("84e8f87", before, false), table).await;
        if let Err(error) = measured {
            println!("==> the operator of 84e8f87 was not measured to the end: {error:#}");
        }
    }
    println!("==> this operator, with our chart's rights, policies and limits");
    let (in_force, limits) = if limited { ("", defaults.text()) } else { ("NOT ", defaults.text()) };
    table.figure(&format!("ours, {in_force}held to the chart's limits"), &limits, "");
    let plane = Plane::start().await?;
    let token = plane.install_chart().await?;
    let subject = subject(binary("ours", path, limited), &plane, token)?;
    measure_one(&plane, &subject, table).await
}

async fn measure_before(binary: Binary, table: &mut Table) -> Result<()> {
    let plane = Plane::start().await?;
    let subject = subject(binary, &plane, Plane::ADMIN_TOKEN.to_owned())?;
    measure_one(&plane, &subject, table).await
}

fn subject(binary: Binary, plane: &Plane, token: String) -> Result<Subject> {
    let kubeconfig = plane.kubeconfig(binary.name, &token, plane.port)?;
    Ok(Subject { binary, kubeconfig, token })
}

async fn measure_one(plane: &Plane, subject: &Subject, table: &mut Table) -> Result<()> {
    plane.register_driver().await?;
    size::measure(plane, subject, 10_000, table).await?;
    latency::measure(plane, subject, 10_000, table).await?;
    waiting::measure(plane, subject, table).await?;
    replicas::measure(plane, subject, table).await?;
    size::measure(plane, subject, 100_000, table).await?;
    Ok(())
}
