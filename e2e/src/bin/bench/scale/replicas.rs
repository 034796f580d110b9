//! Two replicas: how long nothing is launched when the one that leads is gone, in a quiet cluster and while many of its
//! Jobs finish.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use api::Database;
use futures::future::try_join_all;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::objects::new;
use super::plane::Plane;
use super::player::Player;
use super::process::{Operator, Subject};
use crate::table::{Samples, Table};

/// How often each is done.
const ROUNDS: usize = 20;

/// How many Jobs of the one that is gone finish meanwhile in a busy cluster, and how long after each other: for longer
/// than a replica may take to follow.
const FINISH: usize = 40;
const PACE: Duration = Duration::from_millis(80);

/// Measures a crash and an orderly end, each in a quiet and in a busy cluster.
pub(crate) async fn measure(plane: &Plane, subject: &Subject, table: &mut Table) -> Result<()> {
    let who = subject.binary.name;
    let cases =
        [("KILL", "killed", "goal 3 s or less at most"), ("TERM", "upgraded", "goal 0.5 s or less at most")];
    for finish in [0, FINISH] {
        let meanwhile = if finish == 0 { String::new() } else { format!(", {finish} Jobs finish meanwhile") };
        for (signal, what, goal) in cases {
            println!("==> {who}: the replica that leads is {what}, {ROUNDS} times{meanwhile}");
            let samples = rounds(plane, subject, signal, finish).await?;
            table.row(&format!("{who}, leader {what}{meanwhile}: next launch"), &samples, goal);
        }
    }
    Ok(())
}

async fn rounds(plane: &Plane, subject: &Subject, signal: &str, finish: usize) -> Result<Samples> {
    let case = format!("{}-{finish}", signal.to_lowercase());
    let player = Player::begin(&plane.client, finish > 0).await?;
    let mut samples = Samples::default();
    let mut next = 0;
    let mut start = || {
        next += 1;
        let name = format!("{}-{case}-{next}", subject.binary.name);
        Operator::start(&subject.binary, plane, &subject.kubeconfig, &name)
    };
    let mut replicas = vec![start()?, start()?];
    for round in 0..ROUNDS {
        for replica in &mut replicas {
            replica.ready().await?;
        }
        let leader = leader(&replicas).await?;
        let before = (0..finish).map(|number| create(plane, number, format!("{case}-{round}-{number}")));
        try_join_all(before).await?;
        player.holds(finish).await?;
        let gone = replicas.remove(leader);
        gone.signal(signal)?;
        let ended = Instant::now();
        let next = async {
            let uid = create(plane, round, format!("{case}-{round}")).await?;
            player.when(&uid).await
        };
        let (launched, ()) = tokio::try_join!(next, finish_all(&player, finish))?;
        samples.add(launched.saturating_duration_since(ended).as_secs_f64());
        if finish > 0 {
            // The one that was launched.
            player.holds(1).await?;
            player.finish_next().await?;
        }
        drop(gone);
        replicas.push(start()?);
    }
    Ok(samples)
}

/// Finishes as many Jobs that are held, one after the other.
async fn finish_all(player: &Player, count: usize) -> Result<()> {
    let mut pace = tokio::time::interval(PACE);
    for _ in 0..count {
        pace.tick().await;
        player.finish_next().await?;
    }
    Ok(())
}

/// Somebody creates a Database. Answers its uid.
async fn create(plane: &Plane, number: usize, name: String) -> Result<String> {
    let database = new(number, &name)?;
    let api: Api<Database> = Api::namespaced(plane.client.clone(), &database.namespace().unwrap_or_default());
    api.create(&PostParams::default(), &database).await?.uid().context("no uid")
}

/// The replica that holds the Lease.
async fn leader(replicas: &[Operator]) -> Result<usize> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) {
        for (index, replica) in replicas.iter().enumerate() {
            if replica.leads().await {
                return Ok(index);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None.context("no replica leads")
}
