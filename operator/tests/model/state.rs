//! The joint state: objects, Jobs, the database on its server, what is stored, and what the operator remembers.

use api::lifecycle::{Intent, policy_in_force};
use api::permission::Live;
use api::{DatabasePhase, DeletionPolicy, Operation};

use crate::protocol::Progress;

/// What stands in the name of a Job. Uids are small numbers here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) uid: u8,
    pub(crate) operation: Operation,
    pub(crate) series: Series,
    pub(crate) attempt: u8,
}

impl Name {
    pub(crate) fn counts_with(self, other: Self) -> bool {
        (self.uid, self.operation, self.series) == (other.uid, other.operation, other.series)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Series {
    Generation(u8),
    /// By the uid of a Backup or Restore.
    Request(u8),
}

/// The uid of a request that is gone, and that the status of a Database names still.
pub(crate) const GONE: u8 = 99;
/// The uids of Backups and Restores begin here.
pub(crate) const REQUESTS: u8 = 50;

/// A Database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct Object {
    pub(crate) uid: u8,
    pub(crate) generation: u8,
    pub(crate) phase: Option<DatabasePhase>,
    pub(crate) guarded: bool,
    pub(crate) was_created: bool,
    /// Ready, about its present generation.
    pub(crate) ready: bool,
    pub(crate) deleted: bool,
    /// `spec.deletionPolicy`.
    pub(crate) word: Option<DeletionPolicy>,
    /// `status.deletionPolicy`.
    pub(crate) recorded: Option<DeletionPolicy>,
    pub(crate) backed_up: bool,
    pub(crate) from_backup: bool,
    /// The Job that has claimed it.
    pub(crate) claim: Option<Name>,
    /// The attempt at the final backup that is announced, and whether its checksum is recorded.
    pub(crate) announced: Option<(u8, bool)>,
    pub(crate) completed: Option<Name>,
    /// The policy that counts, as this model has it, and not the code: what a person said last, else what was in force
    /// when a run first claimed the object.
    pub(crate) meant: Option<DeletionPolicy>,
}

impl Object {
    /// The policy in force, as the code has it.
    pub(crate) fn policy(&self) -> DeletionPolicy {
        policy_in_force(self.word, self.recorded, self.backed_up, self.phase)
    }

    pub(crate) fn intent(&self) -> Intent {
        Intent::under(self.deleted, self.policy())
    }

    /// The object, as the runtime judges a run by it.
    pub(crate) fn judged(&self) -> Live<Name> {
        Live {
            phase: self.phase,
            intent: self.intent(),
            was_created: self.was_created,
            claim: self.claim,
            completed: self.completed,
        }
    }

    /// The policy that a person can count on.
    pub(crate) fn promised(&self) -> DeletionPolicy {
        let by_default =
            if self.backed_up { DeletionPolicy::BackupThenDelete } else { DeletionPolicy::Retain };
        self.word.or(self.meant).unwrap_or(by_default)
    }
}

/// A Backup or Restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct Request {
    pub(crate) uid: u8,
    pub(crate) operation: Operation,
    pub(crate) progress: Option<Progress>,
    pub(crate) deleted: bool,
    /// Of a Backup: what it stores is to be deleted with it.
    pub(crate) deletable: bool,
    pub(crate) guarded: bool,
    pub(crate) completed_by: Option<Name>,
    /// Of a Backup: what of it is in the store.
    pub(crate) stored: Stored,
}

impl Request {
    pub(crate) fn is_wanted(&self) -> bool {
        !self.deleted && self.progress != Some(Progress::Completed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stored {
    Nothing,
    Parts,
    Manifest,
}

/// A pod at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct Run {
    /// Which path of the protocol it is on, and which effect comes next.
    pub(crate) path: u8,
    pub(crate) at: u8,
    /// What the owner wanted when it read the object.
    pub(crate) intent: Option<Intent>,
    pub(crate) generation: u8,
    /// The object as it last read or wrote it, if somebody else has written since.
    pub(crate) stale: Option<Read>,
    /// The claim that it found.
    pub(crate) found: Option<Name>,
    pub(crate) claimed: bool,
    pub(crate) session: Session,
    /// Its attempt at the final backup.
    pub(crate) attempt: Option<u8>,
    /// Whether what it has dumped is all that was there, and can be nothing else any more.
    pub(crate) dumped_all: bool,
    /// It has failed, and takes back what it began.
    pub(crate) failing: bool,
    /// The policy that a person could count on when it last wrote.
    pub(crate) promised: Option<DeletionPolicy>,
}

/// What a run goes by of an object that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Read {
    pub(crate) phase: Option<DatabasePhase>,
    pub(crate) was_created: bool,
    pub(crate) announced: Option<(u8, bool)>,
    pub(crate) claim: Option<Name>,
    pub(crate) observed: bool,
}

impl Read {
    pub(crate) fn of(object: &Object) -> Self {
        Self {
            phase: object.phase,
            was_created: object.was_created,
            announced: object.announced,
            claim: object.claim,
            observed: object.guarded
                && object.phase == Some(DatabasePhase::Created)
                && object.ready
                && object.was_created
                && object.claim.is_none(),
        }
    }
}

/// The session of a run, and with it the lock on the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Session {
    None,
    Holds,
    /// The server has ended it, and the run does not know.
    Lost,
}

