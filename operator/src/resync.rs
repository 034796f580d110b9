//! When a Database is to be verified unasked. Pure.
//!
//! Each has a time of its own in every interval, by its uid. What was not verified since that time came is due. What
//! came before this process began is not made up for at once: after an upgrade everything is overdue, and is spread over
//! a whole interval that way.

use std::time::Duration;

use api::names::short_hash;
use k8s_openapi::jiff::Timestamp;

/// Beyond so many Databases the interval stretches, so that verifying them costs no more than it does for as many.
pub const MOST_IN_AN_INTERVAL: u64 = 20_000;

/// How Databases are verified unasked.
#[derive(Clone, Copy, Debug)]
pub struct Resync {
    /// Once in that time.
    pub interval: Duration,
    /// When this process began, by the API server's clock.
    pub since: Timestamp,
}

impl Resync {
    /// In what time the Database with that uid is to be verified: none if it is due. `of` is how many Databases there
    /// are.
    pub fn due_in(&self, uid: &str, verified_at: Option<Timestamp>, now: Timestamp, of: usize) -> Duration {
        let interval = seconds(self.stretched(of)).max(1);
        let offset = i64::from_str_radix(&short_hash(uid, 8), 16).unwrap_or_default() % interval;
        let now = now.as_second();
        let last = now - (now - offset).rem_euclid(interval);
        // A restart must not skip what fell into it.
        let since = self.since.as_second() - interval / 24;
        let is_due = last > since && verified_at.is_none_or(|verified| verified.as_second() < last);
        if is_due {
            return Duration::ZERO;
        }
        Duration::from_secs(u64::try_from(last + interval - now).unwrap_or_default())
    }

    /// The interval for so many Databases.
    fn stretched(&self, of: usize) -> Duration {
        let of = u64::try_from(of).unwrap_or(u64::MAX).max(MOST_IN_AN_INTERVAL);
        let seconds = u128::from(self.interval.as_secs()) * u128::from(of) / u128::from(MOST_IN_AN_INTERVAL);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn daily(since: i64) -> Resync {
        Resync { interval: Duration::from_hours(24), since: at(since) }
    }

    /// When, of all minutes of `days`, the Database is due that is verified whenever it is.
    fn verified(
        resync: &Resync,
        uid: &str,
        mut last: i64,
        days: std::ops::Range<i64>,
        of: usize,
    ) -> Vec<i64> {
        let mut times = Vec::new();
        for now in (days.start * DAY..days.end * DAY).step_by(300) {
            if resync.due_in(uid, Some(at(last)), at(now), of) == Duration::ZERO {
                last = now;
                times.push(now);
            }
        }
        times
    }

    #[test]
    fn each_is_verified_once_an_interval_at_its_own_time() {
        let resync = daily(100 * DAY);
        for uid in ["a", "b", "c"] {
            let times = verified(&resync, uid, 100 * DAY, 100..105, 1);
            assert!((4..=5).contains(&times.len()), "{uid}: {times:?}");
            assert!(times.windows(2).all(|two| two[1] - two[0] == DAY), "{uid}: {times:?}");
        }
    }

    #[test]
    fn what_is_overdue_is_spread_over_a_whole_interval() {
        let resync = daily(100 * DAY);
        let mut by_hour = [0; 24];
        for n in 0..600 {
            // Last verified ten days ago: as after an upgrade.
            let first = verified(&resync, &format!("uid-{n}"), 90 * DAY, 100..101, 1).remove(0);
            by_hour[usize::try_from((first - 100 * DAY) / 3_600).unwrap()] += 1;
        }
        // Twenty-five each; those of the hour before the start come at once, and not in the last hour.
        let (last, others) = by_hour.split_last().unwrap();
        assert!(others.iter().all(|count| (8..=75).contains(count)) && *last < 8, "{by_hour:?}");
    }

    #[test]
    fn what_comes_next_is_looked_at_when_it_is_due_and_not_before() {
        let resync = daily(100 * DAY);
        let now = 103 * DAY + 4_321;
        let wait = resync.due_in("u", Some(at(now)), at(now), 1);
        assert!(wait > Duration::ZERO && wait <= Duration::from_hours(24), "{wait:?}");
        let then = now + i64::try_from(wait.as_secs()).unwrap();
        assert_eq!(resync.due_in("u", Some(at(now)), at(then), 1), Duration::ZERO);
        assert_ne!(resync.due_in("u", Some(at(now)), at(then - 1), 1), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_was_ahead_puts_a_verification_off_by_no_more_than_it_was() {
        let resync = daily(100 * DAY);
        let times = verified(&resync, "u", 100 * DAY + 3_600, 100..103, 1);
        assert!(times.len() >= 2, "{times:?}");
    }

    #[test]
    fn the_interval_stretches_with_the_number_of_databases() {
        let resync = daily(100 * DAY);
        let times = verified(&resync, "u", 100 * DAY, 100..130, 100_000);
        assert!(times.windows(2).all(|two| two[1] - two[0] == 5 * DAY), "{times:?}");
        assert!(times.len() >= 5, "{times:?}");
    }
}
