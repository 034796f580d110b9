//! What is to be looked at: what has changed, then what time says, then everything else that is to be looked at again.
//! Each at most once. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::clock::Moment;
use crate::seen::metadata::Uid;

/// Objects to be looked at.
#[derive(Debug, Default)]
pub struct Queue {
    changed: VecDeque<Uid>,
    again: VecDeque<Uid>,
    /// Those in `changed`.
    is_changed: BTreeSet<Uid>,
    /// Those in `again`.
    is_again: BTreeSet<Uid>,
    timers: BTreeSet<(Moment, Uid)>,
    due: BTreeMap<Uid, Moment>,
}

impl Queue {
    /// Something about the object has changed.
    pub fn wake(&mut self, uid: &Uid) {
        if self.is_changed.insert(Arc::clone(uid)) {
            self.changed.push_back(Arc::clone(uid));
        }
    }

    /// The object is to be looked at again, when nothing that has changed waits.
    pub fn wake_later(&mut self, uid: &Uid) {
        if self.is_again.insert(Arc::clone(uid)) {
            self.again.push_back(Arc::clone(uid));
        }
    }

    /// The object is to be looked at at that moment, unless it is before. It takes the place of what was said earlier.
    pub fn look_at(&mut self, uid: &Uid, at: Option<Moment>) {
        if let Some(before) = self.due.remove(&**uid) {
            self.timers.remove(&(before, Arc::clone(uid)));
        }
        if let Some(at) = at {
            self.timers.insert((at, Arc::clone(uid)));
            self.due.insert(Arc::clone(uid), at);
        }
    }

    /// Forgets an object.
    pub fn forget(&mut self, uid: &Uid) {
        self.look_at(uid, None);
        // What is left of it in the lists is skipped.
        self.is_changed.remove(&**uid);
        self.is_again.remove(&**uid);
    }

    /// The next one to be looked at now.
    pub fn next(&mut self, now: Moment) -> Option<Uid> {
        while let Some(uid) = self.changed.pop_front() {
            if self.is_changed.remove(&*uid) {
                return Some(uid);
            }
        }
        if let Some((at, uid)) = self.timers.first().cloned()
            && at <= now
        {
            self.look_at(&uid, None);
            return Some(uid);
        }
        while let Some(uid) = self.again.pop_front() {
            if self.is_again.remove(&*uid) {
                return Some(uid);
            }
        }
        None
    }

    /// When something is to be looked at, if nothing changes: a moment that is past if it is now.
    pub fn next_at(&self) -> Option<Moment> {
        if !self.is_changed.is_empty() || !self.is_again.is_empty() {
            return Some(Moment::default());
        }
        self.timers.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn uid(name: &str) -> Uid {
        name.into()
    }

    fn all(queue: &mut Queue, now: Moment) -> Vec<String> {
        std::iter::from_fn(|| queue.next(now)).map(|uid| uid.to_string()).collect()
    }

    #[test]
    fn what_has_changed_comes_first_and_each_comes_once() {
        let (mut queue, now) = (Queue::default(), Moment::after_start(Duration::from_secs(9)));
        for name in ["a", "b", "c"] {
            queue.wake_later(&uid(name));
        }
        queue.look_at(&uid("t"), Some(Moment::after_start(Duration::from_secs(8))));
        queue.look_at(&uid("later"), Some(Moment::after_start(Duration::from_secs(10))));
        for name in ["b", "x", "b"] {
            queue.wake(&uid(name));
        }
        assert_eq!(all(&mut queue, now), ["b", "x", "t", "a", "b", "c"]);
        assert_eq!(queue.next_at(), Some(Moment::after_start(Duration::from_secs(10))));
    }

    #[test]
    fn a_timer_is_set_again_and_forgotten_with_its_object() {
        let at = |second| Moment::after_start(Duration::from_secs(second));
        let mut queue = Queue::default();
        queue.look_at(&uid("a"), Some(at(1)));
        queue.look_at(&uid("a"), Some(at(5)));
        assert_eq!(all(&mut queue, at(4)), [""; 0]);
        queue.wake(&uid("a"));
        queue.forget(&uid("a"));
        assert_eq!((all(&mut queue, at(9)), queue.next_at()), (vec![], None));
        queue.wake(&uid("a"));
        assert_eq!(all(&mut queue, at(9)), ["a"], "another one of that uid is looked at");
    }
}
