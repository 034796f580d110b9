//! How many Jobs may be at work at once: in all and for one server, so that one namespace leaves room for the others and
//! what does not run costs nobody else anything. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::seen::metadata::Uid;

/// The caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs at work in all.
    pub total: u32,
    /// Jobs at work for one server.
    pub per_server: u32,
}

/// How many Jobs of one namespace and image may be there that do not run: enough that a slow image does not hold up
/// those behind, and few enough that the caps of the namespace hold when it comes.
pub const MOST_STARTING: u32 = 4;

/// Where a Job counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The namespace of its object.
    pub namespace: Arc<str>,
    /// The server that it works on, or the store.
    pub server: Arc<str>,
    /// The image that it is to run.
    pub image: Arc<str>,
}

/// What a Job takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Where.
    pub lane: Lane,
    /// Whether it runs, or is so young that it may.
    pub runs: bool,
    /// Whether nobody asks for it.
    pub unasked: bool,
}

/// The Jobs at work: at most one counts for each object.
#[derive(Debug, Default)]
pub struct Slots {
    holds: BTreeMap<Uid, Hold>,
    running: Counts,
    starting: Counts,
    unasked: u32,
}

/// Jobs, counted as they come and go.
#[derive(Debug, Default)]
struct Counts {
    total: u32,
    by_namespace: BTreeMap<Arc<str>, u32>,
    by_server: BTreeMap<Arc<str>, u32>,
    by_server_of_namespace: BTreeMap<(Arc<str>, Arc<str>), u32>,
    by_image: BTreeMap<(Arc<str>, Arc<str>), u32>,
}

impl Slots {
    /// Says what the object with that uid holds now. Answers whether that made room for somebody.
    pub fn set(&mut self, uid: &Uid, hold: Option<Hold>) -> bool {
        if self.holds.get(uid) == hold.as_ref() {
            return false;
        }
        let before = self.holds.remove(uid);
        if let Some(before) = &before {
            self.count(before, false);
        }
        if let Some(hold) = hold {
            self.count(&hold, true);
            self.holds.insert(Arc::clone(uid), hold);
        }
        before.is_some()
    }

    /// What the object with that uid holds.
    pub fn held(&self, uid: &str) -> Option<&Hold> {
        self.holds.get(uid)
    }

    /// How many Jobs run, and how many do not yet.
    pub fn totals(&self) -> (u32, u32) {
        (self.running.total, self.starting.total)
    }

    /// How many Jobs of a namespace run.
    pub fn in_namespace(&self, namespace: &str) -> u32 {
        self.running.by_namespace.get(namespace).copied().unwrap_or_default()
    }

    /// Whether any Job is there for a server, whether it runs or not.
    pub fn has_jobs_on(&self, server: &str) -> bool {
        [&self.running, &self.starting].iter().any(|counts| counts.by_server.contains_key(server))
    }

    /// Whether nobody has room.
    pub fn is_full(&self, limits: Limits) -> bool {
        self.running.total >= limits.total
    }

    /// Whether the cap in all leaves no room for that namespace, whatever it wants to do.
    pub fn is_full_for(&self, namespace: &str, limits: Limits) -> bool {
        let of = |counts: &Counts| counts.by_namespace.get(namespace).copied().unwrap_or_default();
        let own = of(&self.starting);
        !fits(self.running.total + own, limits.total, of(&self.running) + own)
    }

    /// Whether one more has room in `lane`.
    ///
    /// A Job that does not run takes no slot of other namespaces. In its own it counts as if it ran, for it may begin at
    /// any moment. Where one of the same image does not run already, those of other namespaces count, too: what waits for
    /// the same thing begins together.
    pub fn has_room(&self, lane: &Lane, unasked: bool, limits: Limits) -> bool {
        let Lane { namespace, server, image } = lane;
        let (running, starting) = (&self.running, &self.starting);
        let of = |counts: &BTreeMap<(Arc<str>, Arc<str>), u32>, key: &Arc<str>| {
            counts.get(&(Arc::clone(namespace), Arc::clone(key))).copied().unwrap_or_default()
        };
        let one =
            |counts: &BTreeMap<Arc<str>, u32>, key: &Arc<str>| counts.get(key).copied().unwrap_or_default();
        let alike = of(&starting.by_image, image);
        if alike >= MOST_STARTING || (unasked && self.unasked >= limits.unasked()) {
            return false;
        }
        let (own, own_here) =
            (one(&starting.by_namespace, namespace), of(&starting.by_server_of_namespace, server));
        let (waiting, waiting_here) =
            if alike == 0 { (own, own_here) } else { (starting.total, one(&starting.by_server, server)) };
        let in_namespace = one(&running.by_namespace, namespace) + own;
        let in_namespace_here = of(&running.by_server_of_namespace, server) + own_here;
        fits(running.total + waiting, limits.total, in_namespace)
            && fits(one(&running.by_server, server) + waiting_here, limits.per_server, in_namespace_here)
    }

