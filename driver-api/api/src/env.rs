//! Names of the environment variables through which the operator tells a driver's container what to do.
//!
//! The prefix `DB_OPERATOR_` is reserved: a `Driver` object's pod template cannot set it.

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
/// The operation, in its [`Operation`](crate::Operation) spelling: `create`, `delete` and so on.
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
/// Which key of which object the mounted authority of the object store is, as [`from`] spells it.
pub const S3_CA_FROM: &str = "DB_OPERATOR_S3_CA_FROM";

/// Name of the literal beside a variable that the kubelet injects: which key it is, as `name/key` of a Secret or
/// `configmap/name/key`. The runtime takes the value only if the live object names the same.
pub fn from(name: &str) -> String {
    format!("{name}_FROM")
}
