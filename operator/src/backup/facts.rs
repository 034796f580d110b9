//! What is seen → plain facts about one Backup that is being deleted. Total and pure.

use api::Operation;

use crate::attempts::{JobFact, Spent, Wishes};
use crate::seen::backup::KnownBackup;
use crate::seen::job::KnownJob;

/// What a decision about one Backup rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether our finalizer is set, so that something may be in the store.
    pub guarded: bool,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether somebody asks for an attempt by annotation, and how.
    pub wishes: Wishes,
    /// Whether any Driver is registered: it takes no engine.
    pub registered: bool,
    /// Whether its namespace is terminating, so that no Job can start there.
    pub terminating: bool,
    /// The Jobs that let it go, and those that write or load it, as long as it matters. In no particular order.
    pub jobs: Vec<JobFact>,
    /// The highest attempts of Jobs that are gone.
    pub spent: Vec<Spent>,
}

/// Who asks for an attempt.
pub fn wishes(backup: &KnownBackup) -> Wishes {
    Wishes { retry: backup.retry, ..Wishes::default() }
}

/// Whether a Job of the Database writes a Backup that is being deleted, or loads it, so that the deletion waits.
///
/// What is written after the folder was emptied would stay for good, and a database that is half loaded from it could
/// not be finished. What is retained may be either.
pub fn is_used_by(backup: &KnownBackup, job: &KnownJob) -> bool {
    let uid = Some(&backup.uid);
    let writes = job.operation() == Operation::Backup && job.request.as_ref() == uid;
    let loads = job.wishes.source.as_ref() == uid;
    backup.deletes_what_is_stored && job.is_active() && job.namespace == backup.namespace && (writes || loads)
}
