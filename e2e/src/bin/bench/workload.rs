//! Bare Jobs and Databases, and when they were seen where.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use api::{Database, DatabasePhase};
use e2e::{Context, POSTGRESQL_17, database};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams};

use crate::logs::Logs;
use crate::seen::{GONE, Seen};
use crate::{bare, sizes};

/// The states of a Job worth noting.
const INCOMPLETE: &str = "incomplete";
const COMPLETE: &str = "complete";

/// How long the end of pods may take, and the report of their starts.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a bare Job took, in seconds.
pub(crate) struct JobTimes {
    pub(crate) start: f64,
    pub(crate) complete: f64,
}

/// What a Database took, in seconds.
pub(crate) struct DatabaseTimes {
    pub(crate) created: f64,
    pub(crate) first_sql: Option<f64>,
}

/// A tenant namespace, watched.
pub(crate) struct Workload {
    context: Context,
    /// The Job of a Database, which bare Jobs look like.
    shape: Job,
    logs: Option<Logs>,
    jobs: Seen,
    databases: Seen,
}

impl Workload {
    pub(crate) async fn prepare(context: &Context) -> Result<Self> {
        let context = context.clone();
        let jobs = Seen::watch(context.api::<Job>(), |job| {
            let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
            let complete = conditions
                .into_iter()
                .flatten()
                .any(|condition| condition.type_ == "Complete" && condition.status == "True");
            Some(if complete { COMPLETE } else { INCOMPLETE }.to_owned())
        });
        let databases = Seen::watch(context.api::<Database>(), |database| {
            (database.phase() == Some(DatabasePhase::Created)).then(|| "created".to_owned())
        });
        let (jobs, databases) = (jobs.await?, databases.await?);
        let shape = shape(&context).await?;
        Ok(Self { context, shape, logs: Logs::find(), jobs, databases })
    }

    /// A bare Job.
    pub(crate) async fn bare_job(&self, name: &str) -> Result<JobTimes> {
        let (begin, wall) = (Instant::now(), Timestamp::now());
        self.post_job(name).await?;
        let complete = self.complete(name).await? - begin;
        let started = self.container_start("batch.kubernetes.io/job-name", name).await?;
        Ok(JobTimes { start: started.duration_since(wall).as_secs_f64(), complete: complete.as_secs_f64() })
    }

