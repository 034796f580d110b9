//! The Databases that exist, and how they are found: by name, and by the Backup that they are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::DatabasePhase;

use super::database::KnownDatabase;
use super::metadata::{Key, Uid};

/// All Databases that exist.
#[derive(Debug, Default)]
pub struct Databases {
    by_uid: BTreeMap<Uid, Box<(KnownDatabase, u32)>>,
    by_name: BTreeMap<Key, Uid>,
    /// Namespace and name of a Backup → the Databases that are to be made from it.
    made_from: BTreeMap<Key, BTreeSet<Uid>>,
    /// Texts that many Databases share.
    texts: BTreeSet<Arc<str>>,
    census: BTreeMap<Stage, i64>,
    epoch: u32,
}

/// How many texts a Database may share.
const TEXTS: usize = 4;
/// How many texts are kept at most that no Database has any more.
const MOST_LEFT: usize = 1_000;

/// How far a Database is: its phase, and whether it is ready.
pub type Stage = (Option<DatabasePhase>, bool);

impl Databases {
    /// A list of all begins.
    pub fn begin(&mut self) {
        self.epoch += 1;
    }

    /// The list is whole: forgets what was not in it, and answers that.
    pub fn complete(&mut self) -> Vec<KnownDatabase> {
        let epoch = self.epoch;
        let gone = self.by_uid.values().filter(|known| known.1 != epoch);
        let gone: Vec<_> = gone.map(|known| Arc::clone(&known.0.uid)).collect();
        let gone = gone.iter().filter_map(|uid| self.remove(uid)).collect();
        self.forget_texts();
        gone
    }

    /// Forgets the texts that only the set itself has any more.
    fn forget_texts(&mut self) {
        self.texts.retain(|text| Arc::strong_count(text) > 1);
    }

    /// Takes one as it is now. Answers how it was before, and whom it takes the name of: an object that is gone, and
    /// whose deletion was not seen.
    pub fn apply(&mut self, mut database: KnownDatabase) -> (Option<KnownDatabase>, Option<KnownDatabase>) {
        let before = self.remove(&database.uid);
        // Whoever changes a text again and again leaves one behind each time.
        if self.texts.len() > MOST_LEFT + TEXTS * self.by_uid.len() {
            self.forget_texts();
        }
        for text in [&mut database.namespace, &mut database.driver, &mut database.server] {
            *text = share(&mut self.texts, text);
        }
        if let Some((_, server)) = &mut database.recorded {
            *server = share(&mut self.texts, server);
        }
        let (key, uid) = (key(&database), Arc::clone(&database.uid));
        let replaced = self.by_name.get(&key).cloned().and_then(|uid| self.remove(&uid));
        self.by_name.insert(key, Arc::clone(&uid));
        if let Some(backup) = made_from(&database) {
            self.made_from.entry(backup).or_default().insert(Arc::clone(&uid));
        }
        *self.census.entry((database.phase, database.ready)).or_default() += 1;
        self.by_uid.insert(uid, Box::new((database, self.epoch)));
        (before, replaced)
    }

    /// Forgets one.
    pub fn remove(&mut self, uid: &str) -> Option<KnownDatabase> {
        let (database, _) = *self.by_uid.remove(uid)?;
        *self.census.entry((database.phase, database.ready)).or_default() -= 1;
        let key = key(&database);
        if self.by_name.get(&key).is_some_and(|known| **known == *uid) {
            self.by_name.remove(&key);
        }
        if let Some(backup) = made_from(&database)
            && let Some(uids) = self.made_from.get_mut(&backup)
        {
            uids.remove(uid);
            if uids.is_empty() {
                self.made_from.remove(&backup);
            }
        }
        Some(database)
    }

    /// The one with that uid.
    pub fn get(&self, uid: &str) -> Option<&KnownDatabase> {
        self.by_uid.get(uid).map(|known| &known.0)
    }

    /// The one of that name.
    pub fn named(&self, key: &Key) -> Option<&KnownDatabase> {
        self.get(self.by_name.get(key)?)
    }

    /// Those that are to be made from the Backup of that name.
    pub fn made_from(&self, backup: &Key) -> impl Iterator<Item = &Uid> {
        self.made_from.get(backup).into_iter().flatten()
    }

    /// Those of a namespace.
    pub fn in_namespace(&self, namespace: &Arc<str>) -> impl Iterator<Item = &KnownDatabase> {
        let first = (Arc::clone(namespace), Arc::from(""));
        let from = self.by_name.range(first..).take_while(move |((of, _), _)| of == namespace);
        from.filter_map(|(_, uid)| self.get(uid))
    }

    /// How many there are, by phase and by whether they are ready.
    pub fn census(&self) -> &BTreeMap<Stage, i64> {
        &self.census
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &KnownDatabase> {
        self.by_uid.values().map(|known| &known.0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }
}

fn key(database: &KnownDatabase) -> Key {
    (Arc::clone(&database.namespace), Arc::clone(&database.name))
}

/// The Backup that a Database waits to be made from.
fn made_from(database: &KnownDatabase) -> Option<Key> {
    let backup = database.restore_from.as_ref().filter(|_| !database.was_created)?.backup.as_ref()?;
    Some((Arc::clone(&database.namespace), Arc::clone(backup)))
}

fn share(texts: &mut BTreeSet<Arc<str>>, text: &Arc<str>) -> Arc<str> {
    if let Some(known) = texts.get(text) {
        return Arc::clone(known);
    }
    texts.insert(Arc::clone(text));
    Arc::clone(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::fixtures::database;

    #[test]
    fn whoever_changes_a_text_again_and_again_leaves_no_more_behind_than_a_bounded_number() {
        let mut databases = Databases::default();
        for index in 0..10_000 {
            let mut changed = database("orders", &serde_json::json!({}));
            changed.server = format!("db-{index}").into();
            let _ = databases.apply(changed);
        }
        assert_eq!(databases.len(), 1);
        assert!(databases.texts.len() <= MOST_LEFT + 2 * TEXTS, "{}", databases.texts.len());
    }
}
