//! Backups: this version cannot run them, and says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use driver_api::api::Backup;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use tokio::sync::Notify;

use crate::controller::Context;
use crate::decide::{BackupDecision, decide_backup};
use crate::facts::Facts;
use crate::report::{Notice, Voice};
use crate::watch::Change;

/// The Backups about which something is to be said, by uid.
#[derive(Debug, Default)]
pub struct Backups {
    unsaid: Mutex<BTreeMap<String, ObjectReference>>,
    changed: Notify,
}

impl Backups {
    /// Takes what the watch brings.
    pub fn take(&self, change: Change<Backup>, voice: &Voice) {
        let applied = match change {
            Change::All(backups) => {
                // Those that are not among them are gone.
                self.lock().clear();
                backups
            }
            Change::Applied(backup) => vec![backup],
            Change::Deleted(backup) => {
                let uid = backup.metadata.uid.unwrap_or_default();
                self.lock().remove(&uid);
                voice.fall_silent(&uid);
                return;
            }
        };
        for backup in applied {
            match decide_backup(Facts::of_backup(&backup)) {
                BackupDecision::NotSupported => {
                    let uid = backup.metadata.uid.clone().unwrap_or_default();
                    self.lock().insert(uid, backup.object_ref(&()));
                }
                BackupDecision::Settled => {}
            }
        }
        self.changed.notify_one();
    }

    /// Says it, once each, while this process leads.
    pub async fn speak(self: Arc<Self>, context: Arc<Context>) {
        let mut leading = context.leading.clone();
        loop {
            if leading.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            let next = self.lock().pop_first();
            match next {
                Some((uid, about)) => {
                    let note = "this version of db-operator cannot run a Backup: it stays without phase until db-operator is upgraded";
                    let notice = Notice::warning("BackupNotSupported", note.to_owned());
                    context.voice.say(&uid, &about, Some(notice)).await;
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ObjectReference>> {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
