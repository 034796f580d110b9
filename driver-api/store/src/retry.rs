//! How long a store's failures are borne.

use std::time::Duration;

use tokio::time::Instant;

/// How often, and for how long, what may pass is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long after its first failure a request is given up.
    pub total: Duration,
    /// The pause after the first failure. Each one after it is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            total: Duration::from_mins(3),
            first: Duration::from_millis(250),
            longest: Duration::from_secs(15),
        }
    }
}

/// The failures of one request so far.
#[derive(Debug)]
pub(super) struct Failures {
    patience: Patience,
    pause: Duration,
    since: Option<Instant>,
}

impl Failures {
    /// No failure yet.
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, pause: patience.first, since: None }
    }

    /// Waits after a failure. It answers no at once where patience has run out.
    pub(super) async fn bear(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let pause = jittered(self.pause);
        if since.elapsed() + pause > self.patience.total {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(self.patience.longest);
        true
    }
}

/// Half to all of `pause`, so that many clients do not come back together.
fn jittered(pause: Duration) -> Duration {
    let share = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    pause.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_of_failures_is_borne_and_ten_are_not() {
        let begin = Instant::now();
        let mut failures = Failures::new(Patience::default());
        let mut tries = 1;
        while failures.bear().await {
            tries += 1;
        }
        assert!(begin.elapsed() > Duration::from_secs(150), "{:?}", begin.elapsed());
        assert!(begin.elapsed() <= Duration::from_mins(3), "{:?}", begin.elapsed());
        assert!((12..60).contains(&tries), "{tries}");
    }
}
