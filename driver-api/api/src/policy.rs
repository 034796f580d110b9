//! What becomes of a database when its object is deleted, if its owner has said so, and if not.

use crate::lifecycle::Intent;
use crate::{DatabasePhase, DeletionPolicy};

/// The policy in force: a person's word, else the one that is recorded, else the default.
///
/// What nobody has said is decided for the data. Only where a run of an earlier release has begun a deletion, it goes
/// on as that release meant it.
pub fn policy_in_force(
    word: Option<DeletionPolicy>,
    recorded: Option<DeletionPolicy>,
    backed_up: bool,
    phase: Option<DatabasePhase>,
) -> DeletionPolicy {
    use DatabasePhase as P;
    let is_begun = matches!(phase, Some(P::DeletionRequested | P::DeletionInProgress | P::Deleted));
    word.or(recorded).unwrap_or(match (backed_up, is_begun) {
        (true, _) => DeletionPolicy::BackupThenDelete,
        (false, true) => DeletionPolicy::Delete,
        (false, false) => DeletionPolicy::Retain,
    })
}

impl Intent {
    /// The intent of who deletes an object or not, under that policy.
    pub fn under(deleted: bool, policy: DeletionPolicy) -> Self {
        match (deleted, policy) {
            (false, _) => Self::Keep,
            (true, DeletionPolicy::Delete) => Self::Delete,
            (true, DeletionPolicy::BackupThenDelete) => Self::BackupThenDelete,
            (true, DeletionPolicy::Retain) => Self::Retain,
        }
    }
}
