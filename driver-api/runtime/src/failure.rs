//! Why a run failed.

use std::fmt;

use api::Reason;
use driver::DriverError;

/// Why a run failed: a reason for the condition, a sentence for a person, and what caused it.
///
/// The message says what happened, to which object, and what to do next. It begins in lower case, and does not repeat
/// its source.
#[derive(Debug)]
pub(crate) struct Failure {
    reason: Reason,
    error: DriverError,
}

/// The result of a step of a run.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure for that reason.
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, error: DriverError::new(driver::ErrorKind::Internal, message) }
    }

    /// The same failure with its cause.
    #[must_use]
    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.error = self.error.with_source(source);
        self
    }

    /// Why it failed.
    pub(crate) fn reason(&self) -> Reason {
        self.reason
    }

    /// The message and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        self.error.chain()
    }
}

/// An error of the API server, as ours. Anything there may be repaired elsewhere, so it is tried again.
pub(crate) fn kubernetes(what: &str, error: kube::Error) -> Failure {
    Failure::new(Reason::Internal, what).with_source(error)
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        Self { reason: error.kind().into(), error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
