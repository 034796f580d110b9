//! The kinds, one file each, and what they have in common.

mod backup;
mod condition;
mod connect;
mod crds;
mod credentials;
mod database;
mod location;
mod parameters;
mod patterns;
mod progress;
mod registration;
mod restore;
mod schema;
mod target;

pub use backup::{Backup, BackupDeletionPolicy, BackupPhase, BackupSpec, BackupStatus};
pub use condition::{Conditions, READY, STALLED};
pub use connect::{ClientCertificate, Connect, Tls, TlsCa, TlsCaSource, TlsMode};
pub use crds::crds;
pub use credentials::{AwsSecretKeyRef, ConfigMapKeyRef, Credentials, SecretKeyRef, ValueFrom, ValueSource};
pub use database::{
    ActiveOperation, Binding, Database, DatabasePhase, DatabaseSpec, DatabaseStatus, DeletionPolicy,
    FinalBackup, SecretTemplate,
};
pub use location::BackupLocation;
pub use parameters::Parameters;
pub use progress::Progress;
pub use registration::{DriverPodTemplate, DriverRegistration, DriverRegistrationSpec};
pub use restore::{Restore, RestorePhase, RestoreSource, RestoreSpec, RestoreStatus};
pub use target::{BackupTarget, Encryption, S3Credentials, S3Target, S3TargetOriginalSpelling};
