//! Events: the operator's only voice, for it may not write status.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::notice::Notice;

/// How long an Event may take. Nothing waits for it but the next one.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest note that the API server takes, in bytes.
pub const LONGEST_NOTE: usize = 1024;

/// Publishes notices.
#[derive(Clone)]
pub struct Voice {
    recorder: Recorder,
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice").finish_non_exhaustive()
    }
}

impl Voice {
    /// The voice of the operator in that pod.
    pub fn new(client: Client, pod: &str) -> Self {
        let reporter = Reporter { controller: "db-operator".to_owned(), instance: Some(pod.to_owned()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Says it in the log, and in an Event. Answers whether the Event is published.
    pub async fn say(&self, about: &ObjectReference, notice: &Notice) -> bool {
        let mut note = notice.note.clone();
        note.truncate(note.floor_char_boundary(LONGEST_NOTE));
        let name = about.name.as_deref().unwrap_or_default();
        let namespace = about.namespace.as_deref().unwrap_or_default();
        if notice.warning {
            warn!(reason = notice.reason, namespace, name, "{note}");
        } else {
            info!(reason = notice.reason, namespace, name, "{note}");
        }
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason.to_owned(),
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        match timeout(EVENT_TIMEOUT, self.recorder.publish(&event, about)).await {
            Ok(Ok(())) => true,
            // Such as a namespace that is terminating, which takes none.
            Ok(Err(kube::Error::Api(status))) if (400..500).contains(&status.code) && status.code != 429 => {
                warn!(error = status.message, namespace, name, "the Event was refused");
                true
            }
            Ok(Err(error)) => {
                warn!(%error, namespace, name, "cannot publish the Event");
                false
            }
            Err(_) => {
                warn!(namespace, name, "cannot publish the Event in time");
                false
            }
        }
    }
}
