//! What stands about each object, and what of it is still to be said: each once as long as it stands. Pure.
//!
//! Of an object only a hash is kept, and what is to be said is made when its turn comes: so what is unsaid costs a
//! few bytes, however much there is. Namespaces take turns, so that what goes wrong in one does not hold up the others'
//! Events, and all of them come at a bounded rate.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;

use crate::clock::Moment;
use crate::notice::Notice;
use crate::seen::metadata::Uid;

/// Events that may come at once.
const BURST: u32 = 50;
/// How long it takes until one more may come.
const REFILL: Duration = Duration::from_millis(100);
/// How long nothing is said after an Event could not be published.
const SILENCE: Duration = Duration::from_secs(5);
/// How much that is said once may wait; more is not worth an Event any more.
const MOST_ONCE: usize = 1_000;

/// What stands, and what is to be said.
#[derive(Debug, Default)]
pub struct Standing {
    by_uid: BTreeMap<Uid, Stands>,
    counts: BTreeMap<&'static str, i64>,
    /// By namespace, what is unsaid; and whose turn it is.
    lines: BTreeMap<Arc<str>, VecDeque<Uid>>,
    turns: VecDeque<Arc<str>>,
    once: VecDeque<(ObjectReference, Notice)>,
    /// When the last of all that may come at once may have come.
    spent: Moment,
}

#[derive(Debug)]
struct Stands {
    hash: u64,
    reason: &'static str,
    said: bool,
}

/// What is to be said next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// This, once.
    Once(Box<(ObjectReference, Notice)>),
    /// What stands about the object with that uid.
    Of(Uid),
}

impl Standing {
    /// Says what stands about an object now, if anything.
    pub fn stands(&mut self, uid: &Uid, namespace: &Arc<str>, notice: Option<&Notice>) {
        let Some(notice) = notice else { return self.forget(uid) };
        let hash = hash(notice);
        if self.by_uid.get(uid).is_some_and(|stands| stands.hash == hash) {
            return;
        }
        self.forget(uid);
        *self.counts.entry(notice.reason).or_default() += 1;
        let stands = Stands { hash, reason: notice.reason, said: false };
        self.by_uid.insert(Arc::clone(uid), stands);
        self.queue(uid, namespace);
    }

    /// Takes what is to be said once.
    pub fn say_once(&mut self, about: ObjectReference, notice: Notice) {
        if self.once.len() < MOST_ONCE {
            self.once.push_back((about, notice));
        }
    }

    /// Nothing stands about an object any more.
    pub fn forget(&mut self, uid: &str) {
        if let Some(stands) = self.by_uid.remove(uid) {
            *self.counts.entry(stands.reason).or_default() -= 1;
        }
    }

