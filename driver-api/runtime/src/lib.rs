//! The runtime of a driver's container: everything but the server's language.
//!
//! [`run`] reads the environment, loads the live object, checks that its operation may act, lets the driver
//! work, and writes what came of it. It is all that a driver's `main` calls.

mod binding;
mod content;
mod credentials;
mod env;
mod failure;
mod moves;
mod operations;
mod outcome;
mod record;
mod source;
mod target;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail on the spot"
)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Instrument, info, info_span};

use self::env::Assignment;
use self::operations::{backup, create, delete, delete_backup, final_backup, restore};
use self::outcome::Outcome;
use self::record::database::{Loaded, Record};
use crate::failure::{Failure, Result};
use api::Operation;
use api::Reason;
use api::names::database_name;
use driver::secret::Secret;
use driver::{Driver, Mark, Server, Target, host_port};

/// How long one request to the API server may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Runs `driver` once, as the Job's environment asks, and returns the container's exit code:
/// 0 done and verified, 42 permanent, 75 busy, 143 terminated, else 1, which is tried again.
///
/// It logs to standard error, and leaves the last error as the container's termination message.
pub fn run<D: Driver>(driver: &D) -> ExitCode {
    if std::env::args().skip(1).any(|argument| argument == "--help" || argument == "-h") {
        return outcome::help(D::TYPE);
    }
    outcome::start_logging(&lookup);
    let outcome = match Assignment::parse(lookup) {
        Err(problems) => Outcome::Failed { reason: Reason::Invalid, message: problems.to_string() },
        Ok(assignment) => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Err(error) => {
                Outcome::Failed { reason: Reason::Internal, message: format!("cannot start: {error}") }
            }
            Ok(runtime) => {
                // Another provider in the tree would otherwise make rustls panic.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let span = info_span!("run", operation = %assignment.operation, namespace = assignment.namespace,
                    database = assignment.database, job = assignment.job);
                runtime.block_on(until_terminated(driver, &assignment).instrument(span))
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
async fn until_terminated<D: Driver>(driver: &D, assignment: &Assignment) -> Outcome {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return Outcome::Failed { reason: Reason::Internal, message: "cannot listen for SIGTERM".to_owned() };
    };
    tokio::select! {
        outcome = connect_and_perform(driver, assignment) => outcome,
        _ = terminated.recv() => Outcome::Terminated,
    }
}

async fn connect_and_perform<D: Driver>(driver: &D, assignment: &Assignment) -> Outcome {
    let client = Config::infer().await.map_err(|error| error.to_string()).and_then(|mut config| {
        config.connect_timeout = Some(REQUEST_TIMEOUT);
        config.read_timeout = Some(REQUEST_TIMEOUT);
        Client::try_from(config).map_err(|error| error.to_string())
    });
    match client {
        Ok(client) => perform(driver, client, assignment).await,
        Err(error) => Outcome::Failed {
            reason: Reason::Internal,
            message: format!("cannot configure the connection to the API server: {error}"),
        },
    }
}

/// One run, from what its operation works with.
pub(crate) struct Run<'a> {
    client: Client,
    assignment: &'a Assignment,
    record: Box<Record>,
    hidden: Vec<Secret>,
}

impl Run<'_> {
    /// Keeps `secret` out of every message from here on.
    fn hide(&mut self, secret: &Secret) {
        self.hidden.push(secret.clone());
    }

    /// The database that this run is about. Where one has been begun, its recorded name holds.
    fn target<D: Driver>(&self) -> Target {
        let mark = Mark::new(&self.assignment.cluster_id, &self.assignment.uid);
        let begun = self.record.begun().and_then(|status| status.database.clone());
        Target::new(begun.unwrap_or_else(|| database_name(self.record.live())), mark, D::MAX_USERNAME)
    }

    /// The server, as `host:port`, that the database is on or is to be made on.
    fn server_name<D: Driver>(&self) -> String {
        let connect = &self.record.live().spec.connect;
        let begun = self.record.begun().and_then(|status| status.server.clone());
        begun.unwrap_or_else(|| host_port(&connect.host, connect.port().unwrap_or(D::DEFAULT_PORT)))
    }

    /// Fails where the database was begun on another server than `server`, on which nothing of it is found.
    ///
    /// What is on the other one would be forgotten.
    fn check_begun_here(&self, server: &Server) -> Result<()> {
        match self.record.begun().and_then(|status| status.server.as_deref()) {
            Some(begun) if begun != server.to_string() => Err(Failure::new(
                Reason::DatabaseMissing,
                format!(
                    "the database was begun on {begun}, and nothing of it is on {server}: set spec.connect back, or delete the Database with spec.deletionPolicy Retain"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The error's sentence without any secret of this run.
    fn redacted(&self, error: &Failure) -> String {
        redacted(error, &self.hidden)
    }
}

/// The error's sentence without any of those secrets.
fn redacted(error: &Failure, hidden: &[Secret]) -> String {
    hidden.iter().fold(error.chain(), |text, secret| secret.redact(&text))
}

/// Does what `assignment` says, and records what came of it.
async fn perform<D: Driver>(driver: &D, client: Client, assignment: &Assignment) -> Outcome {
    if let (Operation::DeleteBackup | Operation::Release, Some(name)) =
        (assignment.operation, &assignment.request)
    {
        // No Database is read or written.
        return Box::pin(delete_backup::perform(client, assignment, name)).await;
    }
    let record = match Record::load(client.clone(), assignment).await {
        Ok(Loaded::Due(record)) => record,
        Ok(Loaded::Done(why)) => {
            info!(why, "nothing to do");
            return Outcome::Done;
        }
        Err(error) => return Outcome::Failed { reason: error.reason(), message: error.chain() },
    };
    let mut run = Run { client, assignment, record, hidden: Vec::new() };
    match operate(driver, &mut run).await {
        Ok(()) => Outcome::Done,
        Err(error) => {
            let (reason, message) = (error.reason(), run.redacted(&error));
            // Another run is at work, and the condition is its to write; or a Backup or Restore says why, and the
            // database is what it was.
            let elsewhere = match assignment.operation {
                Operation::Backup => true,
                Operation::Restore => !restore::is_begun(&run),
                _ => false,
            };
            if !elsewhere && !matches!(reason, Reason::Busy | Reason::Superseded) {
                let (server, database) = (run.server_name::<D>(), run.target::<D>().name);
                run.record.failed(reason, &message, &server, &database).await;
            }
            Outcome::Failed { reason, message }
        }
    }
}

async fn operate<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    // The futures of what talks to a store are large.
    match run.assignment.operation {
        Operation::Create => Box::pin(create::create(driver, run)).await,
        Operation::Delete => Box::pin(delete::delete(driver, run)).await,
        Operation::Release => delete::release::<D>(run).await,
        Operation::Backup => Box::pin(backup::backup(driver, run)).await,
        Operation::BackupBeforeDelete => Box::pin(final_backup::final_backup(driver, run)).await,
        Operation::Restore => Box::pin(restore::restore(driver, run)).await,
        Operation::DeleteBackup => {
            Err(Failure::new(Reason::Internal, "it is not said which Backup is to be deleted"))
        }
        Operation::Rotate => {
            Err(Failure::new(Reason::Unsupported, "this version of the driver cannot rotate a password"))
        }
    }
}
