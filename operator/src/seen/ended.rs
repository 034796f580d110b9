//! Why a watch ended.

use serde_json::value::RawValue;

use super::wire::Status;

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// What was known is too old to go on from.
    #[error("what was known is too old")]
    TooOld,
    /// The API server does not stream lists.
    #[error("the API server does not stream lists")]
    NoStream,
    /// The API server refused or failed.
    #[error("the API server answers {code}: {message}")]
    Refused { code: u16, message: String },
    /// It was not reached, or the connection broke.
    #[error("the connection failed")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody listens any more.
    #[error("nobody listens")]
    NobodyListens,
}

impl Ended {
    /// Why no list streams: the API server refuses the parameter that asks for it.
    pub(super) fn of_a_list(self) -> Self {
        match self {
            Self::Refused { code: 400 | 422, .. } => Self::NoStream,
            Self::TooOld | Self::NoStream | Self::Refused { .. } | Self::Broken(_) | Self::NobodyListens => {
                self
            }
        }
    }
}

pub(super) fn refused_by(status: &RawValue) -> Ended {
    let Status { code, message } = serde_json::from_str(status.get()).unwrap_or_default();
    refused(code, message)
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's, and grows")]
pub(super) fn refusal(error: kube::Error) -> Ended {
    match error {
        kube::Error::Api(status) => refused(status.code, status.message.clone()),
        error => Ended::Broken(error.into()),
    }
}

fn refused(code: u16, message: String) -> Ended {
    match code {
        410 => Ended::TooOld,
        code => Ended::Refused { code, message },
    }
}
