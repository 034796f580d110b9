//! What creation and deletion of a Database cost, beside a bare Job with the same image.

use anyhow::Result;
use e2e::Context;

use crate::table::{Samples, Table};
use crate::workload::Workload;

/// How often each thing is measured, one after the other.
const ROUNDS: usize = 30;

/// How many are made at once.
const BURST: usize = 40;

/// Measures both.
pub(crate) async fn measure(context: &Context) -> Result<Table> {
    let workload = Workload::prepare(context).await?;
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
    Ok(table)
}

#[expect(clippy::cast_precision_loss, reason = "40 is exact")]
fn rate(seconds: f64) -> f64 {
    BURST as f64 / seconds
}
