//! Chance, by seed: `SplitMix64`.

use std::time::Duration;

/// The same seed, the same chances.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True in so many of a thousand cases.
    pub(crate) fn thousandth(&mut self, of: u64) -> bool {
        self.below(1_000) < of
    }

    /// Between the two, in milliseconds.
    pub(crate) fn time(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }

    /// Chances of their own, for somebody else.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }
}
