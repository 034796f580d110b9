//! A watch of what is new.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

/// How long a watch that failed is left alone: what is measured is on the same two cores.
const PAUSE: Duration = Duration::from_millis(100);

/// Calls `seen` for each object that comes into being from now on, in a task that ends when it is aborted.
pub(crate) async fn follow_new<K>(
    api: Api<K>,
    labels: &'static str,
    mut seen: impl FnMut(K) + Send + 'static,
) -> Result<JoinHandle<()>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let now = api.list(&ListParams::default().labels(labels).limit(1)).await?;
    let mut version = now.metadata.resource_version.unwrap_or_default();
    Ok(tokio::spawn(async move {
        loop {
            let only = WatchParams::default().labels(labels);
            let Ok(stream) = api.watch(&only, &version).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let mut stream = stream.boxed();
            while let Ok(Some(event)) = stream.try_next().await {
                match event {
                    WatchEvent::Added(object) => {
                        version = object.resource_version().unwrap_or(version);
                        seen(object);
                    }
                    WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                        version = object.resource_version().unwrap_or(version);
                    }
                    WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                    // What it has missed is not told any more, and whoever waits for that says so.
                    WatchEvent::Error(error) => {
                        println!("==> a watch of the bench ends: {}", error.message);
                        return;
                    }
                }
            }
        }
    }))
}
