//! What a test does in its namespace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use api::{Database, DriverRegistration, DriverRegistrationSpec};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};

use crate::label::own_label;
use crate::reason::{ready, ready_message, ready_reason};
use crate::server::texts;
use crate::wait::{PATIENCE, until, until_any};

/// A test's namespace.
#[derive(Clone)]
pub struct Context {
    /// A client with all rights.
    pub client: Client,
    /// Its name.
    pub namespace: String,
    leaves_databases: Arc<AtomicBool>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace, leaves_databases: Arc::default() }
    }

    /// The objects of that kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What the names on the server begin with, of the databases of this namespace.
    pub fn prefix(&self) -> String {
        self.namespace.replace('-', "_")
    }

    /// Announces that databases stay on a server when this test ends. They are dropped then.
    pub fn leaves_databases(&self) {
        self.leaves_databases.store(true, Ordering::Relaxed);
    }

    pub(crate) fn may_leave_databases(&self) -> bool {
        self.leaves_databases.load(Ordering::Relaxed)
    }

    /// Creates a Database.
    pub async fn create(&self, database: &Database) -> Result<Database> {
        let created = self.api().create(&PostParams::default(), database).await;
        created.with_context(|| format!("cannot create Database {}", database.name_any()))
    }

    /// Creates a Database and waits until it is ready.
    pub async fn create_ready(&self, database: &Database) -> Result<Database> {
        self.create(database).await?;
        self.ready(&database.name_any()).await
    }

    /// Waits until `check` holds for a Database.
    pub async fn until(
        &self,
        name: &str,
        limit: Duration,
        what: &str,
        mut check: impl FnMut(&Database) -> bool,
    ) -> Result<Database> {
        let found = until(&self.api(), name, limit, what, |live| live.is_some_and(&mut check)).await?;
        found.context("the Database is gone")
    }

    /// Waits until a Database is ready.
    pub async fn ready(&self, name: &str) -> Result<Database> {
        self.until(name, PATIENCE, "Ready", ready).await
    }

    /// Waits until a Database says that it does not go on for that reason, and returns its sentence.
    pub async fn refused(&self, name: &str, reason: &str) -> Result<String> {
        let what = format!("a condition with reason {reason}");
        let refused = |live: &Database| ready_reason(live) == reason && !ready(live);
        let database = self.until(name, PATIENCE, &what, refused).await?;
        Ok(ready_message(&database).to_owned())
    }

    /// Waits for a Warning with that reason on an object of that name, and returns its sentence.
    pub async fn warned(&self, name: &str, reason: &str, limit: Duration) -> Result<String> {
        self.event_within(limit, name, reason, "Warning").await
    }

    /// Waits for an Event of that type and reason on an object of that name, and returns its sentence.
    pub async fn event(&self, name: &str, reason: &str, kind: &str) -> Result<String> {
        self.event_within(PATIENCE, name, reason, kind).await
    }

    async fn event_within(&self, limit: Duration, name: &str, reason: &str, kind: &str) -> Result<String> {
        let selection = watcher::Config::default().fields(&format!("involvedObject.name={name}"));
        let what = format!("{kind} with reason {reason} on {name}");
        let is_it =
            |event: &Event| event.reason.as_deref() == Some(reason) && event.type_.as_deref() == Some(kind);
        let event = until_any(&self.api::<Event>(), selection, limit, &what, is_it).await?;
        Ok(event.message.unwrap_or_default())
    }

    /// Waits for a pod with that label whose container runs, and returns its name.
    pub async fn running_pod(&self, label: &str) -> Result<String> {
        let selection = watcher::Config::default().labels(label);
        let runs = |pod: &Pod| {
            pod.status
                .as_ref()
                .and_then(|status| status.phase.as_deref())
                .is_some_and(|phase| phase == "Running")
        };
        let pod = until_any(&self.api::<Pod>(), selection, PATIENCE, "a pod that runs", runs).await?;
        Ok(pod.name_any())
    }

    /// Deletes a Database, and waits until it is gone.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.begin_delete(name).await?;
        self.gone(name).await
    }

    /// Deletes a Database, and does not wait.
    pub async fn begin_delete(&self, name: &str) -> Result<()> {
        self.api::<Database>().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until a Database is gone.
    pub async fn gone(&self, name: &str) -> Result<()> {
        until(&self.api::<Database>(), name, PATIENCE, "its end", |live| live.is_none()).await?;
        Ok(())
    }

    /// Changes a Database by a merge patch.
    pub async fn patch(&self, name: &str, patch: Value) -> Result<Database> {
        Ok(self.api().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?)
    }

    /// Sets an annotation of a Database.
    pub async fn annotate(&self, name: &str, annotation: &str, value: &str) -> Result<()> {
        self.patch(name, json!({"metadata": {"annotations": {annotation: value}}})).await?;
        Ok(())
    }

    /// Writes a phase into a Database's status, as no user can and a cluster's administrator may.
    pub async fn forge_phase(&self, name: &str, phase: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"status": {"phase": phase}}));
        self.api::<Database>().patch_status(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The data of a Secret.
    pub async fn secret(&self, name: &str) -> Result<BTreeMap<String, String>> {
        texts(&self.api::<Secret>().get(name).await?)
    }

    /// Creates or changes a Secret.
    pub async fn put_secret(&self, name: &str, data: Value) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data,
        });
        let parameters = PatchParams::apply("db-operator-e2e").force();
        self.api::<Secret>().patch(name, &parameters, &Patch::Apply(&secret)).await?;
        Ok(())
    }

    /// Registers a driver of this test's own: the one for PostgreSQL, changed. Returns its name.
    pub async fn register_driver(&self, change: impl FnOnce(&mut DriverRegistrationSpec)) -> Result<String> {
        let api: Api<DriverRegistration> = Api::all(self.client.clone());
        let mut spec =
            api.get("postgresql").await.context("no release is installed: run `make cluster`")?.spec;
        change(&mut spec);
        let mut driver = DriverRegistration::new(&self.namespace, spec);
        driver.metadata = ObjectMeta {
            name: Some(self.namespace.clone()),
            labels: Some(BTreeMap::from([own_label(&self.namespace)])),
            ..ObjectMeta::default()
        };
        api.create(&PostParams::default(), &driver).await?;
        Ok(self.namespace.clone())
    }
}
