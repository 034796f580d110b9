//! How soon a new Database has its Job, with many others there.

use std::time::{Duration, Instant};

use anyhow::Result;
use api::Database;
use futures::future::try_join_all;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::objects::{created, new};
use super::plane::Plane;
use super::player::Player;
use super::process::{Operator, Subject};
use super::proxy::Proxy;
use crate::table::{Samples, Table};

/// How many are created.
const COUNT: usize = 500;

/// One each, whatever became of the one before.
const PACE: Duration = Duration::from_millis(20);

/// How often each Database that is there is written while the operator is cut off, after the first time of which the API
/// server is left alone for longer than it makes room for changes: it remembers as many as came since, or fewer, so the
/// operator has to list all again. Without that it would be sent every change that it has missed.
const REWRITES: i64 = 3;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(80);

/// Measures it, at rest and while all is listed again.
pub(crate) async fn measure(plane: &Plane, subject: &Subject, count: usize, table: &mut Table) -> Result<()> {
    let who = subject.binary.name;
    let proxy = Proxy::to(plane.port).await?;
    let kubeconfig = plane.kubeconfig(who, &subject.token, proxy.port)?;
    let player = Player::begin(&plane.client, false).await?;
    let mut operator = Operator::start(&subject.binary, plane, &kubeconfig, &format!("{who}-latency"))?;
    operator.ready().await?;
    println!("==> {who}: {COUNT} new Databases, one each {PACE:?}");
    let at_rest = create_all(plane, &player, "rest").await?;
    println!("==> {who}: the same while the operator lists all again");
    proxy.cut();
    for generation in 2..2 + REWRITES {
        plane.etcd.store(created(0..count, generation)).await?;
        if generation == 2 {
            plane.has_caught_up().await?;
            tokio::time::sleep(FORGOTTEN_AFTER).await;
        }
    }
    // What it tells others is not to wait behind what was written past it.
    plane.has_caught_up().await?;
    proxy.mend();
    let in_relist = create_all(plane, &player, "relist").await?;
    let goal = "goal p50 0.020 s, p99 0.100 s or less";
    table.row(&format!("{who}, {count} there: create to Job"), &at_rest, goal);
    table.row(&format!("{who}, {count} there: the same in a relist"), &in_relist, goal);
    operator.end().await
}

/// From the answer to the create to the Job in a watch.
async fn create_all(plane: &Plane, player: &Player, name: &str) -> Result<Samples> {
    let begun = Instant::now();
    let each = (0..COUNT).map(|number| async move {
        let due = PACE * u32::try_from(number)?;
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        let database = new(number, &format!("{name}-{number}"))?;
        let api: Api<Database> =
            Api::namespaced(plane.client.clone(), &database.namespace().unwrap_or_default());
        let uid = api.create(&PostParams::default(), &database).await?.uid().unwrap_or_default();
        let created = Instant::now();
        let launched = player.when(&uid).await?;
        // The Job's watch may tell before the create has answered.
        Ok::<_, anyhow::Error>(launched.saturating_duration_since(created).as_secs_f64())
    });
    let mut samples = Samples::default();
    for seconds in try_join_all(each).await? {
        samples.add(seconds);
    }
    Ok(samples)
}
