//! How far a dump is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a dump under way, to be read at any time.
#[derive(Debug, Default)]
pub struct Progress {
    expected: AtomicU64,
    plain: AtomicU64,
    stored: AtomicU64,
}

impl Progress {
    /// About how many plain bytes the dump will have, as the driver says; 0 if it has not said.
    pub fn expected_bytes(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// How many plain bytes the driver has written.
    pub fn plain_bytes(&self) -> u64 {
        self.plain.load(Ordering::Relaxed)
    }

    /// How many bytes the store has taken.
    pub fn stored_bytes(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.expected.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn written(&self, bytes: usize) {
        self.plain.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn stored(&self, bytes: usize) {
        self.stored.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
