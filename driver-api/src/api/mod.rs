//! The Kubernetes API of db-operator, group `db.isotoma.com`, version `v1alpha1`.
//!
//! Doc comments of the fields are user documentation: `kubectl explain` prints them, and
//! `docs/reference/api.md` is generated from them.

#![allow(clippy::duplicated_attributes, reason = "each printer column has its own name and type")]
#![allow(unreachable_pub, reason = "KubeSchema repeats each struct inside a function body")]

mod backup;
mod condition;
mod connect;
mod credentials;
mod database;
mod registration;
mod restore;
mod schema;
mod target;

pub use backup::{Backup, BackupDeletionPolicy, BackupPhase, BackupSpec, BackupStatus, Progress};
pub use condition::{Conditions, READY, STALLED};
pub use connect::{ClientCertificate, Connect, Tls, TlsCa, TlsCaSource, TlsMode};
pub use credentials::{AwsSecretKeyRef, ConfigMapKeyRef, Credentials, SecretKeyRef, ValueFrom, ValueSource};
pub use database::{
    ActiveOperation, Binding, Database, DatabasePhase, DatabaseSpec, DatabaseStatus, DeletionPolicy,
    SecretTemplate,
};
pub use registration::{DriverPodTemplate, DriverRegistration, DriverRegistrationSpec};
pub use restore::{BackupLocation, Restore, RestorePhase, RestoreSource, RestoreSpec, RestoreStatus};
pub use schema::crds;
pub use target::{BackupTarget, Encryption, S3Credentials, S3Target, S3TargetOriginalSpelling};

/// The API group of every kind.
pub const GROUP: &str = "db.isotoma.com";

/// Finalizer that guards a Database: something may exist on the server only while it is set.
pub const FINALIZER: &str = "db.isotoma.com/database";

/// Finalizer that guards a Backup whose `deletionPolicy` is `Delete`: it is set before anything is stored.
pub const BACKUP_FINALIZER: &str = "db.isotoma.com/backup";

/// Annotation on a Database: a new value brings a run that verifies and repairs.
pub const RECONCILE_ANNOTATION: &str = "db.isotoma.com/reconcile";

/// Annotation on a Database: a new value launches the next attempt of what failed at once.
pub const RETRY_ANNOTATION: &str = "db.isotoma.com/retry";

/// Field manager of every write that a driver's runtime makes.
pub const DRIVER_FIELD_MANAGER: &str = "db-operator-driver";

/// Value of the label `app.kubernetes.io/managed-by` on everything that we create.
pub const MANAGED_BY: &str = "db-operator";

/// The label whose value is [`MANAGED_BY`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Label on what belongs to one Database: its uid. On Jobs, pods and final Backups. On Jobs and pods that let a
/// Backup go, the uid of that.
pub const UID_LABEL: &str = "db.isotoma.com/uid";

/// Service account that driver Jobs run under, in the Database's own namespace.
pub const DRIVER_SERVICE_ACCOUNT: &str = "db-operator-driver";

/// Longest database name that `spec.name` takes and that we derive.
///
/// It leaves room for role suffixes within PostgreSQL's 63 bytes and MySQL's 64 characters.
pub const MAX_DATABASE_NAME: usize = 48;

/// Names of the environment variables through which the operator tells a driver's container what to do.
///
/// The prefix `DB_OPERATOR_` is reserved: a `Driver` object's pod template cannot set it.
pub mod env {
    /// Name of the Database.
    pub const DATABASE: &str = "DB_OPERATOR_DATABASE";
    /// Namespace of the Database and of the Backup.
    pub const NAMESPACE: &str = "DB_OPERATOR_NAMESPACE";
    /// Name of the Backup, for operations on one.
    pub const BACKUP: &str = "DB_OPERATOR_BACKUP";
    /// Name of the Restore, for operations on one.
    pub const RESTORE: &str = "DB_OPERATOR_RESTORE";
    /// `metadata.uid` of the Backup or Restore for which the Job was launched.
    pub const REQUEST_UID: &str = "DB_OPERATOR_REQUEST_UID";
    /// The operation, in its [`Operation`](crate::lifecycle::Operation) spelling: `create`, `delete` and so on.
    pub const OPERATION: &str = "DB_OPERATOR_OPERATION";
    /// `metadata.uid` of the Database for which the Job was launched; of the Backup, where only that is let go.
    pub const UID: &str = "DB_OPERATOR_UID";
    /// `metadata.generation` of the same object.
    pub const GENERATION: &str = "DB_OPERATOR_GENERATION";
    /// Name of the Job.
    pub const JOB: &str = "DB_OPERATOR_JOB";
    /// Identifies the cluster in the ownership mark on the server: the uid of namespace `kube-system`.
    pub const CLUSTER_ID: &str = "DB_OPERATOR_CLUSTER_ID";
    /// The administrator's user name, where `spec.credentials` takes it from a Secret.
    pub const ADMIN_USERNAME: &str = "DB_OPERATOR_ADMIN_USERNAME";
    /// The administrator's password, where `spec.credentials` takes it from a Secret.
    pub const ADMIN_PASSWORD: &str = "DB_OPERATOR_ADMIN_PASSWORD";
    /// PEM of the authorities that sign the server's certificate, where it is in a Secret or ConfigMap.
    pub const TLS_CA: &str = "DB_OPERATOR_TLS_CA";
    /// PEM of the client certificate.
    pub const TLS_CERTIFICATE: &str = "DB_OPERATOR_TLS_CERTIFICATE";
    /// PEM of the client certificate's private key.
    pub const TLS_KEY: &str = "DB_OPERATOR_TLS_KEY";
    /// The id of the object store's access key, where it is in a Secret.
    pub const S3_ACCESS_KEY_ID: &str = "DB_OPERATOR_S3_ACCESS_KEY_ID";
    /// The object store's secret access key, where it is in a Secret.
    pub const S3_SECRET_ACCESS_KEY: &str = "DB_OPERATOR_S3_SECRET_ACCESS_KEY";
    /// The session token of temporary credentials of the object store, where it is in a Secret.
    pub const S3_SESSION_TOKEN: &str = "DB_OPERATOR_S3_SESSION_TOKEN";
    /// The private key of a backup that is encrypted, where it is in a Secret.
    pub const DECRYPTION_KEY: &str = "DB_OPERATOR_DECRYPTION_KEY";
    /// `text` or `json`.
    pub const LOG_FORMAT: &str = "DB_OPERATOR_LOG_FORMAT";
}
