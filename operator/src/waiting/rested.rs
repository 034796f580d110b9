//! When namespaces were served that do not wait now, so that who asks for one thing at a time comes no sooner than its
//! turn. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

/// How many are remembered: those that were served last.
pub(super) const MOST: usize = 1_000;

/// Namespaces that do not wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Rested {
    served: BTreeMap<Arc<str>, u64>,
    by_time: BTreeMap<u64, Arc<str>>,
    /// When the last of those was served who are forgotten. Nobody who is not known was served later, and nobody who has
    /// waited since before comes after them.
    forgotten: u64,
}

impl Rested {
    /// The namespace waits no more, and was served at that time: not since others were forgotten, if that is no later.
    pub(super) fn rests(&mut self, namespace: Arc<str>, served: u64) {
        if served <= self.forgotten {
            return;
        }
        self.by_time.insert(served, Arc::clone(&namespace));
        self.served.insert(namespace, served);
        if self.by_time.len() > MOST
            && let Some((time, oldest)) = self.by_time.pop_first()
        {
            self.served.remove(&oldest);
            self.forgotten = self.forgotten.max(time);
        }
    }

    /// The namespace waits again. Answers when it was served.
    pub(super) fn wakes(&mut self, namespace: &str) -> u64 {
        let Some(served) = self.served.remove(namespace) else { return self.forgotten };
        self.by_time.remove(&served);
        served
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_time.len().max(self.served.len())
    }
}
