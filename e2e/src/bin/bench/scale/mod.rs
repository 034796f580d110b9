//! The operator with very many Databases: memory, start, CPU, latency, fairness, failover. Beside it the same of the
//! commit before this structure, if its binary was built.

mod latency;
mod objects;
mod plane;
mod player;
mod process;
mod proxy;
mod replicas;
mod size;
mod waiting;

use std::path::Path;

use anyhow::{Context as _, Result};

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
    if let Ok(before) = std::env::var("OPERATOR_BEFORE") {
        // It needs rights that our chart does not give, and our chart lets nobody else create our Jobs.
        println!("==> the operator of 84e8f87, with every right");
        let plane = Plane::start().await?;
        let subject = subject("84e8f87", Path::new(&before), &plane, Plane::ADMIN_TOKEN.to_owned())?;
        measure_one(&plane, &subject, table).await?;
    }
    println!("==> this operator, with our chart's rights and policies");
    let plane = Plane::start().await?;
    let token = plane.install_chart().await?;
    let subject = subject("ours", Path::new(&path), &plane, token)?;
    measure_one(&plane, &subject, table).await
}

fn subject(name: &'static str, path: &Path, plane: &Plane, token: String) -> Result<Subject> {
    let kubeconfig = plane.kubeconfig(name, &token, plane.port)?;
    Ok(Subject { binary: Binary { name, path: path.to_owned() }, kubeconfig, token })
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
