//! The lifecycle of a Database: which phase may follow which, and which operation may run when.
//!
//! Everything here is pure. The operator asks it what is needed, the runtime asks it before every write, so
//! that a stale or hostile Job is harmless.

pub use crate::intent::{Intent, deletion_policy, policy_in_force};
use crate::kinds::{BackupPhase, DatabasePhase, RestorePhase};
use crate::operation::Operation;

/// Whether a Database may go from phase `from` to phase `to`.
///
/// A phase may always be written again: a run that is repeated repeats its writes.
pub fn may_follow(from: Option<DatabasePhase>, to: DatabasePhase) -> bool {
    use DatabasePhase as P;
    let Some(from) = from else {
        // A run died between finalizer and first phase, and the object was deleted since.
        return matches!(to, P::Creating | P::BackupBeforeDeleteRequested | P::DeletionRequested);
    };
    from == to
        || match from {
            // The final backup is due if the login was handed out, which `permits` is told.
            P::Creating => {
                matches!(to, P::Created | P::BackupBeforeDeleteRequested | P::DeletionRequested)
            }
            P::Created => matches!(
                to,
                P::BackupRequested
                    | P::RestoreRequested
                    | P::BackupBeforeDeleteRequested
                    | P::DeletionRequested
            ),
            // A run that dies after its claim leaves the way back open.
            P::BackupRequested => matches!(to, P::BackupInProgress | P::Created | P::DeletionRequested),
            P::BackupInProgress => {
                matches!(to, P::BackupCompleted | P::BackupRequested | P::Created | P::DeletionRequested)
            }
            P::BackupCompleted => matches!(to, P::Created | P::DeletionRequested),
            P::RestoreRequested => matches!(
                to,
                P::RestoreInProgress | P::Created | P::BackupBeforeDeleteRequested | P::DeletionRequested
            ),
            // What was there is given up, so only a load that is complete leads back to Created.
            P::RestoreInProgress => matches!(to, P::RestoreCompleted | P::DeletionRequested),
            P::RestoreCompleted => {
                matches!(to, P::Created | P::BackupBeforeDeleteRequested | P::DeletionRequested)
            }
            // The owner may give up the final backup by changing the policy to Delete or Retain.
            P::BackupBeforeDeleteRequested => {
                matches!(to, P::BackupBeforeDeleteInProgress | P::DeletionRequested)
            }
            P::BackupBeforeDeleteInProgress => {
                matches!(
                    to,
                    P::BackupBeforeDeleteCompleted | P::BackupBeforeDeleteRequested | P::DeletionRequested
                )
            }
            P::BackupBeforeDeleteCompleted => {
                matches!(to, P::DeletionRequested | P::BackupBeforeDeleteRequested)
            }
            P::DeletionRequested => matches!(to, P::DeletionInProgress),
            P::DeletionInProgress => matches!(to, P::Deleted | P::DeletionRequested),
            P::Deleted => matches!(to, P::DeletionRequested),
        }
}

/// Whether a Backup may go from phase `from` to phase `to`. A failed attempt starts over.
pub fn backup_may_follow(from: Option<BackupPhase>, to: BackupPhase) -> bool {
    use BackupPhase as P;
    match from {
        None => matches!(to, P::Starting),
        // A run that died after the manifest leaves a backup that is complete.
        Some(P::Starting) => matches!(to, P::Starting | P::BackingUp | P::Completed),
        Some(P::BackingUp) => matches!(to, P::Starting | P::BackingUp | P::Completed),
        Some(P::Completed) => matches!(to, P::Completed),
    }
}

/// Whether a Restore may go from phase `from` to phase `to`. A failed attempt starts over.
pub fn restore_may_follow(from: Option<RestorePhase>, to: RestorePhase) -> bool {
    use RestorePhase as P;
    match from {
        None => matches!(to, P::Starting),
        // A run that reads the backup beside one that loads it sets it back.
        Some(P::Starting) => matches!(to, P::Starting | P::Restoring | P::Completed),
        Some(P::Restoring) => matches!(to, P::Starting | P::Restoring | P::Completed),
        Some(P::Completed) => matches!(to, P::Completed),
    }
}

