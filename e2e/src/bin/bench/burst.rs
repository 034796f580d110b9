//! Many Databases at once, beside as many bare Jobs: both counted from a common start to the start of each container, and
//! to Created and Complete.

use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;

use crate::table::{Samples, Table};
use crate::workload::Workload;

/// How many are made at once.
const COUNTS: [usize; 2] = [40, 200];

/// What each of them took, in seconds from the common start.
#[derive(Debug, Default)]
struct Burst {
    /// To the start of its container.
    started: Samples,
    /// To Created, or to Complete.
    ended: Samples,
}

/// The common start, by the clock of watches and by that of logs.
struct Begin {
    instant: Instant,
    wall: Timestamp,
}

impl Begin {
    fn now() -> Self {
        Self { instant: Instant::now(), wall: Timestamp::now() }
    }

    async fn burst(
        &self,
        workload: &Workload,
        label: &str,
        of: &[String],
        ends: &[Instant],
    ) -> Result<Burst> {
        let mut burst = Burst::default();
        for start in workload.container_starts(label, of).await? {
            burst.started.add(start.duration_since(self.wall).as_secs_f64());
        }
        for end in ends {
            burst.ended.add((*end - self.instant).as_secs_f64());
        }
        Ok(burst)
    }
}

/// Measures each count.
pub(crate) async fn measure(workload: &Workload, table: &mut Table) -> Result<()> {
    println!(
        "==> many at once. Bare Jobs are created all at once first: what of their pods has no room on the node waits for the
    scheduler. The operator launches by its caps (--max-jobs, --max-jobs-per-server; all here are in one namespace and on
    one server), so bare Jobs are created a second time, as many at a time as the operator had Jobs that were not Complete."
    );
    table.figure("room on the node", &workload.room().await?, "");
    for count in COUNTS {
        println!("==> {count} at once: bare Jobs, then Databases, then bare Jobs by the operator's caps");
        let bare = bare_jobs(workload, &format!("burst-{count}"), count, count).await?;
        let (databases, most) = databases(workload, count).await?;
        let paced = bare_jobs(workload, &format!("paced-{count}"), count, most).await?;
        let by_caps = format!("{count} bare Jobs, {most} at a time");
        table.row(&format!("{count} bare Jobs: container start"), &bare.started, "");
        table.row(&format!("{count} bare Jobs: Complete"), &bare.ended, "");
        table.row(&format!("{by_caps}: container start"), &paced.started, "");
        table.row(&format!("{by_caps}: Complete"), &paced.ended, "");
        table.row(&format!("{count} Databases: container start"), &databases.started, "");
        table.row(&format!("{count} Databases: Created"), &databases.ended, "");
        for (beside, name) in [(&bare, format!("{count} bare Jobs")), (&paced, by_caps)] {
            let ratio = databases.started.against(&beside.started);
            table.figure(&format!("Databases against {name}: start"), &ratio, "");
            let ratio = databases.ended.against(&beside.ended);
            table.figure(&format!("Databases against {name}: end"), &ratio, "");
        }
        table.figure(
            &format!("{count}: rate of Databases against bare Jobs"),
            &format!(
                "{:.2} ({:.2} /s, {:.2} /s)",
                bare.ended.max() / databases.ended.max(),
                rate(count, &databases),
                rate(count, &bare)
            ),
            "goal 0.9 or more",
        );
    }
    Ok(())
}

/// Bare Jobs, created as soon as fewer than `most` are there that are not Complete.
async fn bare_jobs(workload: &Workload, prefix: &str, count: usize, most: usize) -> Result<Burst> {
    let names: Vec<_> = (0..count).map(|index| format!("{prefix}-{index}")).collect();
    let begin = Begin::now();
    let one = |name: &String| {
        let name = name.clone();
        async move {
            workload.post_job(&name).await?;
            workload.complete(&name).await
        }
    };
    let ends: Vec<Instant> =
        futures::stream::iter(&names).map(one).buffer_unordered(most.max(1)).try_collect().await?;
    let burst = begin.burst(workload, "batch.kubernetes.io/job-name", &names, &ends).await?;
    workload.remove_jobs().await?;
    Ok(burst)
}

/// Databases, and how many of their Jobs were there at most that were not Complete.
async fn databases(workload: &Workload, count: usize) -> Result<(Burst, usize)> {
    let names: Vec<_> = (0..count).map(|index| format!("burst-{count}-{index}")).collect();
    let begin = Begin::now();
    let uids = try_join_all(names.iter().map(|name| workload.post_database(name))).await?;
    let ends = try_join_all(names.iter().map(|name| workload.created(name))).await?;
    let most = workload.most_jobs(begin.instant);
    let burst = begin.burst(workload, api::UID_LABEL, &uids, &ends).await?;
    try_join_all(names.iter().map(|name| workload.delete(name)))
        .await
        .with_context(|| format!("while {count} Databases were deleted"))?;
    workload.remove_jobs().await?;
    Ok((burst, most))
}

#[expect(clippy::cast_precision_loss, reason = "hundreds are exact")]
fn rate(count: usize, burst: &Burst) -> f64 {
    count as f64 / burst.ended.max()
}
