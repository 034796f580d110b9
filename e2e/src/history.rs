//! The phases that a watcher sees, in order.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use api::{Database, DatabasePhase};
use futures::StreamExt;
use kube::Api;
use kube::runtime::watcher;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// How long the last event of a watch may be under way.
const LIMIT: Duration = Duration::from_secs(10);

/// Records a Database's phases from before its creation on.
#[derive(Debug)]
pub struct History {
    phases: watch::Receiver<Vec<DatabasePhase>>,
    watching: JoinHandle<()>,
}

impl History {
    /// Returns once the watch is established, so that nothing is missed.
    pub async fn record(api: &Api<Database>, name: &str) -> Result<Self> {
        let (recorder, phases) = watch::channel(Vec::new());
        let (established, waiting) = oneshot::channel();
        let selection = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let stream = watcher(api.clone(), selection);
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
                        if let Some(phase) = database.phase() {
                            recorder.send_if_modified(|phases| {
                                let news = phases.last() != Some(&phase);
                                phases.extend(news.then_some(phase));
                                news
                            });
                        }
                    }
                    Ok(watcher::Event::Init | watcher::Event::Delete(_)) | Err(_) => {}
                }
            }
        });
        waiting.await.context("the watch was not established")?;
        Ok(Self { phases, watching })
    }

    /// Checks that the phases so far are these, each change once.
    pub async fn expect(&mut self, expected: &[DatabasePhase]) -> Result<()> {
        let waiting = self.phases.wait_for(|phases| phases == expected);
        let seen = matches!(tokio::time::timeout(LIMIT, waiting).await, Ok(Ok(_)));
        if seen {
            return Ok(());
        }
        Err(anyhow!("the phases were {:?}, and should be {expected:?}", *self.phases.borrow()))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
