//! Why something does not go on, as conditions say it.

use driver::ErrorKind;

/// The reason of a failure, in the Ready condition. It alone decides whether a run is repeated, and its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The host does not resolve, the port is closed, or the connection broke.
    Unreachable,
    /// The server is there and does not serve yet: it starts, recovers, or loads what it had.
    NotServing,
    /// The server has no more of something: connections, memory, disk, or a quota of its own.
    ResourceExhausted,
    /// TLS is asked for, and the server has none.
    TlsRefused,
    /// The server's certificate is not signed by the given authority, or does not name the host.
    Untrusted,
    /// The server refused the login.
    AuthenticationFailed,
    /// The administrator's login lacks a right that the work needs.
    InsufficientPrivilege,
    /// The spec asks for something that cannot be: a name, a parameter, a value.
    Invalid,
    /// Something with that name is on the server, and it is not ours.
    NameTaken,
    /// The server's version, or a feature of it, is not supported.
    Unsupported,
    /// Another run holds the lock on this database.
    Busy,
    /// Something on the server that is not ours to end or to remove stands in the way.
    InUse,
    /// The database was created once and is not on the server any more.
    DatabaseMissing,
    /// The database that a backup is to be loaded into holds something.
    NotEmpty,
    /// A stored backup is not what was written: something of it is changed, cut short or gone.
    BackupDamaged,
    /// A defect, or a failure that nobody foresaw.
    Internal,
    /// The object store does not answer, or answers with an error of its own.
    StorageUnreachable,
    /// The object store refuses the login, or the login lacks a right.
    StorageDenied,
    /// The bucket does not exist, or is in another region.
    BucketMissing,
    /// A backup is encrypted, and not to the key that is given.
    DecryptionFailed,
    /// What the credentials refer to is missing.
    CredentialsMissing,
    /// The Secret of the Database's name exists and is not ours.
    SecretConflict,
    /// There is no complete backup where one is looked for.
    BackupMissing,
    /// The object changed under this run: another one is due.
    Superseded,
}

/// Whether a failed run is worth repeating unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Repeat it, with backoff: the cause may be repaired elsewhere.
    Later,
    /// Repeating the same request cannot help: the spec must change first.
    Never,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 24] = [
        Self::Unreachable,
        Self::NotServing,
        Self::ResourceExhausted,
        Self::TlsRefused,
        Self::Untrusted,
        Self::AuthenticationFailed,
        Self::InsufficientPrivilege,
        Self::Invalid,
        Self::NameTaken,
        Self::Unsupported,
        Self::Busy,
        Self::InUse,
        Self::DatabaseMissing,
        Self::NotEmpty,
        Self::BackupDamaged,
        Self::Internal,
        Self::StorageUnreachable,
        Self::StorageDenied,
        Self::BucketMissing,
        Self::DecryptionFailed,
        Self::CredentialsMissing,
        Self::SecretConflict,
        Self::BackupMissing,
        Self::Superseded,
    ];

    /// Whether a failed run is worth repeating unchanged.
    pub fn retry(self) -> Retry {
        match self {
            Self::Invalid | Self::Unsupported | Self::Superseded => Retry::Never,
            Self::Unreachable
            | Self::NotServing
            | Self::ResourceExhausted
            | Self::TlsRefused
            | Self::Untrusted
            | Self::AuthenticationFailed
            | Self::InsufficientPrivilege
            | Self::NameTaken
            | Self::Busy
            | Self::InUse
            | Self::DatabaseMissing
            | Self::NotEmpty
            | Self::BackupDamaged
            | Self::Internal
            | Self::StorageUnreachable
            | Self::StorageDenied
            | Self::BucketMissing
            | Self::DecryptionFailed
            | Self::CredentialsMissing
            | Self::SecretConflict
            | Self::BackupMissing => Retry::Later,
        }
    }

    /// The word in the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::NotServing => "NotServing",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::TlsRefused => "TlsRefused",
            Self::Untrusted => "Untrusted",
            Self::AuthenticationFailed => "AuthenticationFailed",
            Self::InsufficientPrivilege => "InsufficientPrivilege",
            Self::Invalid => "Invalid",
            Self::NameTaken => "NameTaken",
            Self::Unsupported => "Unsupported",
            Self::Busy => "Busy",
            Self::InUse => "InUse",
            Self::DatabaseMissing => "DatabaseMissing",
            Self::NotEmpty => "NotEmpty",
            Self::BackupDamaged => "BackupDamaged",
            Self::Internal => "Internal",
            Self::StorageUnreachable => "StorageUnreachable",
            Self::StorageDenied => "StorageDenied",
            Self::BucketMissing => "BucketMissing",
            Self::DecryptionFailed => "DecryptionFailed",
            Self::CredentialsMissing => "CredentialsMissing",
            Self::SecretConflict => "SecretConflict",
            Self::BackupMissing => "BackupMissing",
            Self::Superseded => "Superseded",
        }
    }
}

impl From<ErrorKind> for Reason {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unreachable => Self::Unreachable,
            ErrorKind::NotServing => Self::NotServing,
            ErrorKind::ResourceExhausted => Self::ResourceExhausted,
            ErrorKind::TlsRefused => Self::TlsRefused,
            ErrorKind::Untrusted => Self::Untrusted,
            ErrorKind::AuthenticationFailed => Self::AuthenticationFailed,
            ErrorKind::InsufficientPrivilege => Self::InsufficientPrivilege,
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::NameTaken => Self::NameTaken,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::InUse => Self::InUse,
            ErrorKind::DatabaseMissing => Self::DatabaseMissing,
            ErrorKind::NotEmpty => Self::NotEmpty,
            ErrorKind::BackupDamaged => Self::BackupDamaged,
            ErrorKind::Internal => Self::Internal,
            ErrorKind::StorageUnreachable => Self::StorageUnreachable,
            ErrorKind::StorageDenied => Self::StorageDenied,
            ErrorKind::BucketMissing => Self::BucketMissing,
            ErrorKind::DecryptionFailed => Self::DecryptionFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_unique_and_fit_a_condition() {
        let reasons: std::collections::BTreeSet<_> =
            Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(reasons.len(), Reason::ALL.len());
        assert!(reasons.iter().all(|reason| reason.chars().all(|c| c.is_ascii_alphanumeric())));
    }
}
