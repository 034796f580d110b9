//! The phases that a watcher sees, in order.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use driver_api::api::{Database, DatabasePhase};
use futures::StreamExt;
use kube::Api;
use kube::runtime::watcher;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Records a Database's phases from before its creation on.
#[derive(Debug)]
pub struct History {
    phases: Arc<Mutex<Vec<DatabasePhase>>>,
    watching: JoinHandle<()>,
}

impl History {
    /// Returns once the watch is established, so that nothing is missed.
    pub async fn record(api: &Api<Database>, name: &str) -> Result<Self> {
        let phases = Arc::new(Mutex::new(Vec::new()));
        let (established, waiting) = oneshot::channel();
        let selection = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let stream = watcher(api.clone(), selection);
        let recorded = Arc::clone(&phases);
        let watching = tokio::spawn(async move {
            let mut established = Some(established);
            let mut stream = pin!(stream);
            while let Some(event) = stream.next().await {
                match event {
                    Ok(watcher::Event::InitDone) => {
                        if let Some(established) = established.take() {
                            let _ = established.send(());
                        }
                    }
                    Ok(watcher::Event::Apply(database) | watcher::Event::InitApply(database)) => {
                        let mut phases = recorded.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(phase) = database.phase().filter(|phase| phases.last() != Some(phase)) {
                            phases.push(phase);
                        }
                    }
                    Ok(watcher::Event::Init | watcher::Event::Delete(_)) | Err(_) => {}
                }
            }
        });
        waiting.await.context("the watch was not established")?;
        Ok(Self { phases, watching })
    }

    /// The phases so far, each change once.
    pub fn phases(&self) -> Vec<DatabasePhase> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
