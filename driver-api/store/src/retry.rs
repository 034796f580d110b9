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
    /// How long one request may take, its body included. No body is longer than a part.
    pub answer: Duration,
    /// How long the request may take that makes parts an object: a store may copy all of them.
    pub completion: Duration,
}

impl Patience {
    /// What asks the store something, before anything is moved: people wait for the answer.
    pub const ASKING: Self = Self {
        total: Duration::from_mins(3),
        first: Duration::from_millis(250),
        longest: Duration::from_secs(15),
        answer: Duration::from_mins(1),
        completion: Duration::from_mins(15),
    };

    /// What moves data: hours of it would be lost.
    pub const MOVING: Self = Self { total: Duration::from_mins(15), ..Self::ASKING };
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

    /// Waits after a failure. It answers no at once if patience has run out.
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
    async fn failures_are_borne_for_minutes_and_longer_while_data_is_moved() {
        for (patience, minutes) in [(Patience::ASKING, 3), (Patience::MOVING, 15)] {
            let begin = Instant::now();
            let mut failures = Failures::new(patience);
            let mut tries = 1;
            while failures.bear().await {
                tries += 1;
            }
            let limit = Duration::from_mins(minutes);
            assert!(begin.elapsed() + Duration::from_secs(30) > limit, "{:?}", begin.elapsed());
            assert!(begin.elapsed() <= limit, "{:?}", begin.elapsed());
            assert!((10 * minutes / 3 + 2..20 * minutes).contains(&tries), "{tries}");
        }
    }
}
