//! The `Database` kind.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::connect::Connect;
use super::credentials::Credentials;
use super::parameters::Parameters;
use super::restore::RestoreSource;
use super::target::BackupTarget;
use crate::labels::FINALIZER;
use crate::operation::Operation;

/// A database and its login on a server that already runs somewhere.
///
/// db-operator creates both, writes the login into a Secret of the same name and namespace, and looks
/// after them until this object is deleted.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "db.isotoma.com",
    version = "v1alpha1",
    kind = "Database",
    namespaced,
    status = "DatabaseStatus",
    shortname = "dbo",
    category = "db-operator",
    doc = "A database and its login on a server that already runs somewhere. db-operator creates both, writes the login into a Secret of the same name and namespace, and looks after them until this object is deleted.",
    label("servicebinding.io/provisioned-service", "true"),
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
        description = "Whether the database is what the spec asks for"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is ready or not"
    ),
    printcolumn(
        name = "Since",
        type_ = "date",
        json_path = ".status.conditions[?(@.type==\"Ready\")].lastTransitionTime",
        description = "Since when it is ready or not"
    ),
    printcolumn(name = "Driver", type_ = "string", json_path = ".spec.driver", description = "The engine"),
    printcolumn(
        name = "Server",
        type_ = "string",
        json_path = ".status.server",
        description = "The server it is on"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Database",
        type_ = "string",
        json_path = ".status.database",
        description = "Its name on the server",
        priority = 1
    ),
    printcolumn(
        name = "Deletion",
        type_ = "string",
        json_path = ".status.deletionPolicy",
        description = "What becomes of the database when this object is deleted",
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
#[x_kube(validation = Rule::new("has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)").message("name cannot be changed, set or removed later: create another Database"))]
#[x_kube(validation = Rule::new("!has(oldSelf.backupTo) || has(self.backupTo) || has(self.deletionPolicy)").message("backupTo cannot be taken away without a word: set deletionPolicy beside it to say what becomes of the database when this object is deleted; Retain leaves it on the server, Delete drops it without a backup"))]
#[x_kube(validation = Rule::new("!has(oldSelf.deletionPolicy) || has(self.deletionPolicy)").message("deletionPolicy cannot be taken away once it is said: set it to Retain, BackupThenDelete or Delete"))]
pub struct DatabaseSpec {
    /// Name of the `Driver` object of the engine, such as `postgresql`. It cannot be changed.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("driver cannot be changed: create another Database"))]
    pub driver: String,
    /// How to reach the server.
    pub connect: Connect,
    /// The administrator's login on the server.
    pub credentials: Credentials,
    /// Name of the database on the server. It cannot be changed. Default: derived from namespace and name,
    /// with a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 48), regex(pattern = "^[a-z][a-z0-9_]*$"))]
    #[x_kube(validation = Rule::new("!(self in ['postgres', 'template0', 'template1', 'rdsadmin', 'cloudsqladmin', 'azure_maintenance', 'azure_sys', 'mysql', 'sys', 'information_schema', 'performance_schema', 'public', 'defaultdb']) && !self.startsWith('pg_')").message("this name is reserved by the server: choose another"))]
    pub name: Option<String>,
    /// Parameters of the driver's own, such as `extensions`. An unknown one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::schema::free_form_object")]
    pub parameters: Option<Parameters>,
    /// What becomes of the database when this object is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Where backups go. It cannot be taken away without saying a `deletionPolicy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_to: Option<BackupTarget>,
    /// A backup that the database is made from. It is not read again once the database is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_from: Option<RestoreSource>,
    /// What the Secret with the login carries besides its standard keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
}

/// What becomes of the database when its object is deleted. `spec.deletionPolicy` says it; once said it cannot be taken
/// away. Without a word there, `status.deletionPolicy` counts, which the first run has recorded: `BackupThenDelete` if
/// `backupTo` was set, else `Retain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Drop it.
    Delete,
    /// Back it up, verify the backup, then drop it.
    BackupThenDelete,
    /// Leave it on the server.
    Retain,
}

/// What the Secret with the login carries besides its standard keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Labels of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// More keys, each a template over the standard ones, such as
    /// `jdbc:postgresql://{{ host }}:{{ port }}/{{ database | urlencode }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
}

/// How far the work on a Database got. Phases say what is done; conditions say why it does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DatabasePhase {
    /// A driver is making it.
    Creating,
    /// It exists, and its Secret logs in.
    Created,
    /// A backup run has claimed the database.
    BackupRequested,
    /// A backup is being written.
    BackupInProgress,
    /// A backup is complete.
    BackupCompleted,
    /// A restore's run has claimed the database.
    RestoreRequested,
    /// A backup is being loaded. What was there before is given up.
    RestoreInProgress,
    /// A backup is loaded.
    RestoreCompleted,
    /// The final backup's run has claimed the database.
    BackupBeforeDeleteRequested,
    /// The final backup is being written.
    BackupBeforeDeleteInProgress,
    /// The final backup is complete and verified.
    BackupBeforeDeleteCompleted,
    /// The deletion's run has claimed the database.
    DeletionRequested,
    /// The database is being dropped.
    DeletionInProgress,
    /// Nothing of it is left on the server, or it was left there as asked.
    Deleted,
}

impl DatabasePhase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 14] = [
        Self::Creating,
        Self::Created,
        Self::BackupRequested,
        Self::BackupInProgress,
        Self::BackupCompleted,
        Self::RestoreRequested,
        Self::RestoreInProgress,
        Self::RestoreCompleted,
        Self::BackupBeforeDeleteRequested,
        Self::BackupBeforeDeleteInProgress,
        Self::BackupBeforeDeleteCompleted,
        Self::DeletionRequested,
        Self::DeletionInProgress,
        Self::Deleted,
    ];
}

/// What was seen and done. Only the driver's runtime writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// How far the work got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DatabasePhase>,
    /// `Ready`: the database is what the spec asks for. `Stalled`: repeating cannot help, so
    /// something has to change first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The `metadata.generation` on which the last run worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The server, as `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Name of the database on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The deletion policy in force. Only a word in `spec.deletionPolicy` changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// The cluster in the ownership mark on the server, as it was when the database was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The final backup that this deletion has announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_backup: Option<FinalBackup>,
    /// The Secret with the login, after the Service Binding specification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// When the database was first complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// When a run last found, or made, everything as the spec asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
    /// The value of the annotation `db.isotoma.com/reconcile` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile: Option<String>,
    /// The run that has claimed this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_operation: Option<ActiveOperation>,
    /// The Job that last completed its operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_completed_job: Option<String>,
}

/// The Secret with the login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Binding {
    /// Name of the Secret.
    pub name: String,
}

/// A final backup: announced before its first byte, once the logins are locked out, and verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinalBackup {
    /// The attempt, which nobody can guess. Its folder is `NAMESPACE/NAME/final-UID-ATTEMPT` under the prefix.
    pub attempt: String,
    /// SHA-256 of its manifest as it was written, in hexadecimal digits, once it is verified. The drop believes no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// The run that has claimed an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveOperation {
    /// What the run does.
    pub operation: Operation,
    /// Name of its Job.
    pub job: String,
    /// Name of the Backup it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Name of the Restore it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<String>,
}

impl Database {
    /// The phase, if any is written.
    pub fn phase(&self) -> Option<DatabasePhase> {
        self.status.as_ref().and_then(|status| status.phase)
    }

    /// Whether our finalizer is set, so that something may exist on the server.
    pub fn is_guarded(&self) -> bool {
        self.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
    }

    /// Whether somebody has asked for the deletion of this object.
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(name)).map(String::as_str)
    }
}
