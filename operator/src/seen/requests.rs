//! The Backups and Restores that exist, and how they are found: by Database, by name, and by the Backup that they wait
//! for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Operation;

use super::database::KnownDatabase;
use super::metadata::{Key, Uid};
use super::references::SourceReferences;
use super::request::KnownRequest;

/// All Backups and Restores that exist.
#[derive(Debug, Default)]
pub struct Requests {
    by_uid: BTreeMap<Uid, (KnownRequest, u32)>,
    /// Namespace and name of a Database → the uids of those about it.
    by_database: BTreeMap<Key, BTreeSet<Uid>>,
    /// Namespace and name of a Backup → its uid.
    backups: BTreeMap<Key, Uid>,
    /// Namespace and name of a Backup → the Restores that load it and are not done.
    loading: BTreeMap<Key, BTreeSet<Uid>>,
    epochs: BTreeMap<Operation, u32>,
}

impl Requests {
    /// A list of all of one kind begins.
    pub fn begin(&mut self, operation: Operation) {
        *self.epochs.entry(operation).or_default() += 1;
    }

    /// The list is whole: forgets what was not in it, and answers that.
    pub fn complete(&mut self, operation: Operation) -> Vec<KnownRequest> {
        let epoch = self.epoch(operation);
        let is_gone =
            |(request, seen): &&(KnownRequest, u32)| request.operation == operation && *seen != epoch;
        let gone: Vec<_> =
            self.by_uid.values().filter(is_gone).map(|(request, _)| Arc::clone(&request.uid)).collect();
        gone.iter().filter_map(|uid| self.remove(uid)).collect()
    }

    /// Takes one as it is now. Answers how it was before.
    pub fn apply(&mut self, request: KnownRequest) -> Option<KnownRequest> {
        let before = self.remove(&request.uid);
        let uid = &request.uid;
        self.by_database.entry(request.about()).or_default().insert(Arc::clone(uid));
        if request.operation == Operation::Backup {
            self.backups.insert((Arc::clone(&request.namespace), Arc::clone(&request.name)), Arc::clone(uid));
        }
        if let Some(backup) = loads(&request) {
            self.loading.entry(backup).or_default().insert(Arc::clone(uid));
        }
        let epoch = self.epoch(request.operation);
        self.by_uid.insert(Arc::clone(uid), (request, epoch));
        before
    }

    /// Forgets one.
    pub fn remove(&mut self, uid: &str) -> Option<KnownRequest> {
        let (request, _) = self.by_uid.remove(uid)?;
        remove_from(&mut self.by_database, &request.about(), uid);
        if let Some(backup) = loads(&request) {
            remove_from(&mut self.loading, &backup, uid);
        }
        let key = (Arc::clone(&request.namespace), Arc::clone(&request.name));
        if self.backups.get(&key).is_some_and(|known| **known == *uid) {
            self.backups.remove(&key);
        }
        Some(request)
    }

    /// The one with that uid.
    pub fn get(&self, uid: &str) -> Option<&KnownRequest> {
        self.by_uid.get(uid).map(|(request, _)| request)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &KnownRequest> {
        self.by_uid.values().map(|(request, _)| request)
    }

    /// Those about a Database, in no particular order.
    pub fn about(&self, database: &KnownDatabase) -> impl Iterator<Item = &KnownRequest> {
        let key = (Arc::clone(&database.namespace), Arc::clone(&database.name));
        let uid = Arc::clone(&database.uid);
        let uids = self.by_database.get(&key);
        uids.into_iter()
            .flatten()
            .filter_map(|uid| self.get(uid))
            .filter(move |request| request.database_uid.as_ref().is_none_or(|of| *of == uid))
    }

    /// The uid of the Backup that `from` names, if that is complete.
    pub fn complete_source(&self, namespace: &Arc<str>, from: Option<&SourceReferences>) -> Option<Uid> {
        let backup = self.backup(namespace, from?.backup.as_ref()?)?;
        (backup.completed && !backup.deleted).then(|| Arc::clone(&backup.uid))
    }

    /// The Restores that wait for `backup`.
    pub fn restores_of(&self, backup: &KnownRequest) -> impl Iterator<Item = &KnownRequest> {
        let key = (Arc::clone(&backup.namespace), Arc::clone(&backup.name));
        self.loading.get(&key).into_iter().flatten().filter_map(|uid| self.get(uid))
    }

    /// The Backup of that name.
    pub fn backup(&self, namespace: &Arc<str>, name: &Arc<str>) -> Option<&KnownRequest> {
        self.get(self.backups.get(&(Arc::clone(namespace), Arc::clone(name)))?)
    }

    fn epoch(&self, operation: Operation) -> u32 {
        self.epochs.get(&operation).copied().unwrap_or_default()
    }
}

/// The Backup that a Restore waits for or loads.
fn loads(request: &KnownRequest) -> Option<Key> {
    let backup = request.from.as_ref()?.backup.as_ref().filter(|_| request.is_pending())?;
    Some((Arc::clone(&request.namespace), Arc::clone(backup)))
}

fn remove_from(index: &mut BTreeMap<Key, BTreeSet<Uid>>, key: &Key, uid: &str) {
    if let Some(uids) = index.get_mut(key) {
        uids.remove(uid);
        if uids.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
