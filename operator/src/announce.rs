//! Events about Backups and Restores: that they are done or deleted, and that there is no Database for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use api::Operation;
use tokio::sync::Notify;

use crate::controller::Context;
use crate::seen::requests::KnownRequest;
use crate::seen::watch::Change;
use crate::voice::Notice;

/// What is to be said about Backups and Restores, by uid.
#[derive(Debug, Default)]
pub struct Announcements {
    unsaid: Mutex<BTreeMap<String, KnownRequest>>,
    changed: Notify,
}

impl Announcements {
    /// Takes what the watch of one kind brings: it is remembered, and its Database is looked at again.
    pub fn take(&self, operation: Operation, change: Change<KnownRequest>, context: &Context) {
        match change {
            Change::All(all) => {
                context.world().requests.replace(operation, all.clone());
                context.wake_all();
                for request in all.into_iter().filter(KnownRequest::is_pending) {
                    self.say_later(request);
                }
            }
            Change::Applied(request) => {
                let before = context.world().requests.apply(request.clone());
                context.wake_if_known(request.about());
                context.wake_admitted();
                let was_completed = before.as_ref().is_some_and(|before| before.completed);
                if operation == Operation::Backup && request.completed && !was_completed {
                    context.wake_for_source(&request);
                }
                let completed_now = request.completed && before.is_some() && !was_completed;
                if completed_now || request.is_pending() {
                    self.say_later(request);
                }
            }
            Change::Deleted(request) => {
                {
                    let mut world = context.world();
                    world.requests.delete(&request.uid);
                    world.forget(&request.uid);
                }
                self.lock().remove(&request.uid);
                context.voice.forget(&request.uid);
                context.wake_if_known(request.about());
                context.wake_admitted();
                if request.deletion_note.is_some() {
                    self.say_later(request);
                }
            }
        }
    }

    /// Says it, once each, while this process leads. To be begun when every Database has been seen.
    pub async fn speak(self: Arc<Self>, context: Arc<Context>) {
        let mut leading = context.leading.clone();
        loop {
            if leading.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            let next = self.lock().pop_first();
            match next {
                Some((uid, request)) => {
                    let known = context.databases.get(&request.about()).is_some();
                    if let Some(notice) = notice(&request, known) {
                        context.voice.say(&uid, &request.reference(), Some(notice)).await;
                    }
                    if request.deletion_note.is_some() {
                        // It is gone by now, and nothing more is to be said.
                        context.voice.forget(&uid);
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn say_later(&self, request: KnownRequest) {
        self.lock().insert(request.uid.clone(), request);
        self.changed.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, KnownRequest>> {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to say about a request, given whether its Database exists.
fn notice(request: &KnownRequest, database_exists: bool) -> Option<Notice> {
    let KnownRequest { operation, database, namespace, .. } = request;
    if let Some(said) = &request.deletion_note {
        return Some(Notice::normal("BackupDeleted", said.clone()));
    }
    let backup = *operation == Operation::Backup;
    match (request.completed, database_exists) {
        (true, _) if backup => {
            Some(Notice::normal("BackupCompleted", format!("Database {database} is backed up")))
        }
        (true, _) => {
            Some(Notice::normal("RestoreCompleted", format!("Database {database} holds the backup")))
        }
        (false, true) => None,
        // The record of a final backup: a Database that has its name by now is another one.
        (false, false) if request.database_uid.is_some() => None,
        (false, false) => Some(Notice::warning(
            "DatabaseNotFound",
            format!(
                "there is no Database {database} in namespace {namespace}: create it, or delete this object"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::requests::request;

    #[test]
    fn a_request_without_its_database_is_told_so_and_a_pending_one_is_left_alone() {
        let request = KnownRequest { namespace: "shop".into(), ..request("u", "orders") };
        assert_eq!(notice(&request, true), None);
        let lost = notice(&request, false).unwrap();
        assert!(lost.warning && lost.note.contains("orders") && lost.note.contains("shop"), "{lost:?}");
        let deletion_note = Some("what was stored in s3://b/p is deleted".to_owned());
        let said = notice(&KnownRequest { deletion_note, completed: true, ..request.clone() }, true).unwrap();
        assert_eq!((said.warning, said.reason), (false, "BackupDeleted"));
        let record = KnownRequest { database_uid: Some("gone".into()), ..request.clone() };
        assert_eq!(notice(&record, false), None, "nobody can create that Database again");
        let done = notice(&KnownRequest { completed: true, ..request }, false).unwrap();
        assert_eq!((done.warning, done.reason), (false, "BackupCompleted"));
    }
}
