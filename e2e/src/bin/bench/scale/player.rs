//! Plays the drivers: it sees each Job, and writes what a run would have written.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use api::Database;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use super::follow::follow_new;

/// How long a Job may take to come.
const PATIENCE: Duration = Duration::from_mins(2);

/// Requests of the player at once.
const HANDS: usize = 8;

/// A Job that was seen.
#[derive(Clone, Debug)]
struct Launched {
    namespace: String,
    job: String,
}

#[derive(Debug, Default)]
struct Seen {
    first: HashMap<String, Instant>,
    held: VecDeque<Launched>,
    /// Why a Job could not be made one that runs.
    trouble: Option<String>,
}

/// The player.
pub(crate) struct Player {
    client: Client,
    seen: Arc<Mutex<Seen>>,
    changed: Arc<Notify>,
    hands: Arc<Semaphore>,
    watch: JoinHandle<()>,
}

impl Player {
    /// Begins to watch. If it `holds`, each Job runs until [`finish_next`](Self::finish_next).
    pub(crate) async fn begin(client: &Client, holds: bool) -> Result<Self> {
        let jobs: Api<Job> = Api::all(client.clone());
        let of_ours = "app.kubernetes.io/managed-by=db-operator";
        let (seen, changed): (Arc<Mutex<Seen>>, Arc<Notify>) = Default::default();
        let hands = Arc::new(Semaphore::new(HANDS));
        let (noted, notify, client_) = (Arc::clone(&seen), Arc::clone(&changed), client.clone());
        let for_task = Arc::clone(&hands);
        let watch = follow_new(jobs, of_ours, move |job| {
            let Some(uid) = job.labels().get(api::UID_LABEL).cloned() else { return };
            let launched = Launched { namespace: job.namespace().unwrap_or_default(), job: job.name_any() };
            let mut seen = noted.lock().unwrap_or_else(PoisonError::into_inner);
            seen.first.entry(uid).or_insert_with(Instant::now);
            notify.notify_waiters();
            let (client, hands) = (client_.clone(), Arc::clone(&for_task));
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let _hand = hands.acquire_owned().await;
                if !holds {
                    let _ = finish(&client, &job).await;
                    return;
                }
                let run = run(&client, &launched).await;
                let mut seen = noted.lock().unwrap_or_else(PoisonError::into_inner);
                seen.held.push_back(launched);
                if let Err(error) = run {
                    seen.trouble = Some(format!("{error:#}"));
                }
            });
        });
        let watch = watch.await?;
        Ok(Self { client: client.clone(), seen, changed, hands, watch })
    }

    /// When the first Job of that Database was seen.
    pub(crate) async fn when(&self, uid: &str) -> Result<Instant> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let change = self.changed.notified();
            if let Some(time) = self.lock().first.get(uid) {
                return Ok(*time);
            }
            if tokio::time::timeout_at(deadline, change).await.is_err() {
                bail!("no Job of Database {uid} was seen within {PATIENCE:?}");
            }
        }
    }

    /// How many Jobs are held.
    pub(crate) fn held(&self) -> usize {
        self.lock().held.len()
    }

    /// Waits until that many Jobs are held and run.
    pub(crate) async fn holds(&self, count: usize) -> Result<()> {
        let begun = Instant::now();
        while self.held() < count {
            ensure!(
                begun.elapsed() < PATIENCE,
                "{} of {count} Jobs were seen within {PATIENCE:?}",
                self.held()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Finishes the Job that was held for the longest. Answers its namespace, or none if none is held.
    pub(crate) async fn finish_next(&self) -> Result<Option<String>> {
        let (next, trouble) = {
            let mut seen = self.lock();
            (seen.held.pop_front(), seen.trouble.clone())
        };
        ensure!(trouble.is_none(), "a Job does not run: {}", trouble.unwrap_or_default());
        let Some(launched) = next else { return Ok(None) };
        let _hand = self.hands.acquire().await?;
        let job: Api<Job> = Api::namespaced(self.client.clone(), &launched.namespace);
        finish(&self.client, &job.get(&launched.job).await?).await?;
        Ok(Some(launched.namespace))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Writes what the Job controller would have written when the pod is ready: it holds a slot for as long as it runs.
async fn run(client: &Client, launched: &Launched) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), &launched.namespace);
    let runs = json!({"status": {"active": 1, "ready": 1, "startTime": format!("{:.0}", Timestamp::now())}});
    jobs.patch_status(&launched.job, &PatchParams::default(), &Patch::Merge(runs)).await?;
    Ok(())
}

/// Writes what a run would have written, and removes the Job.
async fn finish(client: &Client, job: &Job) -> Result<()> {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let databases: Api<Database> = Api::namespaced(client.clone(), &namespace);
    let variables = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let variables =
        variables.and_then(|spec| spec.containers.first()?.env.as_ref()).context("no environment")?;
    let database = variables.iter().find(|variable| variable.name == "DB_OPERATOR_DATABASE");
    let database = database.and_then(|variable| variable.value.as_ref()).context("no Database")?;
    let generation = job.labels().get("db.isotoma.com/generation").context("no generation")?;
    let generation: i64 = generation.parse()?;
    let now = format!("{:.0}", Timestamp::now());
    let guard = Patch::Merge(json!({"metadata": {"finalizers": ["db.isotoma.com/database"]}}));
    databases.patch(database, &PatchParams::default(), &guard).await?;
    let status = Patch::Merge(json!({"status": {
        "phase": "Created", "observedGeneration": generation, "createdAt": now, "verifiedAt": now,
        "server": "server.example.com:5432", "database": "scale", "binding": {"name": database},
        "lastCompletedJob": name,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Created", "message": "played",
                        "observedGeneration": generation, "lastTransitionTime": now}],
    }}));
    databases.patch_status(database, &PatchParams::default(), &status).await?;
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    jobs.delete(&name, &DeleteParams::background()).await?;
    Ok(())
}
