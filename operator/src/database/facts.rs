//! What is seen → plain facts about one Database. Total and pure.

use std::sync::Arc;
use std::time::Duration;

use api::DatabasePhase;
use api::lifecycle::{Intent, begun};
use api::names::short_hash;

use crate::attempts::{JobFact, Spent, Wishes};
use crate::decision::Request;
use crate::job_name::{JobName, Series};
use crate::seen::database::KnownDatabase;
use crate::seen::request::KnownRequest;

/// What a decision about one Database rests on.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How far the work got.
    pub phase: Option<DatabasePhase>,
    /// What the owner wants.
    pub intent: Intent,
    /// Whether it was complete once, so that it may hold rows.
    pub was_created: bool,
    /// Whether our finalizer is set, so that something may be on the server.
    pub guarded: bool,
    /// Whether a run has verified it as it is now asked for.
    pub current: bool,
    /// In what time it is to be verified again, if there is a resync interval.
    pub verify_in: Option<Duration>,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether somebody asks for an attempt, and how.
    pub wishes: Wishes,
    /// Whether the Driver that it names is registered.
    pub registered: bool,
    /// Whether its namespace is terminating, so that no Job can start there.
    pub terminating: bool,
    /// The Job that last completed its operation.
    pub completed: Option<JobName>,
    /// The Backup or Restore whose turn it is.
    pub request: Option<Request>,
    /// The others that wait, the oldest first.
    pub waiting: Vec<Request>,
    /// Its Jobs, in no particular order.
    pub jobs: Vec<JobFact>,
    /// The highest attempts of Jobs that are gone.
    pub spent: Vec<Spent>,
}

impl Facts {
    /// Who asks for an attempt: the owner of the Database, or of the Backup or Restore that it would work on.
    pub fn wishes_for(&self, request: Option<&Request>) -> Wishes {
        request.map_or_else(
            || self.wishes.clone(),
            |request| Wishes { retry: request.retry, reconcile: None, source: request.source.clone() },
        )
    }

    /// The series in which an operation on the object, or on a request, is counted.
    pub fn series(&self, request: Option<&Request>) -> Series {
        request.map_or(Series::Generation(self.generation), |request| Series::of_request(&request.uid))
    }
}

/// What is asked for by annotation, and by a Backup that is to be loaded and complete now.
pub fn wishes(database: &KnownDatabase, source: Option<Arc<str>>) -> Wishes {
    // What is being deleted is not loaded any more.
    let source = source.filter(|_| database.intent == Intent::Keep);
    Wishes { retry: database.retry, reconcile: database.reconcile, source }
}

/// Whether a run has verified it as its spec and its owner ask for now.
pub fn is_current(database: &KnownDatabase) -> bool {
    let reconciled = database.reconcile.is_none() || database.reconcile == database.handled;
    database.guarded && database.ready && reconciled
}

/// What the name of a completed Job says, if it was a Job of this object: a status may be restored from another.
pub fn completed(database: &KnownDatabase) -> Option<JobName> {
    JobName::of(database.completed.as_deref()?, &database.uid)
}

/// The Backups and Restores that wait for a Database, of those that are about it: the one that is begun, then the oldest
/// first. `source` says which Backup each is to load.
pub fn requests<'a>(
    database: &KnownDatabase,
    about_it: impl Iterator<Item = &'a KnownRequest>,
    source: impl Fn(&KnownRequest) -> Option<Arc<str>>,
) -> Vec<Request> {
    let begun = begun(database.phase);
    let is_begun = |request: &KnownRequest| {
        Some(request.operation) == begun && Some(&request.name) == database.active.as_ref()
    };
    let is_of_the_kind =
        |request: &KnownRequest| begun.is_none_or(|operation| operation == request.operation);
    let mut known: Vec<_> = about_it
        // What is complete may not be written down in the Database yet.
        .filter(|request| is_begun(request) || (request.is_pending() && is_of_the_kind(request)))
        .collect();
    known.sort_by_key(|request| (!is_begun(request), request.created, Arc::clone(&request.name)));
    if let (true, Some(operation)) = (known.is_empty(), begun) {
        let name = database.active.clone().unwrap_or_default();
        // No object has that uid: the run that gets it gives up what was begun.
        let uid = format!("gone-{}", short_hash(&name, 10)).into();
        return vec![Request { operation, name, uid, retry: None, source: None }];
    }
    let all = known.into_iter().map(|request| Request {
        operation: request.operation,
        name: Arc::clone(&request.name),
        uid: Arc::clone(&request.uid),
        retry: request.retry,
        source: source(request),
    });
    all.collect()
}

#[cfg(test)]
mod tests;
