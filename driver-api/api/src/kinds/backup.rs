//! The `Backup` kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::location::BackupLocation;
use super::progress::Progress;
use crate::labels::BACKUP_FINALIZER;

/// One backup of one Database. It outlives the Database.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "db.isotoma.com",
    version = "v1alpha1",
    kind = "Backup",
    namespaced,
    status = "BackupStatus",
    shortname = "dbob",
    category = "db-operator",
    doc = "One backup of one Database. It outlives the Database.",
    printcolumn(
        name = "Database",
        type_ = "string",
        json_path = ".spec.database",
        description = "What is backed up"
    ),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "How far the work got"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the backup is complete"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is complete or not"
    ),
    printcolumn(
        name = "Progress",
        type_ = "integer",
        json_path = ".status.progress.percent",
        description = "Percent done"
    ),
    printcolumn(
        name = "Size",
        type_ = "string",
        json_path = ".status.size",
        description = "What it takes in the store"
    ),
    printcolumn(
        name = "Duration",
        type_ = "string",
        json_path = ".status.duration",
        description = "How long it took"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Destination",
        type_ = "string",
        json_path = ".status.destination",
        description = "Where it is stored"
    ),
    printcolumn(
        name = "Deletion",
        type_ = "string",
        json_path = ".spec.deletionPolicy",
        description = "What becomes of what is stored when this object is deleted",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        description = "What happened, and what to do next",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.deletionPolicy) || self.deletionPolicy != 'Delete' || (has(oldSelf.deletionPolicy) && oldSelf.deletionPolicy == 'Delete')").message("deletionPolicy cannot become Delete later, for nothing guards what is stored by now: delete it in the bucket, as section Deleting a backup of docs/backups.md explains"))]
pub struct BackupSpec {
    /// Name of the Database in the same namespace. It cannot be changed.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("database cannot be changed: create another Backup"))]
    pub database: String,
    /// What becomes of what is stored when this object is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<BackupDeletionPolicy>,
}

/// What becomes of what is stored when this object is deleted. Default: `Retain`. `Delete` may become `Retain` at any
/// time, and not the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackupDeletionPolicy {
    /// Delete it from the store.
    Delete,
    /// Leave it in the store.
    Retain,
}

/// How far the work on a Backup got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BackupPhase {
    /// A run has claimed it.
    Starting,
    /// It is being written.
    BackingUp,
    /// It is whole: its manifest exists.
    Completed,
}

impl BackupPhase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 3] = [Self::Starting, Self::BackingUp, Self::Completed];
}

/// What was seen and done. Only the driver's runtime writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// How far the work got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// `Ready`: the backup is complete. `Stalled`: repeating cannot help, so something has to change first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The `metadata.generation` on which the last run worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the backup is stored, as a URL: the folder of its `manifest.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// How much of it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// When the present or last run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// How long it took, such as `1m12s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// What it takes in the store, such as `179Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The same in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<i64>,
    /// SHA-256 of its manifest, which holds those of everything else, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Version of the server that it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// What wrote the dump, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
    /// Uid of the Database that it is of. The Database may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_uid: Option<String>,
    /// Name of the `Driver` that it is written with. It also deletes what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Where it is stored, as a `Restore` takes it in `from.location`; recorded before anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<BackupLocation>,
    /// The Job that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

impl Backup {
    /// The phase, if any is written.
    pub fn phase(&self) -> Option<BackupPhase> {
        self.status.as_ref().and_then(|status| status.phase)
    }

    /// Whether our finalizer is set: then what is stored goes before the object does.
    pub fn is_guarded(&self) -> bool {
        self.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == BACKUP_FINALIZER)
    }

    /// Whether somebody has asked for the deletion of this object.
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether what is stored is to be deleted with this object.
    pub fn deletes_what_is_stored(&self) -> bool {
        self.spec.deletion_policy == Some(BackupDeletionPolicy::Delete)
    }

    /// Where it is stored, or is to be, if a run has recorded it.
    pub fn location(&self) -> Option<&BackupLocation> {
        self.status.as_ref().and_then(|status| status.location.as_ref())
    }
}
