//! The kinds, one file each, and what they have in common.

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
