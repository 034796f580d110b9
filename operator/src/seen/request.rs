//! A Backup or a Restore, as far as decisions about its Database read it.

use std::sync::Arc;

use api::{BackupPhase, GROUP, Operation, RestorePhase};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use super::backup::KnownBackup;
use super::database::Condition;
use super::metadata::{Key, Metadata, Uid, short};
use super::references::{Bucket, Location, SourceReferences, StoreReferences};
use crate::decision::Wish;

/// A Backup or a Restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRequest {
    /// What it asks for: [`Operation::Backup`] or [`Operation::Restore`].
    pub operation: Operation,
    pub uid: Uid,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    /// Name of the Database that it is about.
    pub database: Arc<str>,
    /// Uid of that Database, if it is about no other one of that name.
    pub database_uid: Option<Uid>,
    /// When it was made.
    pub created: Timestamp,
    /// `db.isotoma.com/retry`.
    pub retry: Option<Wish>,
    /// Whether somebody deletes it.
    pub deleted: bool,
    /// Whether everything is done.
    pub completed: bool,
    /// The Job that did it.
    pub completed_by: Option<Box<str>>,
    /// Of a Restore: where its backup is.
    pub from: Option<Arc<SourceReferences>>,
    /// Of a Backup: where the keys are of the bucket that it is stored in.
    pub stored_in: Option<Arc<StoreReferences>>,
    /// Whether its condition says that what it stored is deleted.
    pub erased: bool,
    /// Of a Backup that is being deleted: what else is read of it then.
    pub deletion: Option<Box<KnownBackup>>,
}

#[derive(Deserialize)]
struct Wire<Spec, Status> {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BackupSpec {
    database: Arc<str>,
    #[serde(default)]
    deletion_policy: Option<api::BackupDeletionPolicy>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BackupStatus {
    phase: Option<BackupPhase>,
    conditions: Vec<Condition>,
    #[serde(deserialize_with = "short")]
    driver: Option<Arc<str>>,
    location: Option<Location>,
    #[serde(deserialize_with = "short")]
    job: Option<Box<str>>,
}

#[derive(Deserialize)]
struct RestoreSpec {
    database: Arc<str>,
    #[serde(default)]
    from: SourceReferences,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RestoreStatus {
    phase: Option<RestorePhase>,
    #[serde(deserialize_with = "short")]
    job: Option<Box<str>>,
}

/// A Backup, on its way into the world.
#[derive(Debug)]
pub struct SeenBackup(pub KnownRequest);

/// A Restore, on its way into the world.
#[derive(Debug)]
pub struct SeenRestore(pub KnownRequest);

impl<'de> Deserialize<'de> for SeenBackup {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Wire { metadata, spec, status } = Wire::<BackupSpec, BackupStatus>::deserialize(deserializer)?;
        let BackupStatus { phase, conditions, driver, location, job } = status.unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.kind == api::READY);
        let erased = metadata.deleted && ready.is_some_and(|ready| ready.reason == "Deleted");
        let bucket = location.as_ref().map(|location| Arc::new(location.bucket()));
        let store = location.map(|location| Arc::new(location.references()));
        let deletion = metadata.deleted.then(|| {
            Box::new(KnownBackup {
                deletes_what_is_stored: spec.deletion_policy == Some(api::BackupDeletionPolicy::Delete),
                driver: driver.unwrap_or_default(),
                written_by: job.clone(),
                bucket: bucket.clone(),
                store: store.clone().unwrap_or_default(),
                ..KnownBackup::of(&metadata, &spec.database)
            })
        });
        Ok(Self(KnownRequest {
            completed: phase == Some(BackupPhase::Completed),
            completed_by: job,
            stored_in: store,
            erased,
            deletion,
            ..KnownRequest::of(Operation::Backup, metadata, spec.database)
        }))
    }
}

impl<'de> Deserialize<'de> for SeenRestore {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Wire { metadata, spec, status } = Wire::<RestoreSpec, RestoreStatus>::deserialize(deserializer)?;
        let RestoreStatus { phase, job } = status.unwrap_or_default();
        Ok(Self(KnownRequest {
            completed: phase == Some(RestorePhase::Completed),
            completed_by: job,
            from: Some(Arc::new(spec.from)),
            ..KnownRequest::of(Operation::Restore, metadata, spec.database)
        }))
    }
}

impl KnownRequest {
    /// What an object's metadata says, and nothing else yet.
    pub fn of(operation: Operation, metadata: Metadata, database: Arc<str>) -> Self {
        Self {
            operation,
            database_uid: metadata.labels.get(api::UID_LABEL).map(Into::into),
            uid: metadata.uid,
            namespace: metadata.namespace,
            name: metadata.name,
            database,
            created: metadata.creation_timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
            retry: metadata.annotations.retry,
            deleted: metadata.deleted,
            completed: false,
            completed_by: None,
            from: None,
            stored_in: None,
            erased: false,
            deletion: None,
        }
    }

    /// Whether somebody still waits for it.
    pub fn is_pending(&self) -> bool {
        !self.completed && !self.deleted
    }

    /// The Database that it is about.
    pub fn about(&self) -> Key {
        (Arc::clone(&self.namespace), Arc::clone(&self.database))
    }

    /// Its bucket, if it is a Backup that is being deleted.
    pub fn bucket(&self) -> Option<&Bucket> {
        self.deletion.as_ref()?.bucket.as_deref()
    }

    /// What an Event is about.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(format!("{GROUP}/v1alpha1")),
            kind: Some(if self.operation == Operation::Backup { "Backup" } else { "Restore" }.to_owned()),
            name: Some(self.name.to_string()),
            namespace: Some(self.namespace.to_string()),
            uid: Some(self.uid.to_string()),
            ..ObjectReference::default()
        }
    }
}
