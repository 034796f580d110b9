//! Whether this process acts: at once if it holds the Lease, and late if what is due is not done. Pure.

use std::time::Duration;

use crate::clock::Moment;
use crate::lease::Held;

/// How long a process without the Lease leaves undone what is due, before it does that itself. Whoever holds the Lease
/// takes milliseconds, so it has died or cannot reach the API server.
pub(super) const LATE: Duration = Duration::from_secs(2);

/// What this process is to the others.
#[derive(Debug, Default)]
pub(super) struct Role {
    held: Held,
    /// It acts in place of whoever holds the Lease, until that one is heard of again.
    steps_in: bool,
    /// Since when something is due that nobody does.
    owed_since: Option<Moment>,
}

impl Role {
    /// Whether it acts.
    pub(super) fn acts(&self) -> bool {
        self.held.by_us || self.steps_in
    }

    /// Whether it holds the Lease.
    pub(super) fn leads(&self) -> bool {
        self.held.by_us
    }

    /// Takes what is known of the Lease.
    pub(super) fn lease(&mut self, held: Held) {
        if held.renewals != self.held.renewals || held.by_us != self.held.by_us {
            self.steps_in = false;
            self.owed_since = None;
        }
        self.held = held;
    }

    /// A Job has appeared: somebody is at work.
    pub(super) fn saw_work(&mut self) {
        self.owed_since = None;
    }

    /// Takes whether something is due now.
    pub(super) fn owes(&mut self, anything: bool, now: Moment) {
        if !anything || self.acts() {
            self.owed_since = None;
            return;
        }
        let since = *self.owed_since.get_or_insert(now);
        self.steps_in = now.since(since) >= LATE;
    }

    /// When it acts at the latest, if nothing changes.
    pub(super) fn next_at(&self) -> Option<Moment> {
        self.owed_since.filter(|_| !self.acts()).map(|since| since.plus(LATE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::after_start(Duration::from_millis(milliseconds))
    }

    #[test]
    fn who_does_not_hold_the_lease_is_late_and_not_silent() {
        let mut role = Role::default();
        role.owes(true, at(0));
        assert!(!role.acts());
        assert_eq!(role.next_at(), Some(at(2_000)));
        role.owes(true, at(1_999));
        assert!(!role.acts());
        role.owes(true, at(2_000));
        assert!(role.acts() && !role.leads());
        role.lease(Held { by_us: false, renewals: 1 });
        assert!(!role.acts(), "the other one is alive");
    }

    #[test]
    fn work_that_is_seen_or_done_puts_it_off() {
        let mut role = Role::default();
        role.owes(true, at(0));
        role.saw_work();
        role.owes(true, at(1_900));
        role.owes(true, at(3_800));
        assert!(!role.acts());
        role.owes(false, at(3_850));
        assert_eq!(role.next_at(), None);
        role.lease(Held { by_us: true, renewals: 0 });
        assert!(role.acts() && role.leads());
    }
}
