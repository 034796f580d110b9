//! When namespaces were served that do not wait now, so that who asks for one thing at a time comes no sooner than its
//! turn. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

/// How many are remembered: those that were served last. Of two that are forgotten the one that asks first is first.
pub(super) const MOST: usize = 1_000;

/// Namespaces that do not wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Rested {
    served: BTreeMap<Arc<str>, u64>,
    by_time: BTreeMap<u64, Arc<str>>,
}

impl Rested {
    /// The namespace waits no more, and was served at that time: never, if that is zero.
    pub(super) fn rests(&mut self, namespace: Arc<str>, served: u64) {
        if served == 0 {
            return;
        }
        self.by_time.insert(served, Arc::clone(&namespace));
        self.served.insert(namespace, served);
        if self.by_time.len() > MOST
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.served.remove(&oldest);
        }
    }

    /// The namespace waits again. Answers when it was served.
    pub(super) fn wakes(&mut self, namespace: &str) -> u64 {
        let served = self.served.remove(namespace).unwrap_or_default();
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
