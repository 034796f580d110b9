//! Bare Jobs and Databases, and when they were seen where.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use api::{Database, DatabasePhase, DriverRegistration};
use e2e::{Context, POSTGRESQL_17, database};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use super::logs::Logs;
use super::seen::{GONE, Seen};

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
    image: String,
    logs: Option<Logs>,
    jobs: Seen,
    databases: Seen,
}

impl Workload {
    pub(crate) async fn prepare(context: &Context) -> Result<Self> {
        let context = context.clone();
        let driver = Api::<DriverRegistration>::all(context.client.clone()).get("postgresql").await?;
        let jobs = Seen::watch(context.api::<Job>(), |job| {
            let conditions = job.status.as_ref()?.conditions.as_ref()?;
            conditions
                .iter()
                .any(|condition| condition.type_ == "Complete" && condition.status == "True")
                .then(|| "complete".to_owned())
        });
        let databases = Seen::watch(context.api::<Database>(), |database| {
            (database.phase() == Some(DatabasePhase::Created)).then(|| "created".to_owned())
        });
        let (jobs, databases) = (jobs.await?, databases.await?);
        Ok(Self { context, image: driver.spec.image, logs: Logs::find(), jobs, databases })
    }

    /// A Job with the driver's image that exits at once.
    pub(crate) async fn bare_job(&self, name: &str) -> Result<JobTimes> {
        let (begin, wall) = (Instant::now(), Timestamp::now());
        self.post_job(name).await?;
        let complete = self.jobs.when(name, "complete").await? - begin;
        let started = self.container_start(&format!("batch.kubernetes.io/job-name={name}")).await?;
        Ok(JobTimes { start: started.duration_since(wall).as_secs_f64(), complete: complete.as_secs_f64() })
    }

    pub(crate) async fn create(&self, name: &str) -> Result<DatabaseTimes> {
        let begin = Instant::now();
        self.post_database(name).await?;
        let created = self.databases.when(name, "created").await? - begin;
        let database = self.databases().get(name).await?;
        let uid = database.uid().context("no uid")?;
        let started = self.container_start(&format!("db.isotoma.com/uid={uid}")).await?;
        let first_sql =
            self.first_statement(&database).await?.map(|first| first.duration_since(started).as_secs_f64());
        Ok(DatabaseTimes { created: created.as_secs_f64(), first_sql })
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<f64> {
        let begin = Instant::now();
        self.databases().delete(name, &DeleteParams::default()).await?;
        Ok((self.databases.when(name, GONE).await? - begin).as_secs_f64())
    }

    /// Seconds until the last of them is reported complete.
    pub(crate) async fn burst_of_jobs(&self, count: usize) -> Result<f64> {
        let names: Vec<_> = (0..count).map(|index| format!("burst-job-{index}")).collect();
        let begin = Instant::now();
        futures::future::try_join_all(names.iter().map(|name| self.post_job(name))).await?;
        let ends =
            futures::future::try_join_all(names.iter().map(|name| self.jobs.when(name, "complete"))).await?;
        Ok(seconds_to_last(begin, &ends))
    }

    /// Seconds until the last of them is Created. They are deleted afterwards.
    pub(crate) async fn burst_of_databases(&self, count: usize) -> Result<f64> {
        let names: Vec<_> = (0..count).map(|index| format!("burst-{index}")).collect();
        let begin = Instant::now();
        futures::future::try_join_all(names.iter().map(|name| self.post_database(name))).await?;
        let ends =
            futures::future::try_join_all(names.iter().map(|name| self.databases.when(name, "created")))
                .await?;
        futures::future::try_join_all(names.iter().map(|name| self.delete(name))).await?;
        Ok(seconds_to_last(begin, &ends))
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
        self.jobs.when(&newest.name_any(), "complete").await?;
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

    /// Memory of the operator and sizes of the images.
    pub(crate) async fn sizes(&self) -> Result<Vec<(String, String, &'static str)>> {
        let mut sizes = Vec::new();
        let nodes = Api::<Node>::all(self.context.client.clone()).list(&ListParams::default()).await?;
        for node in nodes {
            let path = format!("/api/v1/nodes/{}/proxy/stats/summary", node.name_any());
            let summary: Value =
                self.context.client.request(http::Request::get(path).body(Vec::new())?).await?;
            for pod in summary.pointer("/pods").and_then(Value::as_array).into_iter().flatten() {
                if pod.pointer("/podRef/namespace").is_some_and(|namespace| namespace == "db-operator") {
                    let bytes = pod
                        .pointer("/containers/0/memory/rssBytes")
                        .and_then(Value::as_f64)
                        .unwrap_or(f64::NAN);
                    sizes.push((
                        "operator: resident memory".to_owned(),
                        format!("{:.1} MiB", bytes / 1_048_576.0),
                        "goal 12 MiB or less",
                    ));
                }
            }
            for image in node.status.and_then(|status| status.images).unwrap_or_default() {
                let ours =
                    image.names.unwrap_or_default().into_iter().find(|name| name.contains("db-operator"));
                if let (Some(name), Some(bytes)) = (ours, image.size_bytes) {
                    #[expect(clippy::cast_precision_loss, reason = "sizes of images are far below 2^52")]
                    sizes.push((
                        format!("image {name}"),
                        format!("{:.1} MB", bytes as f64 / 1e6),
                        if name.contains("-backup:") { "goal 40 MB or less" } else { "goal 15 MB or less" },
                    ));
                }
            }
        }
        Ok(sizes)
    }

    fn databases(&self) -> Api<Database> {
        self.context.api()
    }

    fn jobs_api(&self) -> Api<Job> {
        self.context.api()
    }

    async fn post_job(&self, name: &str) -> Result<()> {
        let job: Job = serde_json::from_value(json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"template": {"spec": {
                "restartPolicy": "Never", "serviceAccountName": "db-operator-driver",
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{"name": "driver", "image": self.image, "args": ["--help"],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    "resources": {"requests": {"cpu": "25m", "memory": "32Mi"}}}],
            }}},
        }))?;
        self.jobs_api().create(&PostParams::default(), &job).await?;
        Ok(())
    }

    async fn post_database(&self, name: &str) -> Result<()> {
        self.context.create(&database(name)).await?;
        Ok(())
    }

    /// When the container of the newest pod with those labels had started.
    async fn container_start(&self, labels: &str) -> Result<Timestamp> {
        let pods = self.context.api::<Pod>();
        let logs =
            self.logs.as_ref().context("container starts need the proving ground's logs (AUDIT_LOG)")?;
        let mut look = tokio::time::interval(Duration::from_millis(100));
        loop {
            look.tick().await;
            let found = pods.list(&ListParams::default().labels(labels)).await?;
            let id = found.items.iter().find_map(|pod| {
                let id = pod.status.as_ref()?.container_statuses.as_ref()?.first()?.container_id.as_ref()?;
                Some(id.trim_start_matches("containerd://").to_owned())
            });
            // The kubelet reports the container up to a second after it started.
            if let Some(id) = id {
                return logs.container_start(&id);
            }
        }
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

fn seconds_to_last(begin: Instant, ends: &[Instant]) -> f64 {
    ends.iter().max().map_or(f64::NAN, |last| (*last - begin).as_secs_f64())
}
