//! Whether the watches are alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::kind::Kind;

/// A watch that has heard nothing for so long, while another has, is deaf. Each is opened again more often.
const DEAF_AFTER: Duration = Duration::from_mins(5);

/// How long ago the API server must have been heard by anybody, to tell a deaf watch from an API server that is away.
const RECENTLY: Duration = Duration::from_mins(2);

/// When each watch last heard of the API server.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    heard: [AtomicU64; Kind::ALL.len()],
    /// When the API server was last heard of after nobody had heard of it.
    back: AtomicU64,
    ended: [AtomicBool; Kind::ALL.len()],
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            heard: Default::default(),
            back: AtomicU64::default(),
            ended: Default::default(),
        }
    }
}

impl Pulse {
    /// The watch of that kind has heard something.
    pub fn beat(&self, kind: Kind) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.is_away() {
            self.back.store(elapsed, Ordering::Relaxed);
        }
        if let Some(heard) = self.heard.get(kind as usize) {
            // Never zero, and never the same twice.
            heard.fetch_max(elapsed.max(heard.load(Ordering::Relaxed) + 1), Ordering::Relaxed);
        }
    }

    /// When it last heard something, in milliseconds; it grows with each time.
    pub fn heard(&self, kind: Kind) -> u64 {
        self.heard.get(kind as usize).map(|heard| heard.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// What says that the watch has ended, when it is dropped: also by a panic.
    pub fn alive(self: &Arc<Self>, kind: Kind) -> Alive {
        Alive { pulse: Arc::clone(self), kind }
    }

    /// What is wrong, if something is.
    pub fn complaint(&self) -> Option<String> {
        let ended = Kind::ALL
            .into_iter()
            .find(|kind| self.ended.get(*kind as usize).is_some_and(|ended| ended.load(Ordering::Relaxed)));
        if let Some(kind) = ended {
            return Some(format!("the watch of {}s has ended", kind.name()));
        }
        if self.is_away() {
            // A restart would not bring it back.
            return None;
        }
        // While it was away nobody could hear anything, and they are not all back at once.
        let back = self.back.load(Ordering::Relaxed);
        let silence = |kind: &Kind| self.since(self.heard(*kind).max(back));
        let deaf = Kind::ALL.into_iter().find(|kind| silence(kind) > DEAF_AFTER)?;
        Some(format!("the watch of {}s has heard nothing for {} s", deaf.name(), silence(&deaf).as_secs()))
    }

    /// Whether nobody hears of the API server.
    fn is_away(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.since(self.heard(*kind)) > RECENTLY)
    }

    /// How long ago that was, in milliseconds from the start.
    fn since(&self, then: u64) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(then))
    }
}

/// Lives as long as the watch of a kind.
#[derive(Debug)]
pub struct Alive {
    pulse: Arc<Pulse>,
    kind: Kind,
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(ended) = self.pulse.ended.get(self.kind as usize) {
            ended.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deaf_watch_is_told_from_an_api_server_that_is_away() {
        let pulse = Arc::new(Pulse::default());
        let hear = |kinds: &[Kind]| kinds.iter().for_each(|kind| pulse.beat(*kind));
        hear(&Kind::ALL);
        assert_eq!(pulse.complaint(), None);
        tokio::time::advance(Duration::from_mins(30)).await;
        assert_eq!(pulse.complaint(), None, "nobody hears anything: the API server is away");
        let others = [Kind::Database, Kind::Backup, Kind::Restore, Kind::Driver, Kind::Namespace];
        hear(&others);
        assert_eq!(pulse.complaint(), None, "it has just come back");
        for _ in 0..5 {
            tokio::time::advance(Duration::from_mins(1)).await;
            hear(&others);
            assert_eq!(pulse.complaint(), None);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        let deaf = pulse.complaint().unwrap();
        assert!(deaf.starts_with("the watch of Jobs has heard nothing for 301 s"), "{deaf}");
        hear(&[Kind::Job]);
        assert_eq!(pulse.complaint(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_comes_and_goes_restarts_nobody() {
        let pulse = Pulse::default();
        for _ in 0..10 {
            tokio::time::advance(Duration::from_mins(6)).await;
            assert_eq!(pulse.complaint(), None);
            // It is back for as long as one of them needs to hear of it.
            pulse.beat(Kind::Database);
            for _ in 0..3 {
                assert_eq!(pulse.complaint(), None);
                tokio::time::advance(Duration::from_mins(1)).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_panicked_is_noticed_at_once() {
        let pulse = Arc::new(Pulse::default());
        for kind in Kind::ALL {
            pulse.beat(kind);
        }
        let alive = pulse.alive(Kind::Driver);
        let task = tokio::spawn(async move {
            let _alive = alive;
            panic!("as a watch may");
        });
        assert!(task.await.is_err());
        assert_eq!(pulse.complaint().as_deref(), Some("the watch of Drivers has ended"));
    }
}
