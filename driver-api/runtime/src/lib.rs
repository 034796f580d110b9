//! The runtime of a driver's container: everything but the server's language.
//!
//! [`run`] reads the environment, loads the live object, checks that its operation may act, lets the driver
//! work, and writes what came of it. It is all that a driver's `main` calls.

mod binding;
mod content;
mod credentials;
mod dumping;
mod env;
mod failure;
mod final_backup;
mod folder;
mod given;
mod hidden;
mod injected;
mod loading;
mod moves;
mod operations;
mod outcome;
mod present;
mod process;
mod record;
mod release;
mod run;
mod session;
mod source;
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

use kube::Client;
use tracing::info;

use self::env::Assignment;
use self::failure::{Failure, Result};
use self::hidden::Hidden;
use self::operations::{backup, backup_before_delete, create, delete, delete_backup, restore};
use self::outcome::Outcome;
use self::record::Record;
use self::record::database::Loaded;
use self::run::Run;
use api::permission::{is_said_on_the_database, outlives_what_overtook_it};
use api::{Database, Operation, Reason, Retry};
use driver::Driver;

/// Runs `driver` once, as the Job's environment asks, and returns the container's exit code:
/// 0 done and verified, 42 permanent, 75 busy or overtaken, 143 terminated, else 1, which is tried again.
///
/// It logs to standard error, and leaves the last error as the container's termination message.
pub fn run<D: Driver>(driver: &D) -> ExitCode {
    let program = format!("The {} driver", D::TYPE);
    process::run(&program, async |client, assignment| perform(driver, client, assignment).await)
}

/// Lets an object go whose namespace is terminating, as the Job's environment asks, and returns the container's exit code.
///
/// It is for a program of its own, in the operator's image: it needs no driver, and a namespace must end though a driver's
/// image cannot be had.
pub fn release() -> ExitCode {
    process::run("The program that lets objects go", async |client, assignment| {
        release::perform(client, assignment).await
    })
}

/// Does what `assignment` says, and records what came of it.
async fn perform<D: Driver>(driver: &D, client: Client, assignment: &Assignment) -> Outcome {
    match (assignment.operation, &assignment.request) {
        // No Database is read or written.
        (Operation::DeleteBackup, Some(name)) => {
            return Box::pin(delete_backup::perform(client, assignment, name)).await;
        }
        (Operation::Release, _) => {
            let message = "a driver lets no object go, db-operator's own image does: see that operator and driver are of one release";
            return Outcome::failed(Reason::Unsupported, message);
        }
        _ => {}
    }
    let record = match Record::<Database>::load(client.clone(), assignment).await {
        Ok(Loaded::Due(record)) => record,
        Ok(Loaded::Done(why)) => {
            info!(why, "nothing to do");
            return Outcome::Done;
        }
        Err(error) => return outcome_of(error.reason(), error.chain(), assignment.operation),
    };
    let mut run = Run { client, assignment, record, hidden: Hidden::default() };
    match operate(driver, &mut run).await {
        Ok(()) => Outcome::Done,
        Err(error) => {
            let (reason, message) = (error.reason(), run.hidden.redacted(&error));
            let phase = run.record.live().phase();
            // Where another run is at work, the condition is its to write.
            let is_its_to_say = !matches!(reason, Reason::Busy | Reason::Superseded);
            if is_its_to_say && is_said_on_the_database(assignment.operation, phase) {
                let (server, database) = (run.server_name::<D>(), run.target::<D>().name);
                run.record.failed(reason, &message, &server, &database).await;
            }
            outcome_of(reason, message, assignment.operation)
        }
    }
}

/// How a run of `operation` ends that has failed for that reason.
fn outcome_of(reason: Reason, message: String, operation: Operation) -> Outcome {
    if reason == Reason::Superseded && outlives_what_overtook_it(operation) {
        return Outcome::Failed { reason, message, retry: Retry::Later };
    }
    Outcome::failed(reason, message)
}

async fn operate<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    // The futures of what talks to a store are large.
    match run.assignment.operation {
        Operation::Create => Box::pin(create::create(driver, run)).await,
        Operation::Delete => Box::pin(delete::delete(driver, run)).await,
        Operation::Backup => Box::pin(backup::backup(driver, run)).await,
        Operation::BackupBeforeDelete => {
            Box::pin(backup_before_delete::backup_before_delete(driver, run)).await
        }
        Operation::Restore => Box::pin(restore::restore(driver, run)).await,
        Operation::DeleteBackup | Operation::Release => {
            Err(Failure::new(Reason::Internal, "it is not said what is to be let go"))
        }
        Operation::Rotate => {
            Err(Failure::new(Reason::Unsupported, "this version of the driver cannot rotate a password"))
        }
    }
}
