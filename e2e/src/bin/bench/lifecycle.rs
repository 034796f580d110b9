//! What creation and deletion of a Database cost, beside a bare Job with the same image.

use std::time::Duration;

use anyhow::Result;
use e2e::Context;

use crate::table::{Samples, Table};
use crate::workload::Workload;
use crate::{burst, sizes};

/// How often each thing is measured, one after the other.
const ROUNDS: usize = 30;

/// How long the operator is left alone until its memory is that of one that idles, as the kubelet counts it: it looks
/// about every ten seconds.
const REST: Duration = Duration::from_secs(30);

/// Measures both.
pub(crate) async fn measure(context: &Context) -> Result<Table> {
    let mut table = Table::default();
    tokio::time::sleep(REST).await;
    sizes::operator(&context.client, "at first", &mut table).await?;
    let workload = Workload::prepare(context).await?;
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
    let (created_goal, gone_goal) = ("goal 0.2 s or less", "goal 0.5 s, stretch 0.3 s");
    for (what, samples, goal) in
        [("apply to Created", &created, created_goal), ("delete to gone", &gone, gone_goal)]
    {
        let beyond = samples.p50() - start.p50();
        table.figure(&format!("{what}, beyond a container start"), &format!("{beyond:.3} s"), goal);
        let ratio = samples.p50() / complete.p50();
        table.figure(
            &format!("{what}, against a bare Job's completion"),
            &format!("{ratio:.2}"),
            "goal 0.35, stretch 0.25",
        );
    }

    burst::measure(&workload, &mut table).await?;

    for (what, count) in workload.requests_of_a_create().await? {
        table.figure(&what, &format!("{count}"), "");
    }
    tokio::time::sleep(REST).await;
    sizes::operator(&context.client, "at the end", &mut table).await?;
    sizes::images(&context.client, &mut table).await?;
    Ok(table)
}
