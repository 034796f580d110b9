//! The API server: what it knows, and what changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use hyper::body::Bytes;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::chance::Chance;
use crate::faults::Faults;
use crate::pods::{Cluster, Pods};
use crate::store::{Key, Resource, Store};

/// When every play begins, in seconds since 1970: when the resync verifies an object hangs on the hour.
const BEGIN: i64 = 1_800_000_000;

/// A Job that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The uid of the object that it works on.
    pub(crate) uid: String,
    /// How long the server had been there.
    pub(crate) at: Duration,
}

/// All that the API server knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    /// Nobody can reach it.
    pub(crate) away: bool,
    /// Whether lists stream.
    pub(crate) streams: bool,
    /// The Jobs that it took, in their order.
    pub(crate) posts: Vec<Post>,
    /// The answers to the POSTs of Jobs, by pod of the operator and code.
    pub(crate) answers: BTreeMap<(String, u16), usize>,
    /// Reason and name of what each Event is about.
    pub(crate) events: Vec<(String, String)>,
    /// How many requests there were.
    pub(crate) requests: u64,
    /// What is asked about these is never answered.
    pub(crate) silent: BTreeSet<Resource>,
    /// After how long every watch is told that what it knows is too old.
    pub(crate) too_old_after: Option<Duration>,
    /// What is answered to every Job for these namespaces.
    pub(crate) refused: BTreeMap<&'static str, (u16, &'static str)>,
    /// Where the rest of each list is that is read by pages.
    pub(crate) pages: BTreeMap<String, (u64, Vec<Vec<Bytes>>)>,
    pub(crate) cluster: Cluster,
}

/// The API server.
#[derive(Debug)]
pub(crate) struct Server {
    state: Mutex<State>,
    pub(crate) news: watch::Sender<u64>,
    pub(crate) restarts: watch::Sender<u64>,
    begun: Instant,
    /// What its clock said when it began.
    time: Timestamp,
}

impl Server {
    /// A server without faults, whose clock is ahead of ours by so many seconds.
    pub(crate) fn new(mut chance: Chance, ahead: i64) -> Arc<Self> {
        let faults = Faults { chance: chance.split(), per_mille: 0, met: 0 };
        let state = State {
            store: Store::default(),
            faults,
            away: false,
            streams: true,
            posts: Vec::new(),
            answers: BTreeMap::new(),
            events: Vec::new(),
            requests: 0,
            silent: BTreeSet::new(),
            too_old_after: None,
            refused: BTreeMap::new(),
            pages: BTreeMap::new(),
            cluster: Cluster::new(chance.split(), Pods::default()),
        };
        let server = Arc::new(Self {
            state: Mutex::new(state),
            news: watch::Sender::new(0),
            restarts: watch::Sender::new(0),
            begun: Instant::now(),
            time: Timestamp::from_second(BEGIN + ahead).unwrap(),
        });
        server.create("namespaces", json!({"metadata": {"name": "kube-system"}}));
        server
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // All is on one thread, so whoever waits here would wait for itself.
        match self.state.try_lock() {
            Ok(state) => state,
            // Some task has panicked with it. That is what fails the test, and is to be seen.
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => panic!("the state is taken already"),
        }
    }

    /// Its clock.
    pub(crate) fn now(&self) -> String {
        let now = self.time.checked_add(self.begun.elapsed()).unwrap();
        Timestamp::from_second(now.as_second()).unwrap().to_string()
    }

    /// How long it has been there.
    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Tells the watches that something has changed.
    pub(crate) fn tell(&self) {
        self.news.send_modify(|news| *news += 1);
    }

    /// Wakes with each change.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub(crate) fn create(&self, resource: Resource, value: Value) -> Option<Value> {
        let created = self.state().store.create(resource, value, &self.now());
        self.tell();
        created
    }

    pub(crate) fn update(&self, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Value> {
        let changed = self.state().store.update(key, change);
        self.tell();
        changed
    }

    pub(crate) fn delete(&self, key: &Key) {
        self.state().store.delete(key, &self.now());
        self.tell();
    }

    /// Ends all connections.
    pub(crate) fn restart(&self) {
        self.restarts.send_modify(|restarts| *restarts += 1);
    }

    /// Forgets what has changed so far: who wants to go on from there is told 410.
    pub(crate) fn compact(&self) {
        let mut state = self.state();
        state.store.compact();
        state.pages.clear();
        drop(state);
        self.tell();
    }

    /// Is away for so long, and may have forgotten by then what has changed meanwhile.
    pub(crate) async fn go_away(&self, length: Duration, forgets: bool) {
        self.state().away = true;
        self.restart();
        sleep(length).await;
        if forgets {
            self.compact();
        }
        self.state().away = false;
    }
}
