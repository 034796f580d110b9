//! How soon a new Database has its Job, with many others there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
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

/// One each, whatever became of the one before. At the faster one, the API server, etcd, and who plays the drivers, have
/// more to do than two cores give: what comes then is to be read beside its floor.
const PACES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(20)];

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
    let shown = Shown::begin(&plane.client).await?;
    let mut operator = Operator::start(&subject.binary, plane, &kubeconfig, &format!("{who}-latency"))?;
    operator.ready().await?;
    let mut generation = 2;
    for pace in PACES {
        let mut row = |when: &str, (to_job, to_watch): &(Samples, Samples)| {
            let what = format!("{who}, {count} there, one each {pace:?}{when}");
            table.row(&format!("{what}: create to Job"), to_job, "goal p50 0.020 s, p99 0.100 s or less");
            table.row("  floor: create to shown by a bare watch", to_watch, "");
        };
        println!("==> {who}: {COUNT} new Databases, one each {pace:?}");
        let name = format!("{}", pace.as_millis());
        row("", &create_all(plane, &player, &shown, pace, &format!("rest-{name}")).await?);
        println!("==> {who}: the same while the operator lists all again");
        proxy.cut();
        for rewrite in 0..REWRITES {
            plane.etcd.store(created(0..count, generation)).await?;
            generation += 1;
            if rewrite == 0 {
                plane.has_caught_up().await?;
                tokio::time::sleep(FORGOTTEN_AFTER).await;
            }
        }
        // What it tells others is not to wait behind what was written past it.
        plane.has_caught_up().await?;
        proxy.mend();
        row(", in a relist", &create_all(plane, &player, &shown, pace, &format!("relist-{name}")).await?);
    }
    operator.end().await
}

/// From the answer to the create to the Job in a watch, and to the Database in a watch.
async fn create_all(
    plane: &Plane,
    player: &Player,
    shown: &Shown,
    pace: Duration,
    name: &str,
) -> Result<(Samples, Samples)> {
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
        let launched = player.when(&uid).await?;
        Ok::<_, anyhow::Error>((since(launched), shown.when(&uid).map(since)))
    });
    let (mut to_job, mut to_watch) = (Samples::default(), Samples::default());
    for (job, watch) in try_join_all(each).await? {
        to_job.add(job);
        to_watch.extend(watch);
    }
    Ok((to_job, to_watch))
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

    fn when(&self, uid: &str) -> Option<Instant> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get(uid).copied()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