/// A Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) name: Name,
    pub(crate) generation: u8,
    /// The uid of the Backup or Restore that it works on.
    pub(crate) request: Option<u8>,
    pub(crate) stage: Stage,
    /// Whether it was there together with one whose launch came late, which may have undone what it did.
    pub(crate) beside: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Its pod does not run: the image, a quota, a node.
    Stuck,
    Running(Run),
    /// Its pod has ended, and Kubernetes does not say so yet.
    Over,
    /// Whether the driver said that repeating cannot help.
    Failed {
        permanent: bool,
    },
    Complete,
}

impl Job {
    pub(crate) fn is_active(&self) -> bool {
        match self.stage {
            Stage::Stuck | Stage::Running(_) | Stage::Over => true,
            Stage::Failed { .. } | Stage::Complete => false,
        }
    }

    pub(crate) fn run(&self) -> Option<&Run> {
        match &self.stage {
            Stage::Running(run) => Some(run),
            Stage::Stuck | Stage::Over | Stage::Failed { .. } | Stage::Complete => None,
        }
    }
}

/// The database on its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OnServer {
    /// The uid in its mark.
    pub(crate) mark: u8,
    /// Whether it is all there, and not half loaded.
    pub(crate) whole: bool,
    /// Whether no login works.
    pub(crate) locked_out: bool,
}

/// A folder of a final backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Folder {
    pub(crate) attempt: u8,
    pub(crate) holds: Holds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holds {
    Parts,
    /// A whole backup of ours; whether no row can be newer.
    Backup {
        covers: bool,
    },
    /// A manifest that somebody else has put there.
    Forged,
}

/// What may go wrong still, and what people may do still: it makes the states finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct May {
    pub(crate) crash: u8,
    /// A launch that is decided now and posted later, or by who sees what is not so any more.
    pub(crate) late: u8,
    /// The session of a run ends, and the run does not know.
    pub(crate) lose_lock: u8,
    /// A finished Job is removed.
    pub(crate) expire: u8,
    /// The operator is restarted, and forgets.
    pub(crate) restart: u8,
    /// A pod does not begin.
    pub(crate) stick: u8,
    /// Somebody removes or forges what is in the bucket.
    pub(crate) bucket: u8,
    /// The owner says another policy.
    pub(crate) policy: u8,
    /// The owner changes the spec.
    pub(crate) change: u8,
    pub(crate) delete: u8,
    pub(crate) recreate: u8,
    pub(crate) backup: u8,
    pub(crate) restore: u8,
    /// Somebody deletes a Backup or Restore.
    pub(crate) withdraw: u8,
    pub(crate) terminate: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct State {
    pub(crate) object: Option<Object>,
    pub(crate) requests: Vec<Request>,
    pub(crate) jobs: Vec<Job>,
    /// Launches that are decided, and not posted yet.
    pub(crate) late: Vec<Job>,
    pub(crate) server: Option<OnServer>,
    /// The uid of the object whose login has been handed out: there may be rows.
    pub(crate) handed_out: Option<u8>,
    pub(crate) folders: Vec<Folder>,
    /// The uids of objects that were let go, and whose databases may stay.
    pub(crate) left: Vec<u8>,
    pub(crate) terminating: bool,
    /// The highest attempts that the operator remembers of Jobs that are gone.
    pub(crate) spent: Vec<Name>,
    /// The highest attempts that were ever launched, which nobody knows but this model.
    pub(crate) used: Vec<Name>,
    /// Whether the operator has forgotten something.
    pub(crate) forgot: bool,
    pub(crate) next_uid: u8,
    pub(crate) may: May,
}
