//! When a watcher saw what.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// The state in which an object no longer exists.
pub(crate) const GONE: &str = "gone";

/// The first time that each object was seen in each state, by a watch that began before.
pub(crate) struct Seen {
    times: Arc<Mutex<HashMap<(String, String), Instant>>>,
    changed: Arc<Notify>,
    watch: JoinHandle<()>,
}

impl Seen {
    /// Watches every object behind `api`; `state` names the states worth noting.
    pub(crate) async fn watch<K>(api: Api<K>, state: fn(&K) -> Option<String>) -> Result<Self>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let times: Arc<Mutex<HashMap<(String, String), Instant>>> = Arc::default();
        let changed: Arc<Notify> = Arc::default();
        let mut version =
            api.list(&kube::api::ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
        let (noted, notify) = (Arc::clone(&times), Arc::clone(&changed));
        let watch = tokio::spawn(async move {
            loop {
                // The API server ends a watch after some minutes; it goes on where it ended.
                let Ok(stream) = api.watch(&WatchParams::default(), &version).await else { return };
                let mut stream = stream.boxed();
                while let Ok(Some(event)) = stream.try_next().await {
                    let (object, state) = match event {
                        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                            let state = state(&object);
                            (object, state)
                        }
                        WatchEvent::Deleted(object) => (object, Some(GONE.to_owned())),
                        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => continue,
                    };
                    version = object.resource_version().unwrap_or(version);
                    if let Some(state) = state {
                        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                        noted.entry((object.name_any(), state)).or_insert_with(Instant::now);
                        notify.notify_waiters();
                    }
                }
            }
        });
        Ok(Self { times, changed, watch })
    }

    /// Waits until `name` has been seen in `state`.
    pub(crate) async fn when(&self, name: &str, state: &str) -> Result<Instant> {
        let key = (name.to_owned(), state.to_owned());
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let change = self.changed.notified();
            if let Some(time) = self.times.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
                return Ok(*time);
            }
            if tokio::time::timeout_at(deadline, change).await.is_err() {
                bail!("{name} was not seen {state} within {PATIENCE:?}");
            }
        }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
