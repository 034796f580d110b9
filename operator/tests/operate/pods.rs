//! What the API server's cluster knows of pods: how they behave, and how many are at work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::chance::Chance;

/// How pods behave.
#[derive(Clone, Debug)]
pub(crate) struct Pods {
    /// How long it takes until a pod exists, and then until its container runs, in milliseconds.
    pub(crate) start: (u64, u64),
    /// How long a step of a driver takes, in milliseconds.
    pub(crate) step: (u64, u64),
    /// How long a container runs before its driver looks at anything.
    pub(crate) work: Duration,
    /// In so many of a thousand steps the driver fails.
    pub(crate) failing: u64,
    /// Images that cannot be pulled.
    pub(crate) not_pulled: BTreeSet<String>,
    /// Namespaces whose Jobs are suspended when they are made.
    pub(crate) suspended: BTreeSet<String>,
}

impl Default for Pods {
    fn default() -> Self {
        Self {
            start: (100, 900),
            step: (5, 200),
            work: Duration::ZERO,
            failing: 0,
            not_pulled: BTreeSet::new(),
            suspended: BTreeSet::new(),
        }
    }
}

/// What the cluster knows.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) chance: Chance,
    pub(crate) pods: Pods,
    /// One driver at a time works on a database.
    pub(crate) locks: BTreeMap<String, Arc<Mutex<()>>>,
    /// How many are at work now, by server, and the most that ever were: in all, and on one server.
    pub(crate) at_work: BTreeMap<String, usize>,
    pub(crate) most_at_work: usize,
    pub(crate) most_on_one_server: usize,
    /// Uids of the Databases whose databases exist on the server.
    pub(crate) on_the_server: BTreeSet<String>,
}

impl Cluster {
    pub(crate) fn new(chance: Chance, pods: Pods) -> Self {
        Self {
            chance,
            pods,
            locks: BTreeMap::new(),
            at_work: BTreeMap::new(),
            most_at_work: 0,
            most_on_one_server: 0,
            on_the_server: BTreeSet::new(),
        }
    }
}
