//! Ten thousand new Databases that wait for slots: what that costs, and in which order they are served.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::objects::{PREFIX, unseen};
use super::plane::{NAMESPACES, Plane};
use super::player::Player;
use super::process::{Operator, Subject};
use crate::table::Table;

/// How many wait.
const COUNT: usize = 10_000;

/// How many are served until the shares are counted.
const SERVED: usize = 1_000;

/// How long its CPU is counted.
const OVER: Duration = Duration::from_secs(30);

/// How long it may take until all Jobs run that may.
const PATIENCE: Duration = Duration::from_mins(3);

/// Until those that may be launched are.
async fn settle(player: &Player) {
    let mut held = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if player.held() == held && held > 0 {
            return;
        }
        held = player.held();
    }
}

/// Measures both.
pub(crate) async fn measure(plane: &Plane, subject: &Subject, table: &mut Table) -> Result<()> {
    let who = subject.binary.name;
    println!("==> {who}: {COUNT} new Databases wait for slots");
    plane.etcd.remove(PREFIX).await?;
    plane.etcd.remove("/registry/jobs/").await?;
    plane.etcd.store(unseen(0..COUNT)).await?;
    plane.settled(COUNT).await?;
    let player = Player::begin(&plane.client, true).await?;
    let mut operator =
        Operator::start(&subject.binary, plane, &subject.kubeconfig, &format!("{who}-waiting"))?;
    operator.ready().await?;
    let settled = tokio::time::timeout(PATIENCE, settle(&player)).await;
    settled
        .with_context(|| format!("{} Jobs in {PATIENCE:?}, and not yet all that may run", player.held()))?;
    let share = operator.share_of_a_core(OVER).await?;
    println!("==> {who}: {SERVED} of them are served");
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    let before = operator.cpu()?;
    let mut total = 0;
    while total < SERVED {
        player.holds(1).await.with_context(|| format!("after {total} were served"))?;
        if let Some(namespace) = player.finish_next().await? {
            *served.entry(namespace).or_default() += 1;
            total += 1;
        }
    }
    let cpu = operator.cpu()? - before;
    let most = served.values().max().copied().unwrap_or_default();
    let least =
        if served.len() == NAMESPACES { served.values().min().copied().unwrap_or_default() } else { 0 };
    let what = |what: &str| format!("{who}, {COUNT} waiting: {what}");
    table.figure(&what("CPU while nothing changes, of a core"), &format!("{share:.2} %"), "goal 5 % or less");
    #[expect(clippy::cast_precision_loss, reason = "thousands are exact")]
    let (share_of, per) =
        (|count: usize| count as f64 * NAMESPACES as f64 / total as f64, cpu / total as f64);
    let shares = format!("least {:.2}, most {:.2} of an equal share", share_of(least), share_of(most));
    table.figure(&what("20 namespaces are served"), &shares, "goal 1 / 1.2 to 1.2");
    table.figure(&what("CPU of the operator for each that is served"), &format!("{:.2} ms", per * 1e3), "");
    operator.end().await?;
    plane.etcd.remove(PREFIX).await?;
    plane.etcd.remove("/registry/jobs/").await
}