    pub(crate) async fn create(&self, name: &str) -> Result<DatabaseTimes> {
        let begin = Instant::now();
        self.post_database(name).await?;
        let created = self.created(name).await? - begin;
        let database = self.databases().get(name).await?;
        let uid = database.uid().context("no uid")?;
        let started = self.container_start(api::UID_LABEL, &uid).await?;
        let first_sql =
            self.first_statement(&database).await?.map(|first| first.duration_since(started).as_secs_f64());
        Ok(DatabaseTimes { created: created.as_secs_f64(), first_sql })
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<f64> {
        let begin = Instant::now();
        self.databases().delete(name, &DeleteParams::default()).await?;
        Ok((self.databases.when(name, GONE).await? - begin).as_secs_f64())
    }

    /// When that Job was seen complete.
    pub(crate) async fn complete(&self, name: &str) -> Result<Instant> {
        self.jobs.when(name, COMPLETE).await
    }

    /// When that Database was seen Created.
    pub(crate) async fn created(&self, name: &str) -> Result<Instant> {
        self.databases.when(name, "created").await
    }

    /// How many Jobs that came after `since` were there at most that were not complete.
    pub(crate) fn most_jobs(&self, since: Instant) -> usize {
        self.jobs.most_at_once(since, INCOMPLETE, COMPLETE)
    }

    /// Removes all Jobs of the namespace, and waits until their pods are gone.
    pub(crate) async fn remove_jobs(&self) -> Result<()> {
        let pods = self.context.api::<Pod>();
        let of_jobs = ListParams::default().labels("batch.kubernetes.io/job-name");
        self.jobs_api().delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
        // The garbage collector would take its time for hundreds.
        pods.delete_collection(&DeleteParams::default(), &of_jobs).await?;
        let mut look = tokio::time::interval(Duration::from_millis(500));
        let begun = Instant::now();
        loop {
            look.tick().await;
            let left = pods.list(&of_jobs).await?.items;
            if left.is_empty() {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{} pods of removed Jobs are still there", left.len());
        }
    }

    /// For how many pods the node has room, and what each asks for.
    pub(crate) async fn room(&self) -> Result<String> {
        let pod = self.shape.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let resources = pod.and_then(|pod| pod.containers.first()?.resources.as_ref());
        let cpu = resources.and_then(|resources| resources.requests.as_ref()?.get("cpu"));
        let cpu = cpu.map_or("none", |quantity| quantity.0.as_str());
        Ok(format!("{}; each asks for cpu {cpu}", sizes::room(&self.context.client).await?))
    }

    /// How many requests one create costs, by who makes them.
    pub(crate) async fn requests_of_a_create(&self) -> Result<Vec<(String, usize)>> {
        let Some(logs) = &self.logs else { return Ok(Vec::new()) };
        let begin = Timestamp::now();
        self.create("counted").await?;
        // The Job controller's last write comes when the Job is reported complete; the audit log is complete then.
        let job =
            self.jobs_api().list(&ListParams::default().labels("db.isotoma.com/operation=create")).await?;
        let newest =
            job.items.iter().max_by_key(|job| job.metadata.creation_timestamp.clone()).context("no Job")?;
        self.complete(&newest.name_any()).await?;
        let requests = logs.requests(&self.context.namespace, begin)?;
        self.delete("counted").await?;
        let mut counts = BTreeMap::new();
        for (user, verb, _) in requests {
            let who = if user.ends_with(":db-operator-driver") {
                "requests of a create: driver, goal 6 or less"
            } else if user.ends_with(":db-operator:db-operator") && verb != "watch" {
                "requests of a create: operator, goal 1"
            } else {
                continue;
            };
            *counts.entry(who.to_owned()).or_insert(0) += 1;
        }
        Ok(counts.into_iter().collect())
    }

    fn databases(&self) -> Api<Database> {
        self.context.api()
    }

    fn jobs_api(&self) -> Api<Job> {
        self.context.api()
    }

    /// Creates a bare Job.
    pub(crate) async fn post_job(&self, name: &str) -> Result<()> {
        self.jobs_api().create(&PostParams::default(), &bare::like(&self.shape, name)?).await?;
        Ok(())
    }

    /// Creates a Database. Answers its uid.
    pub(crate) async fn post_database(&self, name: &str) -> Result<String> {
        self.context.create(&database(name)).await?.uid().context("no uid")
    }

    /// When the first container of each value of that label had started, in the order of `values`.
    pub(crate) async fn container_starts(&self, label: &str, values: &[String]) -> Result<Vec<Timestamp>> {
        let pods = self.context.api::<Pod>();
        let mut look = tokio::time::interval(Duration::from_millis(500));
        let begun = Instant::now();
        loop {
            look.tick().await;
            let started = self.logs()?.container_starts()?;
            let mut first: BTreeMap<String, Timestamp> = BTreeMap::new();
            for pod in pods.list(&ListParams::default().labels(label)).await? {
                let start = container(&pod).and_then(|id| started.get(id));
                if let (Some(value), Some(start)) = (pod.labels().get(label), start) {
                    let first = first.entry(value.clone()).or_insert(*start);
                    *first = (*first).min(*start);
                }
            }
            let known: Vec<_> = values.iter().filter_map(|value| first.get(value).copied()).collect();
            if known.len() == values.len() {
                return Ok(known);
            }
            let missing = values.len() - known.len();
            ensure!(
                begun.elapsed() < PATIENCE,
                "of {missing} of {} pods nobody knows when they started",
                values.len()
            );
        }
    }

    fn logs(&self) -> Result<&Logs> {
        self.logs.as_ref().context("container starts need the proving ground's logs (AUDIT_LOG)")
    }

    /// The same for one value.
    async fn container_start(&self, label: &str, value: &str) -> Result<Timestamp> {
        let starts = self.container_starts(label, &[value.to_owned()]).await?;
        starts.into_iter().next().context("no pod has started")
    }

    /// When the server was first asked something for that database, from its own log.
    async fn first_statement(&self, database: &Database) -> Result<Option<Timestamp>> {
        let pods = Api::<Pod>::namespaced(self.context.client.clone(), "servers");
        let server = pods.list(&ListParams::default()).await?;
        let server =
            server.items.iter().map(ResourceExt::name_any).find(|name| name.starts_with(POSTGRESQL_17.name));
        let parameters = kube::api::LogParams { tail_lines: Some(200), ..kube::api::LogParams::default() };
        let log = pods.logs(&server.context("no server pod")?, &parameters).await?;
        let created = database.creation_timestamp().context("no creation time")?.0;
        let times = log.lines().filter(|line| line.contains("pg_try_advisory_lock")).filter_map(|line| {
            // 2026-11-21 04:44:27.961 UTC [82] …
            let (date, rest) = line.split_once(' ')?;
            format!("{date}T{}Z", rest.split(' ').next()?).parse::<Timestamp>().ok()
        });
        Ok(times.filter(|time| *time >= created).min())
    }
}

/// The id of a pod's container, once the kubelet has reported it.
fn container(pod: &Pod) -> Option<&str> {
    let id = pod.status.as_ref()?.container_statuses.as_ref()?.first()?.container_id.as_ref()?;
    Some(id.trim_start_matches("containerd://"))
}

/// The Job that the operator makes for a Database.
async fn shape(context: &Context) -> Result<Job> {
    let uid = context.create_ready(&database("shape")).await?.uid().context("no uid")?;
    let of_it = ListParams::default().labels(&format!("{}={uid}", api::UID_LABEL));
    let job = context.api::<Job>().list(&of_it).await?.items.into_iter().next();
    context.delete("shape").await?;
    job.context("a Database was Created without a Job")
}
