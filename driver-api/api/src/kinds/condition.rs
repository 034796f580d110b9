//! Standard conditions, merged by type.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Condition type: the object is what its spec asks for, as far as the last run could see.
pub const READY: &str = "Ready";

/// Condition type: repeating cannot help, so something has to change first. It is tried again all the same,
/// every 30 minutes.
pub const STALLED: &str = "Stalled";

/// A pure view on a list of conditions.
pub trait Conditions {
    /// The condition of that type.
    fn get(&self, kind: &str) -> Option<&Condition>;
    /// Whether the condition of that type has status `True`.
    fn is_true(&self, kind: &str) -> bool;
    /// Sets the condition of that type. `now` becomes its transition time only if its status changes.
    fn set(&mut self, kind: &str, status: bool, reason: &str, message: &str, generation: i64, now: &Time);
}

impl Conditions for Vec<Condition> {
    fn get(&self, kind: &str) -> Option<&Condition> {
        self.iter().find(|condition| condition.type_ == kind)
    }

    fn is_true(&self, kind: &str) -> bool {
        Conditions::get(self, kind).is_some_and(|condition| condition.status == "True")
    }

    fn set(&mut self, kind: &str, status: bool, reason: &str, message: &str, generation: i64, now: &Time) {
        let status = if status { "True" } else { "False" };
        let since = Conditions::get(self, kind)
            .filter(|condition| condition.status == status)
            .map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone());
        let condition = Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(generation),
            last_transition_time: since,
        };
        match self.iter_mut().find(|existing| existing.type_ == kind) {
            Some(existing) => *existing = condition,
            None => self.push(condition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn transition_time_moves_only_when_the_status_changes() {
        let mut conditions = Vec::new();
        conditions.set(READY, false, "Unreachable", "no route", 1, &at(10));
        conditions.set(READY, false, "AuthenticationFailed", "wrong password", 2, &at(20));
        let ready = Conditions::get(&conditions, READY).unwrap();
        assert_eq!((ready.reason.as_str(), ready.observed_generation), ("AuthenticationFailed", Some(2)));
        assert_eq!(ready.last_transition_time, at(10));

        conditions.set(READY, true, "Created", "", 2, &at(30));
        assert_eq!(Conditions::get(&conditions, READY).unwrap().last_transition_time, at(30));
        assert_eq!(conditions.len(), 1);
        assert!(conditions.is_true(READY));
        assert!(!conditions.is_true(STALLED));
    }
}