    fn count(&mut self, hold: &Hold, comes: bool) {
        let counts = if hold.runs { &mut self.running } else { &mut self.starting };
        let Lane { namespace, server, image } = &hold.lane;
        let (namespace, server, image) = (Arc::clone(namespace), Arc::clone(server), Arc::clone(image));
        change(&mut counts.total, comes);
        change_in(&mut counts.by_server_of_namespace, (Arc::clone(&namespace), Arc::clone(&server)), comes);
        change_in(&mut counts.by_image, (Arc::clone(&namespace), image), comes);
        change_in(&mut counts.by_namespace, namespace, comes);
        change_in(&mut counts.by_server, server, comes);
        if hold.unasked {
            change(&mut self.unasked, comes);
        }
    }
}

impl Limits {
    /// How many Jobs may run that nobody asks for.
    pub fn unasked(&self) -> u32 {
        (self.total / 10).max(1)
    }
}

/// The last slot of a cap is open only to a namespace that has none under it, so that a storm in one namespace cannot
/// shut out another.
fn fits(taken: u32, cap: u32, own: u32) -> bool {
    taken < cap && (taken + 1 < cap || own == 0)
}

fn change(count: &mut u32, comes: bool) {
    *count = if comes { *count + 1 } else { count.saturating_sub(1) };
}

fn change_in<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K, comes: bool) {
    let count = counts.entry(key);
    match count {
        std::collections::btree_map::Entry::Vacant(entry) => {
            if comes {
                entry.insert(1);
            }
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            change(entry.get_mut(), comes);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(namespace: &str, server: &str) -> Lane {
        Lane { namespace: namespace.into(), server: server.into(), image: "img".into() }
    }

    fn slots(running: &[(&str, &str)], starting: &[(&str, &str)]) -> Slots {
        let mut slots = Slots::default();
        let all = running.iter().map(|at| (at, true)).chain(starting.iter().map(|at| (at, false)));
        for (index, ((namespace, server), runs)) in all.enumerate() {
            let hold = Hold { lane: lane(namespace, server), runs, unasked: false };
            assert!(!slots.set(&index.to_string().into(), Some(hold)));
        }
        slots
    }

    fn has_room(slots: &Slots, at: (&str, &str), total: u32, per_server: u32) -> bool {
        slots.has_room(&lane(at.0, at.1), false, Limits { total, per_server })
    }

    #[test]
    fn one_namespace_cannot_take_the_last_slot() {
        let storm = slots(&[("a", "s"), ("a", "s")], &[]);
        assert!(!has_room(&storm, ("a", "s"), 3, 100));
        assert!(has_room(&storm, ("b", "s"), 3, 100));
        let full = slots(&[("a", "s"), ("a", "s"), ("b", "s")], &[]);
        assert!(!has_room(&full, ("c", "s"), 3, 100));
    }

    #[test]
    fn the_same_holds_for_each_server() {
        let storm = slots(&[("a", "one"), ("b", "two")], &[]);
        assert!(!has_room(&storm, ("a", "one"), 100, 2));
        assert!(has_room(&storm, ("b", "one"), 100, 2));
        assert!(has_room(&storm, ("a", "two"), 100, 2));
    }

    #[test]
    fn a_cap_of_one_is_usable_and_a_cap_of_none_stops_all() {
        assert!(has_room(&Slots::default(), ("a", "s"), 1, 1));
        assert!(!has_room(&slots(&[("a", "s")], &[]), ("b", "t"), 1, 1));
        assert!(!has_room(&Slots::default(), ("a", "s"), 0, 1));
    }

    #[test]
    fn what_does_not_run_takes_no_slot_of_others_and_a_handful_in_its_own_namespace() {
        let stuck = slots(&[], &[("a", "s"); 4]);
        assert!(!has_room(&stuck, ("a", "s"), 50, 50), "four of one namespace and image do not run");
        assert!(has_room(&stuck, ("b", "s"), 2, 2), "others do not notice");
        let three = slots(&[], &[("a", "s"); 3]);
        assert!(has_room(&three, ("a", "s"), 50, 50));
        assert!(!has_room(&three, ("a", "s"), 50, 4), "if they began now, its own cap would not hold");
        assert!(!has_room(&three, ("a", "t"), 4, 50));
    }

    #[test]
    fn a_job_that_begins_or_ends_is_counted_where_it_is() {
        let mut slots = slots(&[("a", "s")], &[("a", "s")]);
        assert_eq!(slots.totals(), (1, 1));
        let runs = Hold { lane: lane("a", "s"), runs: true, unasked: false };
        assert!(slots.set(&"1".into(), Some(runs.clone())));
        assert!(!slots.set(&"1".into(), Some(runs)), "nothing has changed");
        assert_eq!((slots.totals(), slots.in_namespace("a")), ((2, 0), 2));
        assert!(slots.set(&"0".into(), None) && slots.set(&"1".into(), None));
        assert_eq!(slots.totals(), (0, 0));
        assert!(
            slots.running.by_server_of_namespace.is_empty() && slots.starting.by_image.is_empty(),
            "nothing is left"
        );
    }

    #[test]
    fn what_nobody_asks_for_has_a_tenth() {
        let limits = Limits { total: 30, per_server: 30 };
        let mut slots = Slots::default();
        for index in 0..3 {
            assert!(slots.has_room(&lane("a", "s"), true, limits));
            let hold = Hold { lane: lane("a", "s"), runs: true, unasked: true };
            slots.set(&index.to_string().into(), Some(hold));
        }
        assert!(!slots.has_room(&lane("b", "t"), true, limits));
        assert!(slots.has_room(&lane("b", "t"), false, limits));
    }
}
