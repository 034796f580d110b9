//! What the owner of a Database wants to become of it. This is the one place that decides it.

use crate::kinds::{Database, DatabasePhase, DeletionPolicy};

/// What the owner of an object wants to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intent {
    /// It is not being deleted.
    Keep,
    /// It is being deleted, and the database is to be dropped.
    Delete,
    /// It is being deleted, and the database is to be dropped after a verified final backup.
    BackupThenDelete,
    /// It is being deleted, and the database stays on the server.
    Retain,
}

impl Intent {
    /// Every intent.
    pub const ALL: [Self; 4] = [Self::Keep, Self::Delete, Self::BackupThenDelete, Self::Retain];

    /// The intent that an object expresses by its deletion timestamp and the policy in force.
    pub fn of(database: &Database) -> Self {
        Self::under(database.is_being_deleted(), deletion_policy(database))
    }

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

/// The deletion policy in force for a Database.
pub fn deletion_policy(database: &Database) -> DeletionPolicy {
    policy_in_force(
        database.spec.deletion_policy,
        database.status.as_ref().and_then(|status| status.deletion_policy),
        database.spec.backup_to.is_some(),
        database.phase(),
    )
}

/// The deletion policy in force: what `spec.deletionPolicy` says, the `word`; without it, what the status has recorded;
/// without either, the default.
///
/// What nobody has said is decided for the data: the default drops nothing that is not backed up.
pub fn policy_in_force(
    word: Option<DeletionPolicy>,
    recorded: Option<DeletionPolicy>,
    backed_up: bool,
    phase: Option<DatabasePhase>,
) -> DeletionPolicy {
    word.or(recorded).unwrap_or_else(|| {
        if backed_up {
            DeletionPolicy::BackupThenDelete
        } else if is_claimed_for_deletion(phase) {
            // The release before recorded no policy, and its default was this one. Somebody asked for it under that rule,
            // and of what a drop has begun on nobody knows how much is left to keep.
            DeletionPolicy::Delete
        } else {
            DeletionPolicy::Retain
        }
    })
}

fn is_claimed_for_deletion(phase: Option<DatabasePhase>) -> bool {
    use DatabasePhase as P;
    match phase {
        Some(P::DeletionRequested | P::DeletionInProgress | P::Deleted) => true,
        None
        | Some(
            P::Creating
            | P::Created
            | P::BackupRequested
            | P::BackupInProgress
            | P::BackupCompleted
            | P::RestoreRequested
            | P::RestoreInProgress
            | P::RestoreCompleted
            | P::BackupBeforeDeleteRequested
            | P::BackupBeforeDeleteInProgress
            | P::BackupBeforeDeleteCompleted,
        ) => false,
    }
}
