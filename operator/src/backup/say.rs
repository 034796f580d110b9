//! What people are told about a Backup or a Restore. Pure.

use api::Operation;

use crate::attempts::JobFact;
use crate::decision::{Decision, Stuck, Wait};
use crate::notice::{Notice, dead_job, stuck_job, suspended_job};
use crate::seen::backup::KnownBackup;
use crate::seen::request::KnownRequest;
use crate::tenant_chart::TenantChart;

/// What to say about a decision about a Backup that is being deleted, if anything.
pub fn notice(
    decision: &Decision,
    backup: &KnownBackup,
    jobs: &[JobFact],
    tenant_chart: &TenantChart,
) -> Option<Notice> {
    let dead = || dead_job(jobs, &backup.driver, |_| false);
    let stuck = match decision {
        Decision::Wait(Wait::Suspended { job }) => {
            return suspended_job(job, jobs, &backup.namespace).or_else(dead);
        }
        Decision::Launch(_) | Decision::Wait(_) => return dead(),
        Decision::Settled(_) => return None,
        Decision::Stuck(stuck) => stuck,
    };
    match stuck {
        Stuck::UnknownDriver => Some(Notice::warning(
            "UnknownDriver",
            "no Driver is registered: what this Backup has stored is deleted once a platform team registers one; to leave what is stored, set spec.deletionPolicy to Retain then".to_owned(),
        )),
        Stuck::NoPod { .. } | Stuck::NotRunning { .. } => stuck_job(stuck, &backup.namespace, tenant_chart),
        Stuck::Contradiction => None,
    }
}

/// What to say when a Backup is let go because its namespace is terminating.
pub fn left_in_place(backup: &KnownBackup) -> Notice {
    let stored = backup.bucket.as_ref().map_or_else(
        || "nothing was stored".to_owned(),
        |bucket| format!("what is stored in {} was left in place", bucket.url),
    );
    Notice::warning(
        "BackupLeftInPlace",
        format!(
            "namespace {} is terminating; of Backup {}, {stored}, for no Job can start there any more. To have it deleted, delete the Backup objects before their namespace",
            backup.namespace, backup.name
        ),
    )
}

/// What to say when a Job is launched that deletes what a Backup has stored.
pub fn deletion_started(attempt: u32, job: &str) -> Notice {
    Notice::normal("BackupDeletionStarted", format!("attempt {attempt} is Job {job}"))
}

/// What to say about a Backup or Restore when a Job is launched for it.
pub fn started(request: &KnownRequest, attempt: u32, job: &str) -> Notice {
    let reason = if request.operation == Operation::Backup { "BackupStarted" } else { "RestoreStarted" };
    Notice::normal(reason, format!("attempt {attempt} is Job {job}"))
}

/// What to say once about a Backup or Restore that is complete now.
pub fn completed(request: &KnownRequest) -> Notice {
    let database = &request.database;
    if request.operation == Operation::Backup {
        Notice::normal("BackupCompleted", format!("Database {database} is backed up"))
    } else {
        Notice::normal("RestoreCompleted", format!("Database {database} holds the backup"))
    }
}

/// What to say once about a Backup that is gone, and what it stored with it.
pub fn erased(request: &KnownRequest) -> Notice {
    let stored = request.bucket().map_or("its folder", |bucket| &bucket.url);
    Notice::normal("BackupDeleted", format!("what was stored in {stored} is deleted"))
}

/// What to say about a Backup or Restore that waits for a Database that is not there.
pub fn lost(request: &KnownRequest) -> Option<Notice> {
    // The record of a final backup: a Database that has its name by now is another one.
    let waits = request.is_pending() && request.database_uid.is_none();
    waits.then(|| {
        Notice::warning(
            "DatabaseNotFound",
            format!(
                "there is no Database {} in namespace {}: create it, or delete this object",
                request.database, request.namespace
            ),
        )
    })
}

#[cfg(test)]
mod tests;
