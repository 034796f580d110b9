//! The process of one run: its log, its signals, its client of the API server.

use std::process::ExitCode;
use std::time::Duration;

use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Instrument, info_span};

use crate::env::Assignment;
use crate::outcome::{self, Outcome};
use api::Reason;

/// How long one request to the API server may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Does `work` once, as the environment asks, and returns the container's exit code. `program` is what `--help` calls it.
pub(crate) fn run(program: &str, work: impl AsyncFnOnce(Client, &Assignment) -> Outcome) -> ExitCode {
    if std::env::args().skip(1).any(|argument| argument == "--help" || argument == "-h") {
        return outcome::help(program);
    }
    outcome::start_logging(&lookup);
    let outcome = match Assignment::parse(lookup) {
        Err(problems) => Outcome::failed(Reason::Invalid, problems.to_string()),
        Ok(assignment) => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Err(error) => Outcome::failed(Reason::Internal, format!("cannot start: {error}")),
            Ok(runtime) => {
                // Another provider in the tree would otherwise make rustls panic.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let span = info_span!("run", operation = %assignment.operation, namespace = assignment.namespace,
                    database = assignment.database, job = assignment.job);
                runtime.block_on(until_terminated(&assignment, work).instrument(span))
            }
        },
    };
    outcome.finish()
}

#[expect(clippy::disallowed_methods, reason = "this is the one reader of the environment")]
fn lookup(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Works until done, or until Kubernetes ends the pod: then it stops at once, since the next run goes on
/// from any point.
async fn until_terminated(
    assignment: &Assignment,
    work: impl AsyncFnOnce(Client, &Assignment) -> Outcome,
) -> Outcome {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return Outcome::failed(Reason::Internal, "cannot listen for SIGTERM");
    };
    tokio::select! {
        outcome = connected(assignment, work) => outcome,
        _ = terminated.recv() => Outcome::Terminated,
    }
}

async fn connected(
    assignment: &Assignment,
    work: impl AsyncFnOnce(Client, &Assignment) -> Outcome,
) -> Outcome {
    let client = Config::infer().await.map_err(|error| error.to_string()).and_then(|mut config| {
        config.connect_timeout = Some(REQUEST_TIMEOUT);
        config.read_timeout = Some(REQUEST_TIMEOUT);
        Client::try_from(config).map_err(|error| error.to_string())
    });
    match client {
        Ok(client) => work(client, assignment).await,
        Err(error) => Outcome::failed(
            Reason::Internal,
            format!("cannot configure the connection to the API server: {error}"),
        ),
    }
}
