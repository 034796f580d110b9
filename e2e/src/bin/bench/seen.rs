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

    /// How many objects at most were in state `from` and not yet in state `to`, of those that came after `since`.
    pub(crate) fn most_at_once(&self, since: Instant, from: &str, to: &str) -> usize {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = times.iter().filter(|((_, state), begin)| state == from && **begin >= since);
        most_at_once(begun.map(|((name, _), begin)| {
            let end = times.get(&(name.clone(), to.to_owned()));
            (*begin, end.copied())
        }))
    }
}

/// The most of these spans that overlap. One without an end still lasts.
fn most_at_once(spans: impl Iterator<Item = (Instant, Option<Instant>)>) -> usize {
    let ends = spans.flat_map(|(begin, end)| [Some((begin, true)), end.map(|end| (end, false))]);
    let mut changes: Vec<_> = ends.flatten().collect();
    // What ends makes room for what begins at the same time.
    changes.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in changes {
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    most
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_touch_do_not_overlap_and_one_without_an_end_lasts() {
        let begin = Instant::now();
        let at = |second: u64| begin + Duration::from_secs(second);
        let spans = [(at(0), Some(at(2))), (at(1), Some(at(3))), (at(2), Some(at(4))), (at(5), None)];
        assert_eq!(most_at_once(spans.into_iter()), 2);
        let open = [(at(0), None), (at(1), None), (at(2), Some(at(3)))];
        assert_eq!(most_at_once(open.into_iter()), 3);
    }
}
