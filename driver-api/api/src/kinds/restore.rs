//! The `Restore` kind, and where a restore takes its backup from.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credentials::ValueSource;
use super::location::BackupLocation;
use super::progress::Progress;

/// Loads a backup into a Database of the same namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "db.isotoma.com",
    version = "v1alpha1",
    kind = "Restore",
    namespaced,
    status = "RestoreStatus",
    shortname = "dbor",
    category = "db-operator",
    doc = "Loads a backup into a Database of the same namespace.",
    printcolumn(
        name = "Database",
        type_ = "string",
        json_path = ".spec.database",
        description = "What is loaded into"
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
        description = "Whether all of it is loaded"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is loaded or not"
    ),
    printcolumn(
        name = "Progress",
        type_ = "integer",
        json_path = ".status.progress.percent",
        description = "Percent done"
    ),
    printcolumn(
        name = "Duration",
        type_ = "string",
        json_path = ".status.duration",
        description = "How long it took"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".status.source",
        description = "Where the backup is stored",
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
#[x_kube(validation = Rule::new("self == oldSelf").message("a Restore cannot be changed: create another one"))]
pub struct RestoreSpec {
    /// Name of the Database in the same namespace that is loaded into.
    #[schemars(length(min = 1, max = 253))]
    pub database: String,
    /// Where the backup is.
    pub from: RestoreSource,
    /// Whether what is in the Database is given up for the backup. Default: false, and a Database that is not
    /// empty is left as it is.
    #[serde(default)]
    pub overwrite: bool,
}

/// Where a backup is taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.backup) != has(self.location)").message("set exactly one of backup and location"),
    validation = Rule::new("!has(self.decryptionKey) || !has(self.decryptionKey.value)").message("decryptionKey cannot be written down here: use valueFrom")
)]
pub struct RestoreSource {
    /// Name of a Backup in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub backup: Option<String>,
    /// Where the backup is stored: for one whose Backup object is gone, or is in another namespace or cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<BackupLocation>,
    /// The private key, `AGE-SECRET-KEY-1…`, of a backup that is encrypted. It cannot be written down here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption_key: Option<ValueSource>,
}

/// How far the work on a Restore got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RestorePhase {
    /// A run has claimed it, and reads the backup to see that it is whole.
    Starting,
    /// It is being loaded.
    Restoring,
    /// All of it is loaded.
    Completed,
}

impl RestorePhase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 3] = [Self::Starting, Self::Restoring, Self::Completed];
}

/// What was seen and done. Only the driver's runtime writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// How far the work got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// `Ready`: all of it is loaded. `Stalled`: repeating cannot help, so something has to change first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The `metadata.generation` on which the last run worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the backup is stored, as a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How much of it is loaded.
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
    /// The Job that loaded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

impl Restore {
    /// The phase, if any is written.
    pub fn phase(&self) -> Option<RestorePhase> {
        self.status.as_ref().and_then(|status| status.phase)
    }
}
