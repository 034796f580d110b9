//! A Database, as far as decisions and Jobs read it.

use std::sync::Arc;

use api::lifecycle::{Intent, policy_in_force};
use api::{DatabasePhase, DeletionPolicy};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use super::metadata::{Metadata, Uid, lenient_time, short};
use super::references::{Connect, Credentials, S3, ServerReferences, SourceReferences, StoreReferences};
use crate::decision::Wish;

/// A Database. A few hundred bytes, whatever its owner has written into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDatabase {
    pub uid: Uid,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether our finalizer is set, so that something may be on the server.
    pub guarded: bool,
    /// What its owner wants.
    pub intent: Intent,
    /// `db.isotoma.com/retry`.
    pub retry: Option<Wish>,
    /// `db.isotoma.com/reconcile`.
    pub reconcile: Option<Wish>,
    /// Name of its `Driver`.
    pub driver: Arc<str>,
    /// Its server, as caps count it: the host in lower case. Not the port, because only the driver knows which one is
    /// meant if none is given.
    pub server: Arc<str>,
    /// Where the administrator's login is.
    pub login: Arc<ServerReferences>,
    /// Where the keys are of the bucket that it is backed up to.
    pub backup_to: Arc<StoreReferences>,
    /// What it is made from.
    pub restore_from: Option<Arc<SourceReferences>>,
    /// How far the work got.
    pub phase: Option<DatabasePhase>,
    /// Whether it was complete once, so that it may hold rows.
    pub was_created: bool,
    /// Whether condition Ready is True about this generation.
    pub ready: bool,
    /// When a run last verified it.
    pub verified_at: Option<Timestamp>,
    /// The wish to reconcile that was handled last.
    pub handled: Option<Wish>,
    /// Name of the Backup or Restore that the claim on it names.
    pub active: Option<Arc<str>>,
    /// The Job that last completed its operation.
    pub completed: Option<Box<str>>,
    /// Its name on the server, and that server, as a run has recorded them.
    pub recorded: Option<(Box<str>, Arc<str>)>,
}

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    driver: Arc<str>,
    connect: Connect,
    #[serde(default)]
    credentials: Credentials,
    #[serde(default)]
    deletion_policy: Option<DeletionPolicy>,
    #[serde(default)]
    backup_to: Option<BackupTo>,
    #[serde(default)]
    restore_from: Option<SourceReferences>,
}

#[derive(Deserialize)]
struct BackupTo {
    #[serde(default)]
    s3: Option<S3>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Option<DatabasePhase>,
    conditions: Vec<Condition>,
    #[serde(deserialize_with = "short")]
    server: Option<Arc<str>>,
    #[serde(deserialize_with = "short")]
    database: Option<Box<str>>,
    #[serde(deserialize_with = "super::metadata::is_there")]
    created_at: bool,
    #[serde(deserialize_with = "lenient_time")]
    verified_at: Option<Timestamp>,
    last_handled_reconcile: Option<String>,
    active_operation: Option<ActiveOperation>,
    last_completed_job: Option<Box<str>>,
    deletion_policy: Option<DeletionPolicy>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ActiveOperation {
    #[serde(deserialize_with = "short")]
    backup: Option<Arc<str>>,
    #[serde(deserialize_with = "short")]
    restore: Option<Arc<str>>,
}

/// A condition, without its message.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) observed_generation: Option<i64>,
}

/// Longest name of a Job that can be ours.
const LONGEST_JOB_NAME: usize = 63;

impl<'de> Deserialize<'de> for KnownDatabase {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Wire { metadata, spec, status } = Wire::deserialize(deserializer)?;
        let status = status.unwrap_or_default();
        let ready = status.conditions.iter().any(|condition| {
            condition.kind == api::READY
                && condition.status == "True"
                && condition.observed_generation == Some(metadata.generation)
        });
        let policy = policy_in_force(
            spec.deletion_policy,
            status.deletion_policy,
            spec.backup_to.is_some(),
            status.phase,
        );
        let active = status.active_operation.unwrap_or_default();
        let store = spec.backup_to.and_then(|to| to.s3).map(StoreReferences::from);
        Ok(Self {
            uid: metadata.uid,
            namespace: metadata.namespace,
            name: metadata.name,
            generation: metadata.generation,
            guarded: metadata.finalizers.database,
            intent: Intent::under(metadata.deleted, policy),
            retry: metadata.annotations.retry,
            reconcile: metadata.annotations.reconcile,
            driver: spec.driver,
            server: spec.connect.host.to_ascii_lowercase().into(),
            login: Arc::new(ServerReferences::of(spec.credentials, spec.connect)),
            backup_to: Arc::new(store.unwrap_or_default()),
            restore_from: spec.restore_from.map(Arc::new),
            phase: status.phase,
            was_created: status.created_at,
            ready,
            verified_at: status.verified_at,
            handled: status.last_handled_reconcile.as_deref().map(Wish::of),
            active: active.backup.or(active.restore),
            completed: status.last_completed_job.filter(|name| name.len() <= LONGEST_JOB_NAME),
            recorded: status.database.zip(status.server),
        })
    }
}

impl KnownDatabase {
    /// Whether somebody deletes it.
    pub fn is_being_deleted(&self) -> bool {
        self.intent != Intent::Keep
    }

    /// Whether its Job for that operation moves rows: a database that is made from a backup is loaded too.
    pub fn moves_data(&self, operation: api::Operation) -> bool {
        operation.row().moves_data
            || (operation == api::Operation::Create && self.restore_from.is_some() && !self.was_created)
    }
}
