//! A list that is read while the watch goes on: which of the two is newer. Pure.
//!
//! What the watch tells must not wait until a list of all is read, which may take seconds. So both are read at once, and of
//! what changes meanwhile the versions are kept, so that neither brings back what was, nor what is gone.

use std::collections::BTreeMap;

/// What has changed since the list began, by uid.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    newest: BTreeMap<Box<str>, u64>,
    since: u64,
}

impl Overlap {
    /// A list begins, and the watch goes on from that version.
    pub(super) fn begin(&mut self, since: u64) {
        *self = Self { newest: BTreeMap::new(), since };
    }

    /// Whether a listed object is news.
    pub(super) fn admits_listed(&mut self, uid: &str, version: u64) -> bool {
        let is_news = self.newest.get(uid).is_none_or(|known| *known < version);
        // What is older the watch will not tell.
        if is_news && version > self.since {
            self.newest.insert(uid.into(), version);
        }
        is_news
    }

    /// Whether what the watch tells is news. `ends` says that the object is gone.
    pub(super) fn admits_told(&mut self, uid: &str, version: u64, ends: bool, is_listing: bool) -> bool {
        if self.newest.get(uid).is_some_and(|known| *known > version) {
            return false;
        }
        if is_listing {
            // No list may bring it back.
            self.newest.insert(uid.into(), if ends { u64::MAX } else { version });
        } else {
            self.newest.remove(uid);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_brings_back_what_was() {
        let mut overlap = Overlap::default();
        overlap.begin(100);
        assert!(overlap.admits_told("a", 105, false, true));
        assert!(!overlap.admits_listed("a", 103), "the list was made before");
        assert!(!overlap.admits_listed("a", 105), "it is the same");
        assert!(overlap.admits_listed("b", 110));
        assert!(!overlap.admits_told("b", 108, false, true), "the watch is behind the list");
        assert!(overlap.admits_told("b", 111, false, true));
        assert!(overlap.admits_listed("old", 7));
        assert!(overlap.newest.len() == 2, "what has not changed costs nothing: {overlap:?}");
    }

    #[test]
    fn what_is_gone_stays_gone() {
        let mut overlap = Overlap::default();
        overlap.begin(100);
        assert!(overlap.admits_told("a", 105, true, true));
        assert!(!overlap.admits_listed("a", 103));
        assert!(!overlap.admits_listed("a", 104));
    }

    #[test]
    fn the_watch_may_be_behind_when_the_list_is_whole() {
        let mut overlap = Overlap::default();
        overlap.begin(100);
        assert!(overlap.admits_listed("a", 110));
        assert!(!overlap.admits_told("a", 109, false, false));
        assert!(overlap.admits_told("a", 110, false, false));
        assert!(overlap.newest.is_empty(), "nothing is kept once the watch has come so far");
    }
}
