//! What operator, drivers and people agree on: the Kubernetes API of db-operator, group `db.isotoma.com`, version
//! `v1alpha1`, the operations, the lifecycle, and the words that both sides use.
//!
//! Doc comments of the fields are user documentation: `kubectl explain` prints them, and
//! `docs/reference/api.md` is generated from them.

#![allow(clippy::duplicated_attributes, reason = "each printer column has its own name and type")]
#![allow(unreachable_pub, reason = "KubeSchema repeats each struct inside a function body")]

pub mod env;
pub mod lifecycle;
pub mod names;
pub mod permission;

mod intent;
mod kinds;
mod labels;
mod operation;
mod reason;

pub use kinds::{
    ActiveOperation, AwsSecretKeyRef, Backup, BackupDeletionPolicy, BackupLocation, BackupPhase, BackupSpec,
    BackupStatus, BackupTarget, Binding, ClientCertificate, Conditions, ConfigMapKeyRef, Connect,
    Credentials, Database, DatabasePhase, DatabaseSpec, DatabaseStatus, DeletionPolicy, DriverPodTemplate,
    DriverRegistration, DriverRegistrationSpec, Encryption, FinalBackup, Parameters, Progress, READY,
    Restore, RestorePhase, RestoreSource, RestoreSpec, RestoreStatus, S3Credentials, S3Target,
    S3TargetOriginalSpelling, STALLED, SecretKeyRef, SecretTemplate, Tls, TlsCa, TlsCaSource, TlsMode,
    ValueFrom, ValueSource, crds,
};
pub use labels::{
    BACKUP_FINALIZER, DRIVER_FIELD_MANAGER, DRIVER_SERVICE_ACCOUNT, FINALIZER, GROUP, MANAGED_BY,
    MANAGED_BY_LABEL, MAX_DATABASE_NAME, RECONCILE_ANNOTATION, RETRY_ANNOTATION, UID_LABEL,
};
pub use operation::{Operation, Row, StoreAccess, Subject, UnknownOperation};
pub use reason::{Reason, Retry};