/// Whether an operation may act on a Database in that phase, given what its owner wants.
///
/// `was_created` says that the database has been complete once (`status.createdAt`): then it may hold rows,
/// whatever the phase claims, and with [`Intent::BackupThenDelete`] only a final backup leads to its drop.
pub fn permits(
    operation: Operation,
    phase: Option<DatabasePhase>,
    intent: Intent,
    was_created: bool,
) -> bool {
    use DatabasePhase as P;
    match operation {
        Operation::Create => intent == Intent::Keep && matches!(phase, None | Some(P::Creating | P::Created)),
        // A backup that has begun is finished, even when the object is deleted meanwhile.
        Operation::Backup => match phase {
            Some(P::Created) => intent == Intent::Keep,
            Some(P::BackupRequested | P::BackupInProgress | P::BackupCompleted) => true,
            None
            | Some(
                P::Creating
                | P::RestoreRequested
                | P::RestoreInProgress
                | P::RestoreCompleted
                | P::BackupBeforeDeleteRequested
                | P::BackupBeforeDeleteInProgress
                | P::BackupBeforeDeleteCompleted
                | P::DeletionRequested
                | P::DeletionInProgress
                | P::Deleted,
            ) => false,
        },
        Operation::Restore => match phase {
            Some(P::Created | P::RestoreRequested | P::RestoreCompleted) => intent == Intent::Keep,
            // A final backup of what is half loaded would be worth nothing: it is finished first.
            Some(P::RestoreInProgress) => matches!(intent, Intent::Keep | Intent::BackupThenDelete),
            None
            | Some(
                P::Creating
                | P::BackupRequested
                | P::BackupInProgress
                | P::BackupCompleted
                | P::BackupBeforeDeleteRequested
                | P::BackupBeforeDeleteInProgress
                | P::BackupBeforeDeleteCompleted
                | P::DeletionRequested
                | P::DeletionInProgress
                | P::Deleted,
            ) => false,
        },
        Operation::Rotate => intent == Intent::Keep && phase == Some(P::Created),
        Operation::BackupBeforeDelete => {
            intent == Intent::BackupThenDelete
                && match phase {
                    Some(
                        P::Created
                        | P::RestoreRequested
                        | P::RestoreCompleted
                        | P::BackupBeforeDeleteRequested
                        | P::BackupBeforeDeleteInProgress
                        | P::BackupBeforeDeleteCompleted,
                    ) => true,
                    None | Some(P::Creating) => was_created,
                    Some(
                        P::BackupRequested
                        | P::BackupInProgress
                        | P::BackupCompleted
                        | P::RestoreInProgress
                        | P::DeletionRequested
                        | P::DeletionInProgress
                        | P::Deleted,
                    ) => false,
                }
        }
        Operation::Delete => match intent {
            Intent::Keep => false,
            Intent::Delete | Intent::Retain => true,
            Intent::BackupThenDelete => match phase {
                // Half made: nothing was handed out, there is nothing to save.
                None | Some(P::Creating) => !was_created,
                Some(
                    P::BackupBeforeDeleteCompleted
                    | P::DeletionRequested
                    | P::DeletionInProgress
                    | P::Deleted,
                ) => true,
                Some(
                    P::Created
                    | P::BackupRequested
                    | P::BackupInProgress
                    | P::BackupCompleted
                    | P::RestoreRequested
                    | P::RestoreInProgress
                    | P::RestoreCompleted
                    | P::BackupBeforeDeleteRequested
                    | P::BackupBeforeDeleteInProgress,
                ) => false,
            },
        },
        // It acts on a Backup alone, whose Database may be gone or alive.
        Operation::DeleteBackup => false,
        Operation::Release => intent != Intent::Keep,
    }
}

/// What a Database needs, whatever Jobs exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Nothing.
    Nothing,
    /// That operation.
    Run(Operation),
    /// Phase and intent contradict each other.
    Contradiction,
}

