//! Two replicas: how long nothing is launched when the one that leads is gone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use api::Database;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::objects::new;
use super::plane::Plane;
use super::player::Player;
use super::process::{Operator, Subject};
use crate::table::{Samples, Table};

/// How often each is done.
const ROUNDS: usize = 20;

/// Measures a crash and an orderly end.
pub(crate) async fn measure(plane: &Plane, subject: &Subject, table: &mut Table) -> Result<()> {
    let who = subject.binary.name;
    let player = Player::begin(&plane.client, false).await?;
    let cases = [
        ("KILL", "is killed", "goal 3 s or less at most"),
        ("TERM", "is upgraded", "goal 0.5 s or less at most"),
    ];
    for (signal, what, goal) in cases {
        println!("==> {who}: the replica that leads {what}, {ROUNDS} times");
        let samples = rounds(plane, subject, &player, signal).await?;
        table.row(&format!("{who}, the leader {what}: next launch"), &samples, goal);
    }
    Ok(())
}

async fn rounds(plane: &Plane, subject: &Subject, player: &Player, signal: &str) -> Result<Samples> {
    let mut samples = Samples::default();
    let mut next = 0;
    let mut start = || {
        next += 1;
        let name = format!("{}-{}-{next}", subject.binary.name, signal.to_lowercase());
        Operator::start(&subject.binary, plane, &subject.kubeconfig, &name)
    };
    let mut replicas = vec![start()?, start()?];
    for round in 0..ROUNDS {
        for replica in &mut replicas {
            replica.ready().await?;
        }
        let leader = leader(&replicas).await?;
        let gone = replicas.remove(leader);
        gone.signal(signal)?;
        let ended = Instant::now();
        let name = format!("{}-{round}", signal.to_lowercase());
        let database = new(round, &name)?;
        let api: Api<Database> =
            Api::namespaced(plane.client.clone(), &database.namespace().unwrap_or_default());
        let uid = api.create(&PostParams::default(), &database).await?.uid().unwrap_or_default();
        samples.add(player.when(&uid).await?.saturating_duration_since(ended).as_secs_f64());
        drop(gone);
        replicas.push(start()?);
    }
    Ok(samples)
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
