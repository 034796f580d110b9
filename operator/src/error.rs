//! What can go wrong when the operator acts.

/// Why a Job was not launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The namespace is being deleted, and takes no new objects.
    #[error("namespace {namespace} is terminating")]
    NamespaceTerminating { namespace: String },
    /// Another Job has the name, and it is not ours.
    #[error("Job {name} in namespace {namespace} exists and was not launched by db-operator")]
    NameTaken {
        /// The Job's name.
        name: String,
        namespace: String,
    },
    /// The operator may not create Jobs in the namespace.
    #[error("db-operator may not create Jobs in namespace {namespace}")]
    NotServed { namespace: String },
    /// The platform team does not allow what the Driver asks for.
    #[error("the platform team does not allow this Driver: {message}")]
    DriverNotAllowed {
        /// What the admission policy said.
        message: String,
    },
    /// The API server refused it, by quota or admission.
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
            Self::NotServed { .. } => "NotServed",
            Self::DriverNotAllowed { .. } => "DriverNotAllowed",
            Self::Refused { .. } => "Refused",
            Self::Create { .. } => "Create",
            Self::Timeout { .. } => "Timeout",
        }
    }

    /// Whether the API server has decided so, and not just failed to answer.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::NameTaken { .. }
            | Self::NotServed { .. }
            | Self::DriverNotAllowed { .. }
            | Self::Refused { .. } => true,
            Self::NamespaceTerminating { .. } | Self::Create { .. } | Self::Timeout { .. } => false,
        }
    }
}

/// Why the operator could not start.
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

/// The error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
