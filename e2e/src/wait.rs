//! Waiting by watch, with a deadline, and with an account of what was seen last.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::StreamExt;
use kube::Api;
use kube::core::Resource;
use kube::runtime::{WatchStreamExt, watcher};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The promise: what keeps a Job from being launched or from starting is said within this time, and what its driver finds
/// within this time of its begin. A Job may wait longer than that for its slot.
pub const SOON: Duration = Duration::from_secs(30);

/// For what waits for a slot, on a machine that has other work, and for repeated attempts, whose backoffs add up.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// What a watch needs of a kind.
pub trait Watched:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug + Send + 'static
{
}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug + Send + 'static> Watched
    for K
{
}

/// Waits until `check` holds for the object of that name, or for its absence, and returns it.
///
/// # Errors
///
/// At the deadline, naming `what` was awaited and what was last seen.
pub async fn until<K: Watched>(
    api: &Api<K>,
    name: &str,
    limit: Duration,
    what: &str,
    mut check: impl FnMut(Option<&K>) -> bool,
) -> Result<Option<K>> {
    let mut last = "nothing was seen yet".to_owned();
    let seen = tokio::time::timeout(limit, async {
        let mut stream = pin!(watcher::watch_object(api.clone(), name));
        while let Some(event) = stream.next().await {
            match event {
                Ok(object) if check(object.as_ref()) => return Ok(object),
                Ok(object) => last = object.as_ref().map_or_else(|| "it does not exist".to_owned(), summary),
                Err(error) => last = format!("the watch broke: {error}"),
            }
        }
        bail!("the watch ended")
    });
    match seen.await {
        Ok(outcome) => outcome,
        Err(_) => {
            bail!("{} {name}: waited {} s for {what}; last seen: {last}", K::kind(&()), limit.as_secs())
        }
    }
}

/// Waits until `check` holds for any object that `selection` selects, and returns that one.
pub async fn until_any<K: Watched>(
    api: &Api<K>,
    selection: watcher::Config,
    limit: Duration,
    what: &str,
    mut check: impl FnMut(&K) -> bool,
) -> Result<K> {
    let mut last = "none".to_owned();
    let seen = tokio::time::timeout(limit, async {
        let mut stream = pin!(watcher(api.clone(), selection).applied_objects());
        while let Some(event) = stream.next().await {
            match event {
                Ok(object) if check(&object) => return Ok(object),
                Ok(object) => last = summary(&object),
                Err(error) => last = format!("the watch broke: {error}"),
            }
        }
        bail!("the watch ended")
    });
    match seen.await {
        Ok(outcome) => outcome,
        Err(_) => bail!("waited {} s for a {}: {what}; last seen: {last}", limit.as_secs(), K::kind(&())),
    }
}

/// What of an object tells how far it is.
pub(crate) fn summary<K: Serialize>(object: &K) -> String {
    let value = serde_json::to_value(object).unwrap_or_default();
    let mut summary = Map::new();
    for pointer in [
        "/metadata/name",
        "/metadata/generation",
        "/metadata/deletionTimestamp",
        "/metadata/finalizers",
        "/metadata/annotations",
        "/reason",
        "/message",
        "/status",
    ] {
        if let Some(found) = value.pointer(pointer).filter(|found| !found.is_null()) {
            summary.insert(pointer.to_owned(), found.clone());
        }
    }
    format!("{:#}", Value::Object(summary))
}
