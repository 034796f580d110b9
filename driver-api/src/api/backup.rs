//! The `Backup` kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Destination",
        type_ = "string",
        json_path = ".status.destination",
        description = "Where it is stored",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    /// Name of the Database in the same namespace. It cannot be changed.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("database cannot be changed: create another Backup"))]
    pub database: String,
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
    /// Where the backup is stored, as a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// How much of it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<BackupProgress>,
}

/// How much of a backup is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupProgress {
    /// Percent done, 0 to 100, estimated by the database's size.
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,
    /// Bytes read from the server.
    pub bytes: i64,
}
