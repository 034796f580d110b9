//! The final backup while 20 applications write, again and again; and what it costs where there is nothing.

use std::time::Instant;

use anyhow::{Context as _, Result};
use api::Backup;
use e2e::{Bucket, Context, DatabaseFixture, Writers, database};
use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use crate::pod::since;
use crate::table::{Samples, Table};

/// How often a Database with writers is deleted.
const RUNS: usize = 50;

/// How many of these at the same time.
const AT_ONCE: usize = 2;

/// How many write.
const WRITERS: i32 = 20;

/// How often an empty Database is deleted.
const EMPTY: usize = 20;

/// Measures both.
pub(crate) async fn measure(context: &Context) -> Result<Table> {
    let mut table = Table::default();
    let bucket = Bucket::make(context).await?;
    println!("==> {EMPTY} times: an empty Database with BackupThenDelete, and one with Delete");
    let (mut with, mut without) = (Samples::default(), Samples::default());
    for round in 0..EMPTY {
        let name = format!("empty-{round}");
        context.create_ready(&database(&name).backup_to(&bucket)).await?;
        with.add(deletion(context, &name).await?);
        let name = format!("plain-{round}");
        context.create_ready(&database(&name)).await?;
        without.add(deletion(context, &name).await?);
    }
    table.row("BackupThenDelete, empty: delete to gone", &with, "");
    table.row("Delete, empty: delete to gone", &without, "");
    table.figure("the first against the second", &format!("{:.2} x", with.p50() / without.p50()), "");

    println!(
        "==> {RUNS} times: {WRITERS} writers, a deletion, a restore, and every acknowledged commit looked for"
    );
    let runs = futures::stream::iter(0..RUNS).map(|run| survives(context, &bucket, format!("run-{run}")));
    let commits: Vec<i64> = runs.buffer_unordered(AT_ONCE).try_collect().await?;
    table.figure(
        "final backups under 20 writers: acknowledged commits missing",
        &format!("0 of {} in {} runs", commits.iter().sum::<i64>(), commits.len()),
        "goal 0",
    );
    Ok(table)
}

async fn deletion(context: &Context, name: &str) -> Result<f64> {
    let begin = Instant::now();
    context.delete(name).await?;
    Ok(since(begin))
}

/// One run. Answers how many commits were acknowledged; it fails where one of them is missing.
async fn survives(context: &Context, bucket: &Bucket, name: String) -> Result<i64> {
    context.create_ready(&database(&name).backup_to(bucket)).await?;
    let writers = Writers::start(context, &name, WRITERS).await?;
    context.delete(&name).await?;
    let acknowledged = writers.ended().await?;
    let backups = context.api::<Backup>().list(&ListParams::default()).await?;
    let last = backups.items.iter().find(|backup| backup.spec.database == name).context("no final backup")?;
    let copy = format!("copy-{name}");
    context.create_ready(&database(&copy).restore_from(json!({"backup": last.name_any()}))).await?;
    Writers::check(context, &copy, &acknowledged).await?;
    context.delete(&copy).await?;
    Ok(acknowledged.iter().copied().map(i64::from).sum())
}
