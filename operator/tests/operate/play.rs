//! A server with operators on it, and what tests ask of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use db_operator::config::Config;
use db_operator::run::operate;
use db_operator::server::Health;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::server::{Server, State};
use crate::store::Key;

/// An operator that runs.
#[derive(Debug)]
pub(crate) struct Operator {
    stop: watch::Sender<bool>,
    cut: Arc<AtomicBool>,
    task: JoinHandle<()>,
    pub(crate) health: Arc<Health>,
}

impl Operator {
    /// Starts one whose pod has that name.
    pub(crate) fn start(server: &Arc<Server>, pod: &str, flags: &[&str]) -> Self {
        let cut = Arc::new(AtomicBool::new(false));
        let own = ["db-operator", "--namespace", "system", "--release-image", "op:1", "--pod-name", pod];
        let resync =
            ["--resync-interval", "never"].into_iter().filter(|_| !flags.contains(&"--resync-interval"));
        let config = Config::parse_from(own.into_iter().chain(resync).chain(flags.iter().copied()));
        let (stop, stopped) = watch::channel(false);
        let health = Arc::new(Health::default());
        let task = tokio::spawn(operate(server.client(pod, &cut), config, Arc::clone(&health), stopped));
        Self { stop, cut, task, health }
    }

    /// What `/metrics` says of a metric, which is named as there, with its labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.health.metrics.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is missing in {text}")).parse().unwrap()
    }

    /// Ends at once, with nothing said to anybody.
    pub(crate) fn crash(self) {
        self.cut.store(true, Ordering::Relaxed);
        self.task.abort();
    }

    /// Ends as at SIGTERM.
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

impl Server {
    pub(crate) fn namespace(&self, name: &str) {
        self.create("namespaces", json!({"metadata": {"name": name}}));
    }

    pub(crate) fn driver(&self, name: &str, image: &str) {
        self.create("drivers", json!({"metadata": {"name": name}, "spec": {"image": image}}));
    }

    /// Makes a Database, of Driver `engine` unless `more` says otherwise in `spec`.
    pub(crate) fn database(&self, namespace: &str, name: &str, more: &Value) -> Key {
        let mut spec = json!({
            "driver": "engine", "connect": {"host": "db.example"}, "deletionPolicy": "Delete",
            "credentials": {"username": {"value": "u"}, "password": {"value": "hunter2"}},
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        self.create("databases", json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec}));
        ("databases", namespace.to_owned(), name.to_owned())
    }

    /// Waits until that is so of the state.
    pub(crate) async fn until(&self, patience: Duration, is_so: impl Fn(&State) -> bool) -> bool {
        let mut news = self.listen();
        let waiting = async {
            while !is_so(&self.state()) {
                if news.changed().await.is_err() {
                    return;
                }
            }
        };
        timeout(patience, waiting).await.is_ok()
    }

    /// Waits until every Database in that namespace is Created. Fails if that takes longer than `patience`.
    pub(crate) async fn all_created(&self, namespace: &str, patience: Duration) {
        let done = self.until(patience, |state| state.not_created(namespace).is_empty()).await;
        assert!(done, "not created in {patience:?}: {:?}", self.state().not_created(namespace));
    }
}

impl State {
    /// The names of the Databases in a namespace that are not Created and Ready.
    pub(crate) fn not_created(&self, namespace: &str) -> Vec<&str> {
        let is_ready =
            |condition: &Value| condition["type"] == json!("Ready") && condition["status"] == json!("True");
        let is_created = |status: &Value| {
            let conditions = status["conditions"].as_array();
            status["phase"] == json!("Created") && conditions.is_some_and(|all| all.iter().any(is_ready))
        };
        let all = self.store.of("databases").filter(|(key, _)| key.1 == namespace);
        let not = all.filter(|(_, object)| !is_created(&object.value["status"]));
        not.map(|(key, _)| key.2.as_str()).collect()
    }

    /// Whether its policy was to leave the database on the server.
    pub(crate) fn was_retained(&self, uid: &str) -> bool {
        self.store.retired.get(uid).is_some_and(|it| it["spec"]["deletionPolicy"] == json!("Retain"))
    }

    /// How many Jobs were taken of a namespace.
    pub(crate) fn posts_in(&self, namespace: &str) -> usize {
        self.posts.iter().filter(|post| post.namespace == namespace).count()
    }

    /// The reasons of the Events about an object of that name.
    pub(crate) fn told_about(&self, name: &str) -> Vec<&str> {
        let about = self.events.iter().filter(|(_, about)| about == name);
        about.map(|(reason, _)| reason.as_str()).collect()
    }

    /// Whether an Event with that reason is about an object of that name.
    pub(crate) fn was_told(&self, reason: &str, name: &str) -> bool {
        self.events.iter().any(|(said, about)| said == reason && about == name)
    }
}

/// Runs it in time that is paused.
pub(crate) fn in_paused_time<T>(story: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(story)
}
