//! What can go wrong in a driver, and what follows from it.

use std::fmt;

/// What kind of failure it was: it alone decides whether a run is repeated, its exit code, and the reason in the Ready
/// condition.
///
/// A driver finds all of them but the last four, which a sink or a source of a dump may have: a driver returns those as
/// they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
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
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 20] = [
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
    ];
}

/// An error of a driver: its kind, a sentence for a person, and what caused it.
///
/// The message says what happened, to which object, and what to do next. It MUST NOT contain a secret. It is
/// one sentence or two, begins in lower case, and does not repeat its source: the runtime shows the chain.
#[derive(Debug)]
pub struct DriverError {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl DriverError {
    /// An error of that kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message and its causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let next = error.to_string();
            // Many errors print their source themselves; a reader needs it once.
            if !text.contains(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            source = error.source();
        }
        text
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DriverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The result of a driver's method.
pub type Result<T, E = DriverError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_names_each_cause_once() {
        let cause = std::io::Error::other("connection refused");
        let error = DriverError::new(ErrorKind::Unreachable, "cannot connect to db:5432: connection refused")
            .with_source(cause);
        assert_eq!(error.chain(), "cannot connect to db:5432: connection refused");
        let error = DriverError::new(ErrorKind::Internal, "cannot create role")
            .with_source(std::io::Error::other("disk full"));
        assert_eq!(error.chain(), "cannot create role: disk full");
    }
}
