//! Names of the environment variables through which the operator tells a driver's container what to do.
//!
//! The prefix `DB_OPERATOR_` is reserved: a `Driver` object's pod template cannot set it.
//!
//! What the kubelet injects from a Secret or ConfigMap has a literal beside it that says where it is from, so that an
//! admission policy can compare both, and the runtime that literal with what the live object names.

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
/// `metadata.uid` of the Database for which the Job was launched; of the Backup, if only that is let go.
pub const UID: &str = "DB_OPERATOR_UID";
/// `metadata.generation` of the same object.
pub const GENERATION: &str = "DB_OPERATOR_GENERATION";
/// Name of the Job.
pub const JOB: &str = "DB_OPERATOR_JOB";
/// Identifies the cluster in the ownership mark on the server: the uid of namespace `kube-system`.
pub const CLUSTER_ID: &str = "DB_OPERATOR_CLUSTER_ID";
/// The administrator's user name, if `spec.credentials` takes it from a Secret.
pub const ADMIN_USERNAME: &str = "DB_OPERATOR_ADMIN_USERNAME";
/// The administrator's password, if `spec.credentials` takes it from a Secret.
pub const ADMIN_PASSWORD: &str = "DB_OPERATOR_ADMIN_PASSWORD";
/// PEM of the authorities that sign the server's certificate, if it is in a Secret or ConfigMap.
pub const TLS_CA: &str = "DB_OPERATOR_TLS_CA";
/// PEM of the client certificate.
pub const TLS_CERTIFICATE: &str = "DB_OPERATOR_TLS_CERTIFICATE";
/// PEM of the client certificate's private key.
pub const TLS_KEY: &str = "DB_OPERATOR_TLS_KEY";
/// The id of the object store's access key, if it is in a Secret.
pub const S3_ACCESS_KEY_ID: &str = "DB_OPERATOR_S3_ACCESS_KEY_ID";
/// The object store's secret access key, if it is in a Secret.
pub const S3_SECRET_ACCESS_KEY: &str = "DB_OPERATOR_S3_SECRET_ACCESS_KEY";
/// The session token of temporary credentials of the object store, if it is in a Secret.
pub const S3_SESSION_TOKEN: &str = "DB_OPERATOR_S3_SESSION_TOKEN";
/// The private key of a backup that is encrypted, if it is in a Secret.
pub const DECRYPTION_KEY: &str = "DB_OPERATOR_DECRYPTION_KEY";
/// Where the authorities of the object store are from, which are mounted as a file: as [`from`] has it.
pub const S3_CA_FROM: &str = "DB_OPERATOR_S3_CA_FROM";
/// `text` or `json`.
pub const LOG_FORMAT: &str = "DB_OPERATOR_LOG_FORMAT";

/// What the kubelet injects from a Secret or ConfigMap. Beside each stands its [`from`].
pub const INJECTED: [&str; 9] = [
    ADMIN_USERNAME,
    ADMIN_PASSWORD,
    TLS_CA,
    TLS_CERTIFICATE,
    TLS_KEY,
    S3_ACCESS_KEY_ID,
    S3_SECRET_ACCESS_KEY,
    S3_SESSION_TOKEN,
    DECRYPTION_KEY,
];

/// The name of the literal that says where the injected variable `name` is from: `NAME/KEY` for the key of a Secret,
/// `configmap/NAME/KEY` for that of a ConfigMap.
pub fn from(name: &str) -> String {
    format!("{name}_FROM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_where_it_is_from_is_told_from_every_injected_name() {
        assert_eq!(from(ADMIN_PASSWORD), "DB_OPERATOR_ADMIN_PASSWORD_FROM");
        assert!(
            INJECTED.iter().all(|name| !INJECTED.contains(&from(name).as_str()) && from(name) != S3_CA_FROM)
        );
    }
}
