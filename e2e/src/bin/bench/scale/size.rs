//! Memory, start and idle CPU with so many Databases.

use std::time::Duration;

use anyhow::Result;

use super::objects::{PREFIX, created};
use super::plane::Plane;
use super::player::Player;
use super::process::{Operator, Subject};
use crate::table::Table;

/// How long it is left alone before, and how long its CPU is counted.
const REST: Duration = Duration::from_secs(30);

/// Measures one size. The Databases stay, and those of another size are replaced.
pub(crate) async fn measure(plane: &Plane, subject: &Subject, count: usize, table: &mut Table) -> Result<()> {
    let who = subject.binary.name;
    println!("==> {who}: {count} Databases that are Created");
    plane.etcd.remove(PREFIX).await?;
    plane.etcd.store(created(0..count, 1)).await?;
    plane.settled(count).await?;
    // What is verified unasked meanwhile comes to its end: Jobs that never begin would hold up others of their namespace.
    let _player = Player::begin(&plane.client, false).await?;
    let mut operator = Operator::start(&subject.binary, plane, &subject.kubeconfig, &format!("{who}-size"))?;
    let ready = operator.ready().await?;
    tokio::time::sleep(REST).await;
    let idle = operator.share_of_a_core(REST).await?;
    let (memory, peak) = operator.memory()?;
    let goal = if count > 10_000 { "goal 160 MiB or less" } else { "goal 32 MiB or less" };
    let what = |what: &str| format!("{who}, {count} Databases: {what}");
    table.figure(&what("resident memory"), &format!("{memory:.1} MiB"), goal);
    table.figure(&what("its peak against that"), &format!("{:.2}", peak / memory), "goal 1.3 or less");
    table.figure(&what("start to ready"), &format!("{ready:.1} s"), "");
    table.figure(&what("idle, of a core"), &format!("{idle:.2} %"), "goal 0.5 % or less");
    operator.end().await
}
