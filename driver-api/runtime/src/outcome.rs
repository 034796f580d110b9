//! How a container ends: exit code, termination message, last log line.

use std::io::Write;
use std::process::ExitCode;

use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use api::env::{self, INJECTED};
use api::{Reason, Retry};

/// Where Kubernetes reads the termination message.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Longest termination message, in bytes. Kubernetes takes 4096 for a whole pod.
const TERMINATION_MESSAGE: usize = 1024;

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done and verified.
    Done,
    /// Kubernetes ended the pod.
    Terminated,
    /// It failed. The message holds no secret.
    Failed {
        /// What kind of failure it was.
        reason: Reason,
        /// What happened, and what to do next.
        message: String,
        /// Whether the same run is worth another try.
        retry: Retry,
    },
}

impl Outcome {
    /// A failure for that reason, which alone says whether to try again.
    pub(crate) fn failed(reason: Reason, message: impl Into<String>) -> Self {
        Self::Failed { reason, message: message.into(), retry: reason.retry() }
    }

    /// The container's exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Terminated => 143,
            Self::Failed { retry: Retry::Never, .. } => 42,
            Self::Failed { reason: Reason::Busy | Reason::Superseded, .. } => 75,
            Self::Failed { retry: Retry::Later, .. } => 1,
        }
    }

    /// Says how it ended where people look, and returns the exit code.
    pub(crate) fn finish(self) -> ExitCode {
        match &self {
            Self::Done => info!("done"),
            Self::Terminated => warn!("terminated; the next run goes on from here"),
            Self::Failed { reason, message, retry: _ } => {
                error!(reason = reason.as_str(), "{message}");
                let mut text = format!("{}: {message}", reason.as_str());
                text.truncate(text.floor_char_boundary(TERMINATION_MESSAGE));
                // Outside a container there is none, and the log says it too.
                let _ = std::fs::OpenOptions::new()
                    .write(true)
                    .open(TERMINATION_LOG)
                    .and_then(|mut file| file.write_all(text.as_bytes()));
            }
        }
        ExitCode::from(self.code())
    }
}

/// What is logged, and whether what was asked for cannot be read. That is shown nowhere then: whoever writes the Job may
/// have put a secret there.
fn filter(asked: Option<String>) -> (EnvFilter, bool) {
    match asked.map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, false),
        Some(Err(_)) => (EnvFilter::new("info"), true),
        None => (EnvFilter::new("info"), false),
    }
}

/// Logs to standard error; `DB_OPERATOR_LOG_FORMAT=json` for machines.
pub(crate) fn start_logging(lookup: &dyn Fn(&str) -> Option<String>) {
    let (filter, is_unreadable) = filter(lookup("RUST_LOG"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if lookup(env::LOG_FORMAT).as_deref() == Some("json") {
        builder.json().init();
    } else {
        builder.with_ansi(false).init();
    }
    if is_unreadable {
        warn!("RUST_LOG is no list of directives: what is logged is what level info has");
    }
}

/// Says what this program is, which `program` names.
pub(crate) fn help(program: &str) -> ExitCode {
    let text = format!(
        "{program} of db-operator. It runs in a Job that db-operator launches, and takes no arguments.\n\n\
         Environment: {}, {}, {}, {}, {}, {}, {}; optional: {}, {}; where the spec refers to Secrets: {}, and where \
         each is from, with _FROM at the end of its name.\n\
         Exit codes: 0 done and verified, 42 permanent, 75 busy or overtaken, 143 terminated, else: is tried again.\n",
        env::DATABASE,
        env::NAMESPACE,
        env::OPERATION,
        env::UID,
        env::GENERATION,
        env::JOB,
        env::CLUSTER_ID,
        env::BACKUP,
        env::LOG_FORMAT,
        INJECTED.join(", "),
    );
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_stands_where_levels_belong_is_not_among_them() {
        let (quiet, is_unreadable) = filter(Some("p4=ss=w0rd".to_owned()));
        assert!(is_unreadable && quiet.to_string() == "info", "{quiet}");
        assert!(!filter(Some("debug".to_owned())).1 && !filter(None).1);
    }

    #[test]
    fn exit_codes_are_the_contract() {
        let failed = |reason| Outcome::failed(reason, "").code();
        assert_eq!(Outcome::Done.code(), 0);
        assert_eq!(Outcome::Terminated.code(), 143);
        assert_eq!(failed(Reason::Busy), 75);
        assert_eq!(failed(Reason::Invalid), 42);
        assert_eq!(failed(Reason::Superseded), 42);
        assert_eq!(failed(Reason::Unreachable), 1);
        assert_eq!(failed(Reason::NameTaken), 1);
        let overtaken =
            Outcome::Failed { reason: Reason::Superseded, message: String::new(), retry: Retry::Later };
        assert_eq!(overtaken.code(), 75);
    }
}
