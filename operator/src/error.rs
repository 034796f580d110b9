//! What can go wrong when the operator acts.

/// Why a Job was not launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The namespace is being deleted, and takes no new objects.
    #[error("namespace {namespace} is terminating")]
    NamespaceTerminating {
        /// The namespace.
        namespace: String,
    },
    /// Another Job has the name, and it is not ours.
    #[error("Job {name} in namespace {namespace} exists and was not launched by db-operator")]
    NameTaken {
        /// The Job's name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// The API server refused it, by quota, admission or missing rights.
    #[error("the API server refused Job {name}: {message}")]
    Refused {
        /// The Job's name.
        name: String,
        /// What the API server said.
        message: String,
    },
    /// The API server was not reached, or could not answer.
    #[error("cannot create Job {name}")]
    Create {
        /// The Job's name.
        name: String,
        /// What happened.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("the API server has not answered in time whether it created Job {name}")]
    Timeout {
        /// The Job's name.
        name: String,
    },
}

impl LaunchError {
    /// The variant's name, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::NamespaceTerminating { .. } => "NamespaceTerminating",
            Self::NameTaken { .. } => "NameTaken",
            Self::Refused { .. } => "Refused",
            Self::Create { .. } => "Create",
            Self::Timeout { .. } => "Timeout",
        }
    }
}

/// Why the controller could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// SIGTERM cannot be listened for.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// The address for probes and metrics is taken.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What happened.
        source: std::io::Error,
    },
    /// There is no usable configuration for the API server.
    #[error("cannot find out how to reach the API server")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}
