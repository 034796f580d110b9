//! What people are told about a decision about a Database. Pure.

use api::Operation;
use api::lifecycle::Intent;

use crate::attempts::JobFact;
use crate::decision::{Decision, Stuck, Wait};
use crate::notice::{Notice, dead_job, stuck_job, suspended_job};
use crate::seen::database::KnownDatabase;
use crate::tenant_chart::TenantChart;

/// What to say about a decision, if anything. `drivers` are the names of those that are registered.
pub fn notice<'a>(
    decision: &Decision,
    database: &KnownDatabase,
    jobs: &[JobFact],
    drivers: impl Iterator<Item = &'a str>,
    tenant_chart: &TenantChart,
) -> Option<Notice> {
    let dead = || dead_job(jobs, &database.driver, |job| database.moves_data(job.operation));
    let stuck = match decision {
        Decision::Wait(Wait::Suspended { job }) => {
            return suspended_job(job, jobs, &database.namespace).or_else(dead);
        }
        Decision::Launch(_) | Decision::Wait(_) => return dead(),
        Decision::Settled(_) => return None,
        Decision::Stuck(stuck) => stuck,
    };
    match stuck {
        Stuck::Contradiction => Some(Notice::warning(
            "Contradiction",
            format!(
                "status.phase is {}, and yet nobody has deleted this Database: its status was written by hand or restored from elsewhere; nothing is done until status.phase fits, or the Database is deleted",
                database.phase.map_or_else(|| "empty".to_owned(), |phase| format!("{phase:?}")),
            ),
        )),
        Stuck::UnknownDriver => Some(Notice::warning("UnknownDriver", unknown_driver(database, drivers))),
        Stuck::NoPod { .. } | Stuck::NotRunning { .. } => stuck_job(stuck, &database.namespace, tenant_chart),
    }
}

fn unknown_driver<'a>(database: &KnownDatabase, drivers: impl Iterator<Item = &'a str>) -> String {
    let registered: Vec<_> = drivers.collect();
    let registered = if registered.is_empty() { "none".to_owned() } else { registered.join(", ") };
    let driver = &database.driver;
    let next = if database.is_being_deleted() {
        format!(
            "this Database was begun with it and is being deleted, which goes on once a platform team registers Driver {driver} again, whatever spec.deletionPolicy says"
        )
    } else {
        "a platform team registers one by a Driver object; spec.driver cannot be changed, so with a wrong name delete this Database and create it again".to_owned()
    };
    format!("no Driver named {driver} is registered (registered: {registered}): {next}")
}

/// What to say when the Job is launched that lets a Database go and leaves what it has.
pub fn retained(database: &KnownDatabase, operation: Operation) -> Option<Notice> {
    let is_retained = operation == Operation::Delete && database.intent == Intent::Retain;
    is_retained.then(|| retained_notice(database))
}

fn retained_notice(database: &KnownDatabase) -> Notice {
    Notice::normal(
        "DatabaseRetained",
        format!("{} and its logins stay, as the deletion policy says", whereabouts(database)),
    )
}

/// What to say when a Database is let go because its namespace is terminating.
pub fn left_in_place(database: &KnownDatabase) -> Notice {
    Notice::warning(
        "DatabaseLeftInPlace",
        format!(
            "namespace {} is terminating; {} was left in place, for no Job can start there any more. To have databases dropped, delete the Database objects before their namespace",
            database.namespace,
            whereabouts(database)
        ),
    )
}

/// The database on its server, in words.
fn whereabouts(database: &KnownDatabase) -> String {
    match &database.recorded {
        Some((name, server)) => format!("database {name} on server {server}"),
        None => format!("what Database {} has on server {}", database.name, database.server),
    }
}

#[cfg(test)]
mod tests;
