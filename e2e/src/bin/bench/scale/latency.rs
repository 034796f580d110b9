//! How soon a new Database has its Job, with many others there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use api::Database;
use futures::future::try_join_all;
use kube::api::{PartialObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::task::JoinHandle;

use super::follow::follow_new;
use super::objects::{created, new};
use super::plane::Plane;
use super::player::Player;
use super::process::{Operator, Subject};
use super::proxy::Proxy;
use crate::table::{Samples, Table};

/// How many are created each time.
const COUNT: usize = 500;

/// One each, whatever became of the one before.
const SLOW: Duration = Duration::from_millis(100);
/// At the faster one, the API server, etcd, and who plays the drivers, have more to do than two cores give: what comes
/// then is to be read beside its floor. In a relist, all slots would be taken by what is played.
const PACES: [Duration; 2] = [SLOW, Duration::from_millis(20)];

/// How often each Database that is there is written while the operator is cut off, after the first time of which the API
/// server is left alone for longer than it makes room for changes: it remembers as many as came since, or fewer, so the
/// operator has to list all again. Without that it would be sent every change that it has missed. It makes more room each
/// time, so this is done once.
const REWRITES: i64 = 3;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(80);

/// How long a relist goes on at least. What is created later may be created at rest.
const RELIST: Duration = Duration::from_secs(4);

/// How long a bare watch may take to show a new Database.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon one new Database had its Job.
struct Launched {
    /// When it was created, from the first on.
    at: Duration,
    /// From the answer to its create to its Job in a watch, in seconds.
    to_job: f64,
    /// The same, to itself in a watch.
    to_watch: f64,
}

/// Measures it, at rest and while all is listed again.
pub(crate) async fn measure(plane: &Plane, subject: &Subject, count: usize, table: &mut Table) -> Result<()> {
    let who = subject.binary.name;
    let proxy = Proxy::to(plane.port).await?;
    let kubeconfig = plane.kubeconfig(who, &subject.token, proxy.port)?;
    let player = Player::begin(&plane.client, false).await?;
    let shown = Shown::begin(&plane.client).await?;
    let mut operator = Operator::start(&subject.binary, plane, &kubeconfig, &format!("{who}-latency"))?;
    operator.ready().await?;
    for pace in PACES {
        println!("==> {who}: {COUNT} new Databases, one each {pace:?}");
        let at_rest = create_all(plane, &player, &shown, pace, &format!("rest-{}", pace.as_millis())).await?;
        rows(table, &format!("{who}, {count} there, one each {pace:?}"), &at_rest.iter().collect::<Vec<_>>());
    }
    println!("==> {who}: the same while the operator lists all again");
    proxy.cut();
    for rewrite in 0..REWRITES {
        plane.etcd.store(created(0..count, rewrite + 2)).await?;
        if rewrite == 0 {
            plane.has_caught_up().await?;
            tokio::time::sleep(FORGOTTEN_AFTER).await;
        }
    }
    // What it tells others is not to wait behind what was written past it.
    plane.has_caught_up().await?;
    let lists = plane.lists().await?;
    proxy.mend();
    let what = format!("{who}, {count} there, one each {SLOW:?}");
    let in_relist = create_all(plane, &player, &shown, SLOW, "relist").await?;
    ensure!(plane.lists().await? > lists, "the operator went on where it was, and listed nothing again");
    rows(table, &format!("{what}, from a relist on"), &in_relist.iter().collect::<Vec<_>>());
    let within: Vec<_> = in_relist.iter().filter(|launched| launched.at < RELIST).collect();
    rows(table, &format!("{what}, its first {RELIST:?}"), &within);
    operator.end().await
}

fn rows(table: &mut Table, what: &str, all: &[&Launched]) {
    let (mut to_job, mut to_watch) = (Samples::default(), Samples::default());
    for launched in all {
        to_job.add(launched.to_job);
        to_watch.add(launched.to_watch);
    }
    table.row(&format!("{what}: create to Job"), &to_job, "goal p50 0.020 s, p99 0.100 s or less");
    table.row("  floor: create to shown by a bare watch", &to_watch, "");
}

/// From the answer to the create to the Job in a watch, and to the Database in a watch.
async fn create_all(
    plane: &Plane,
    player: &Player,
    shown: &Shown,
    pace: Duration,
    name: &str,
) -> Result<Vec<Launched>> {
    let begun = Instant::now();
    let each = (0..COUNT).map(|number| async move {
        let due = pace * u32::try_from(number)?;
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        let database = new(number, &format!("{name}-{number}"))?;
        let api: Api<Database> =
            Api::namespaced(plane.client.clone(), &database.namespace().unwrap_or_default());
        let uid = api.create(&PostParams::default(), &database).await?.uid().unwrap_or_default();
        let created = Instant::now();
        // A watch may tell before the create has answered.
        let since = |then: Instant| then.saturating_duration_since(created).as_secs_f64();
        let to_job = since(player.when(&uid).await?);
        let to_watch = since(shown.when(&uid).await?);
        Ok::<_, anyhow::Error>(Launched { at: created - begun, to_job, to_watch })
    });
    try_join_all(each).await
}

/// A bare watch of Databases: nobody can know of a new one sooner.
struct Shown {
    first: Arc<Mutex<HashMap<String, Instant>>>,
    watch: JoinHandle<()>,
}

impl Shown {
    async fn begin(client: &Client) -> Result<Self> {
        let first: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
        let noted = Arc::clone(&first);
        let api: Api<PartialObjectMeta<Database>> = Api::all(client.clone());
        let watch = follow_new(api, "", move |database| {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.insert(database.uid().unwrap_or_default(), Instant::now());
        });
        let watch = watch.await?;
        Ok(Self { first, watch })
    }

    async fn when(&self, uid: &str) -> Result<Instant> {
        let begun = Instant::now();
        loop {
            if let Some(when) = self.first.lock().unwrap_or_else(PoisonError::into_inner).get(uid) {
                return Ok(*when);
            }
            ensure!(begun.elapsed() < PATIENCE, "no watch has shown Database {uid} within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
