//! Moments of our own clock, which never goes back, and what other clocks' times are on it.
//!
//! Ages of what we saw ourselves are measured by our own clock. Times that others wrote are used only for what happened
//! before we looked, and by the API server's clock: a node whose clock is an hour off would else give every Job up at
//! once, or none.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// A moment of our own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

/// How far our clock may be set before the start of the process: what happened longer ago happened then.
const BEFORE: Duration = Duration::from_hours(24 * 365);

impl Moment {
    /// So long after the start of the process.
    pub fn after_start(elapsed: Duration) -> Self {
        Self(BEFORE + elapsed)
    }

    /// How long it is since `earlier`; nothing if that is yet to come.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// So much earlier.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier))
    }
}

/// The wait after that many failures in a row: it begins with `first`, and doubles with each up to `longest`.
pub fn doubled(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

/// Now, by our own clock and by the API server's.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By our own.
    pub moment: Moment,
    /// By the API server's, as far as we know it.
    pub time: Timestamp,
}

impl Now {
    /// When it was by our clock what `time` says by another's. Never in the future.
    pub fn moment_of(&self, time: Timestamp) -> Moment {
        let age = Duration::try_from(self.time.duration_since(time)).unwrap_or_default();
        self.moment.minus(age)
    }
}

/// Tells what time it is: our own clock counts on from what the API server said once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
    time: Timestamp,
}

impl Clock {
    /// A clock that is set to `time` now.
    pub fn set_to(time: Timestamp) -> Self {
        Self { start: tokio::time::Instant::now(), time }
    }

    /// What time it is.
    pub fn now(&self) -> Now {
        let elapsed = self.start.elapsed();
        Now {
            moment: Moment::after_start(elapsed),
            time: self.time.checked_add(elapsed).unwrap_or(self.time),
        }
    }

    /// When it is that moment.
    pub fn instant(&self, moment: Moment) -> tokio::time::Instant {
        self.start + moment.since(Moment::after_start(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_clock_says_is_never_in_the_future_and_keeps_its_age() {
        let start = Moment::after_start(Duration::from_secs(5));
        let now = Now { moment: start, time: Timestamp::from_second(1_000_000).unwrap() };
        let at = |second| now.moment_of(Timestamp::from_second(second).unwrap());
        assert_eq!(start.since(at(1_000_000 - 7_200)), Duration::from_hours(2));
        assert_eq!(at(1_000_000 + 3_600), start);
        assert_eq!(start.since(at(0)), Duration::from_secs(1_000_000));
        assert_eq!(start.plus(Duration::from_secs(2)).since(start), Duration::from_secs(2));
        assert_eq!(start.since(start.plus(Duration::from_secs(2))), Duration::ZERO);
    }
}
