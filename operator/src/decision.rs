//! What can be decided about an object. A leaf: it knows nothing of how.

use std::sync::Arc;
use std::time::Duration;

use api::Operation;

/// What to do about an object.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Launch a Job.
    Launch(Launch),
    /// Wait for something that comes by itself.
    Wait(Wait),
    /// Nothing is to be done.
    Settled(Settled),
    /// It does not go on until somebody does something.
    Stuck(Stuck),
}

/// A Job to be launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What it does.
    pub operation: Operation,
    /// The Backup or Restore that it works on, if it works on one.
    pub request: Option<Request>,
    /// The uid of the Backup that is to be loaded, if that is complete.
    pub source: Option<Arc<str>>,
    /// Counts the Jobs of one operation on one generation, or on one Backup or Restore.
    pub attempt: u32,
    /// The Job before it ended well, and yet the phase did not move: a driver has broken its contract.
    pub after_lost_work: bool,
    /// Nobody asks for it: the time has come to verify the Database.
    pub unasked: bool,
}

/// A Backup or Restore whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it asks for: [`Operation::Backup`] or [`Operation::Restore`].
    pub operation: Operation,
    pub name: Arc<str>,
    /// Its uid; one that no object has if it is gone, and what was begun is to be given up.
    pub uid: Arc<str>,
    /// What its annotation `db.isotoma.com/retry` says.
    pub retry: Option<Wish>,
    /// Of a Restore: the uid of the Backup that it names, once that is complete.
    pub source: Option<Arc<str>>,
}

/// What somebody wishes by the value of an annotation, as a hash: a value may be long, and only whether it is another
/// one matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish(pub u64);

impl Wish {
    /// The wish that the value of an annotation expresses.
    pub fn of(value: &str) -> Self {
        let digits = api::names::short_hash(value, 16);
        Self(u64::from_str_radix(&digits, 16).unwrap_or_default())
    }
}

impl std::fmt::Display for Wish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What an object waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A Job is at work.
    Job {
        /// When to look whether it has started, if it has not.
        look_in: Option<Duration>,
    },
    /// A Job is suspended, by a person, or by what holds Jobs back, such as Kueue.
    Suspended {
        /// Its name.
        job: Arc<str>,
    },
    /// The last attempt failed, and the next one is not due yet.
    Backoff {
        operation: Operation,
        /// When it is due.
        left: Duration,
        /// Whether the driver said that repeating cannot help.
        permanent: bool,
    },
    /// Its namespace is terminating: it will be deleted itself, and is let go then.
    Namespace,
}

/// Why nothing is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is what its spec asks for.
    Current {
        /// When it is to be verified again.
        verify_in: Option<Duration>,
    },
    /// It is being deleted, and nothing of it is on a server or in a store.
    NothingLeft,
}

/// Why it does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// The phase says that it is being deleted, and nobody deletes it.
    Contradiction,
    /// No `Driver` of that name is registered.
    UnknownDriver,
    /// The Job has no pod: a quota, an admission policy, or a service account that is missing.
    NoPod {
        /// The Job.
        job: Arc<str>,
    },
    /// The Job's pod does not run: its image cannot be pulled, or no node takes it.
    NotRunning {
        /// The Job.
        job: Arc<str>,
        image: Arc<str>,
    },
}