/// What a Database in that phase needs, given what its owner wants. `requested` is what the Backup or Restore
/// asks for whose turn it is.
pub fn needed(
    phase: Option<DatabasePhase>,
    intent: Intent,
    current: bool,
    guarded: bool,
    was_created: bool,
    requested: Option<Operation>,
) -> Needed {
    use DatabasePhase as P;
    if intent != Intent::Keep && !guarded {
        return Needed::Nothing;
    }
    match phase {
        // A run may have died between finalizer and first phase, so `none` is handled like `Creating`.
        None | Some(P::Creating) => match intent {
            Intent::Keep => Needed::Run(Operation::Create),
            Intent::BackupThenDelete if was_created => Needed::Run(Operation::BackupBeforeDelete),
            Intent::Delete | Intent::BackupThenDelete | Intent::Retain => Needed::Run(Operation::Delete),
        },
        Some(P::Created) => match intent {
            Intent::Keep if current => requested.map_or(Needed::Nothing, Needed::Run),
            Intent::Keep => Needed::Run(Operation::Create),
            Intent::BackupThenDelete => Needed::Run(Operation::BackupBeforeDelete),
            Intent::Delete | Intent::Retain => Needed::Run(Operation::Delete),
        },
        // A backup that has begun is finished first. A deletion that wants none waits only for a Job that is at work.
        Some(P::BackupRequested | P::BackupInProgress | P::BackupCompleted) => match intent {
            Intent::Keep | Intent::BackupThenDelete => Needed::Run(Operation::Backup),
            Intent::Delete | Intent::Retain => Needed::Run(Operation::Delete),
        },
        Some(P::RestoreRequested | P::RestoreCompleted) => match intent {
            Intent::Keep => Needed::Run(Operation::Restore),
            Intent::BackupThenDelete => Needed::Run(Operation::BackupBeforeDelete),
            Intent::Delete | Intent::Retain => Needed::Run(Operation::Delete),
        },
        // What is half loaded is not worth a final backup: it is finished first.
        Some(P::RestoreInProgress) => match intent {
            Intent::Keep | Intent::BackupThenDelete => Needed::Run(Operation::Restore),
            Intent::Delete | Intent::Retain => Needed::Run(Operation::Delete),
        },
        Some(P::BackupBeforeDeleteRequested | P::BackupBeforeDeleteInProgress) => match intent {
            Intent::Keep => Needed::Contradiction,
            Intent::BackupThenDelete => Needed::Run(Operation::BackupBeforeDelete),
            Intent::Delete | Intent::Retain => Needed::Run(Operation::Delete),
        },
        Some(P::BackupBeforeDeleteCompleted | P::DeletionRequested | P::DeletionInProgress | P::Deleted) => {
            match intent {
                Intent::Keep => Needed::Contradiction,
                Intent::Delete | Intent::BackupThenDelete | Intent::Retain => Needed::Run(Operation::Delete),
            }
        }
    }
}

/// Whether the phase says that an operation is over, whatever its Job says.
pub fn is_past(operation: Operation, phase: Option<DatabasePhase>) -> bool {
    use DatabasePhase as P;
    // How far an object is on its one-way road: alive, final backup, final backup done, deletion.
    let stage = match phase {
        None
        | Some(
            P::Creating
            | P::Created
            | P::BackupRequested
            | P::BackupInProgress
            | P::BackupCompleted
            | P::RestoreRequested
            | P::RestoreInProgress
            | P::RestoreCompleted,
        ) => 0,
        Some(P::BackupBeforeDeleteRequested | P::BackupBeforeDeleteInProgress) => 1,
        Some(P::BackupBeforeDeleteCompleted) => 2,
        Some(P::DeletionRequested | P::DeletionInProgress | P::Deleted) => 3,
    };
    match operation {
        Operation::Create | Operation::Backup | Operation::Restore | Operation::Rotate => stage >= 1,
        Operation::BackupBeforeDelete => stage >= 2,
        Operation::Delete | Operation::DeleteBackup | Operation::Release => false,
    }
}

/// The operation that a phase says has begun on a Backup or a Restore, and is not finished.
pub fn begun(phase: Option<DatabasePhase>) -> Option<Operation> {
    use DatabasePhase as P;
    match phase? {
        P::BackupRequested | P::BackupInProgress | P::BackupCompleted => Some(Operation::Backup),
        P::RestoreRequested | P::RestoreInProgress | P::RestoreCompleted => Some(Operation::Restore),
        P::Creating
        | P::Created
        | P::BackupBeforeDeleteRequested
        | P::BackupBeforeDeleteInProgress
        | P::BackupBeforeDeleteCompleted
        | P::DeletionRequested
        | P::DeletionInProgress
        | P::Deleted => None,
    }
}