    /// How many objects each reason stands about.
    pub fn counts(&self) -> &BTreeMap<&'static str, i64> {
        &self.counts
    }

    /// Another process may have spoken meanwhile: whoever has something standing is to be asked again.
    pub fn forget_what_was_said(&mut self) -> Vec<Uid> {
        self.lines.clear();
        self.turns.clear();
        self.counts.clear();
        std::mem::take(&mut self.by_uid).into_keys().collect()
    }

    /// What is to be said now.
    pub fn next(&mut self, now: Moment) -> Option<Next> {
        if self.next_at()? > now {
            return None;
        }
        let next = self.once.pop_front().map(|once| Next::Once(Box::new(once)));
        let next = next.or_else(|| self.next_unsaid().map(Next::Of))?;
        self.spent = self.spent.max(now.minus(REFILL * BURST)).plus(REFILL);
        Some(next)
    }

    /// When the next is to be said.
    pub fn next_at(&self) -> Option<Moment> {
        let anything = !self.once.is_empty() || !self.turns.is_empty();
        anything.then_some(self.spent)
    }

    /// That was published about the object.
    pub fn was_said(&mut self, uid: &str, notice: &Notice) {
        if let Some(stands) = self.by_uid.get_mut(uid)
            && stands.hash == hash(notice)
        {
            stands.said = true;
        }
    }

    /// An Event could not be published: nothing is said for a while, and what stands about the object is said again.
    pub fn failed(&mut self, of: Option<(&Uid, &Arc<str>)>, now: Moment) {
        self.spent = self.spent.max(now.plus(SILENCE));
        if let Some((uid, namespace)) = of {
            self.queue(uid, namespace);
        }
    }

    fn queue(&mut self, uid: &Uid, namespace: &Arc<str>) {
        let line = self.lines.entry(Arc::clone(namespace)).or_default();
        if line.is_empty() {
            self.turns.push_back(Arc::clone(namespace));
        }
        line.push_back(Arc::clone(uid));
    }

    /// The first of the namespace whose turn it is that still stands unsaid.
    fn next_unsaid(&mut self) -> Option<Uid> {
        while let Some(namespace) = self.turns.pop_front() {
            let Some(line) = self.lines.get_mut(&namespace) else { continue };
            let next = loop {
                match line.pop_front() {
                    Some(uid) if self.by_uid.get(&uid).is_some_and(|stands| !stands.said) => break Some(uid),
                    Some(_) => {}
                    None => break None,
                }
            };
            if line.is_empty() {
                self.lines.remove(&namespace);
            } else {
                self.turns.push_back(namespace);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

fn hash(notice: &Notice) -> u64 {
    let mut hasher = DefaultHasher::new();
    notice.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(note: &str) -> Notice {
        Notice::warning("JobNotRunning", note.to_owned())
    }

    fn uids(standing: &mut Standing, now: Moment) -> Vec<String> {
        let next = std::iter::from_fn(|| standing.next(now));
        next.map(|next| match next {
            Next::Of(uid) => uid.to_string(),
            Next::Once(once) => once.1.note.clone(),
        })
        .collect()
    }

    #[test]
    fn each_is_said_once_as_long_as_it_stands() {
        let (mut standing, now) = (Standing::default(), Moment::after_start(Duration::ZERO));
        let (uid, namespace): (Uid, Arc<str>) = ("a".into(), "shop".into());
        standing.stands(&uid, &namespace, Some(&notice("x")));
        assert_eq!(uids(&mut standing, now), ["a"]);
        standing.was_said("a", &notice("x"));
        standing.stands(&uid, &namespace, Some(&notice("x")));
        assert_eq!(uids(&mut standing, now), [""; 0]);
        standing.stands(&uid, &namespace, Some(&notice("y")));
        assert_eq!(uids(&mut standing, now), ["a"], "it is something else now");
        standing.stands(&uid, &namespace, None);
        standing.stands(&uid, &namespace, Some(&notice("y")));
        assert_eq!(uids(&mut standing, now), ["a"], "it had ended");
        assert_eq!(standing.counts().get("JobNotRunning"), Some(&1));
        standing.forget("a");
        assert_eq!((uids(&mut standing, now), standing.next_at()), (vec![], None));
    }

    #[test]
    fn namespaces_take_turns_and_what_is_said_once_comes_first() {
        let (mut standing, now) = (Standing::default(), Moment::after_start(Duration::ZERO));
        for uid in ["a1", "a2", "a3"] {
            standing.stands(&uid.into(), &"a".into(), Some(&notice(uid)));
        }
        standing.stands(&"b1".into(), &"b".into(), Some(&notice("b1")));
        standing.say_once(ObjectReference::default(), notice("once"));
        assert_eq!(uids(&mut standing, now), ["once", "a1", "b1", "a2", "a3"]);
    }

    #[test]
    fn a_flood_comes_at_a_bounded_rate_and_a_failure_is_made_up_for() {
        let (mut standing, start) = (Standing::default(), Moment::after_start(Duration::ZERO));
        let namespace: Arc<str> = "a".into();
        for index in 0..1_000 {
            standing.stands(&format!("{index:04}").into(), &namespace, Some(&notice("x")));
        }
        let burst = uids(&mut standing, start).len();
        assert_eq!(burst, 51, "those that may come at once, and the one that has come up meanwhile");
        let later = start.plus(Duration::from_secs(2));
        assert!(standing.next_at().unwrap() < later);
        assert_eq!(uids(&mut standing, later).len(), 20);
        standing.failed(Some((&"0000".into(), &namespace)), later);
        assert_eq!(standing.next(later.plus(Duration::from_secs(4))), None);
        assert_eq!(uids(&mut standing, later.plus(Duration::from_hours(1))).len(), 51);
    }
}
