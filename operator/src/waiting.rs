//! Who waits for a slot, and whose turn it is. Nobody asks again: whoever waits is told. Pure.
//!
//! Of the namespaces that wait, the one with the fewest Jobs at work comes first, and of equals the one that was served
//! longest ago; within one, whoever came first. What nobody asks for comes after all else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Moment, doubled};
use crate::seen::metadata::Uid;
use crate::slots::{Lane, Limits, Slots};

/// The wait after a namespace has refused a Job. It doubles with each further refusal.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such wait.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The longest such wait while the API server cannot be reached at all.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(5);

/// Those who wait.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    namespaces: BTreeMap<Arc<str>, Line>,
    /// Where each waits, and since which arrival.
    waiters: BTreeMap<Uid, Waiter>,
    arrivals: u64,
    pauses: BTreeMap<Scope, Pause>,
}

#[derive(Clone, Debug)]
struct Waiter {
    lane: Lane,
    scope: Scope,
    unasked: bool,
    arrival: u64,
}

/// What waits together: whether nobody asks for it, where it counts, and what refuses it.
type LaneKey = (bool, Lane, Scope);

/// Of those who wait: how many Jobs of its namespace run, when that was served last, and when it came. The lowest is
/// first.
type Rank = (u32, u64, u64);

/// The line of one namespace.
#[derive(Clone, Debug, Default)]
struct Line {
    lanes: BTreeMap<LaneKey, VecDeque<(u64, Uid)>>,
    served: u64,
}

/// What refuses together: Jobs of one Driver in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The namespace that the Job is for.
    pub namespace: Arc<str>,
    /// The name of the Driver.
    pub driver: Arc<str>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    refusals: u32,
    until: Moment,
    /// One tries whether it takes Jobs again.
    tried: bool,
}

impl Waiting {
    /// The object waits in that lane from now on, unless it does so already.
    pub fn join(&mut self, uid: &Uid, lane: &Lane, scope: &Scope, unasked: bool) {
        if let Some(waiter) = self.waiters.get(uid) {
            if (&waiter.lane, &waiter.scope, waiter.unasked) == (lane, scope, unasked) {
                return;
            }
            self.leave(uid);
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        let own = self.namespaces.entry(Arc::clone(&lane.namespace)).or_default();
        let key = (unasked, lane.clone(), scope.clone());
        own.lanes.entry(key).or_default().push_back((arrival, Arc::clone(uid)));
        let waiter = Waiter { lane: lane.clone(), scope: scope.clone(), unasked, arrival };
        self.waiters.insert(Arc::clone(uid), waiter);
    }

    /// The object does not wait any more.
    pub fn leave(&mut self, uid: &Uid) {
        let Self { waiters, namespaces, .. } = self;
        let Some(Waiter { lane, scope, unasked, .. }) = waiters.remove(uid) else { return };
        let Some(own) = namespaces.get_mut(&lane.namespace) else { return };
        let key = (unasked, lane, scope);
        let Some(lane) = own.lanes.get_mut(&key) else { return };
        // What stands behind others is skipped when its turn comes.
        while lane.front().is_some_and(|(arrival, uid)| has_left(waiters, uid, *arrival)) {
            lane.pop_front();
        }
        if lane.is_empty() {
            own.lanes.remove(&key);
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Whose turn it is, if anybody has room. Whoever is answered waits no more.
    pub fn next(&mut self, slots: &Slots, limits: Limits, now: Moment) -> Option<Uid> {
        loop {
            let (namespace, key) = self.first(slots, limits, now)?;
            let own = self.namespaces.get_mut(&namespace)?;
            let waiters = own.lanes.get_mut(&key)?;
            let (arrival, uid) = waiters.pop_front()?;
            if waiters.is_empty() {
                own.lanes.remove(&key);
            }
            if has_left(&self.waiters, &uid, arrival) {
                continue;
            }
            self.arrivals += 1;
            own.served = self.arrivals;
            self.waiters.remove(&uid);
            return Some(uid);
        }
    }

    /// Whether it is anybody's turn.
    pub fn is_any_due(&self, slots: &Slots, limits: Limits, now: Moment) -> bool {
        self.first(slots, limits, now).is_some()
    }

    /// The lane whose turn it is.
    fn first(&self, slots: &Slots, limits: Limits, now: Moment) -> Option<(Arc<str>, LaneKey)> {
        if self.waiters.is_empty() || slots.is_full(limits) {
            return None;
        }
        [false, true].into_iter().find_map(|unasked| self.first_of(unasked, slots, limits, now))
    }

    fn first_of(
        &self,
        unasked: bool,
        slots: &Slots,
        limits: Limits,
        now: Moment,
    ) -> Option<(Arc<str>, LaneKey)> {
        let mut best: Option<(Rank, &Arc<str>, &LaneKey)> = None;
        for (namespace, own) in &self.namespaces {
            let rank = (slots.in_namespace(namespace), own.served);
            if best.as_ref().is_some_and(|((jobs, served, _), ..)| (*jobs, *served) < rank) {
                continue;
            }
            // One namespace may have as many lanes as there are servers: they are not looked at in vain.
            if slots.is_full_for(namespace, limits) {
                continue;
            }
            let lanes = own.lanes.iter().filter(|((class, ..), _)| *class == unasked);
            let with_room = lanes.filter(|((_, lane, scope), _)| {
                slots.has_room(lane, unasked, limits) && self.takes_jobs(scope, now)
            });
            let oldest = with_room.filter_map(|(key, lane)| Some((lane.front()?.0, key)));
            if let Some((arrival, key)) = oldest.min_by_key(|(arrival, _)| *arrival) {
                let rank = (rank.0, rank.1, arrival);
                if best.as_ref().is_none_or(|(known, ..)| rank < *known) {
                    best = Some((rank, namespace, key));
                }
            }
        }
        best.map(|(_, namespace, key)| (Arc::clone(namespace), key.clone()))
    }

    /// A Job was not taken: for a while, at most `longest`, nobody tries there, and then one does. Answers whether it was
    /// the first.
    pub fn refused(&mut self, scope: &Scope, now: Moment, longest: Duration) -> bool {
        let is_first = !self.pauses.contains_key(scope);
        let pause =
            self.pauses.entry(scope.clone()).or_insert(Pause { refusals: 0, until: now, tried: true });
        if pause.tried {
            pause.refusals = pause.refusals.saturating_add(1);
            let wait = doubled(FIRST_PAUSE, pause.refusals, longest);
            *pause = Pause { until: now.plus(wait), tried: false, ..*pause };
        }
        is_first
    }

    /// Those who wait for Jobs that are refused together.
    pub fn of_scope(&self, scope: &Scope) -> impl Iterator<Item = &Uid> {
        let lanes = self.namespaces.values().flat_map(|own| &own.lanes);
        let of_scope = lanes.filter(move |((_, _, of), _)| of == scope).flat_map(|(_, lane)| lane);
        of_scope.map(|(_, uid)| uid)
    }

    /// A namespace has taken a Job, or may do so now.
    pub fn accepted(&mut self, scope: &Scope) {
        self.pauses.remove(scope);
    }

    /// Whether a namespace may take a Job, as far as we know.
    pub fn takes_jobs(&self, scope: &Scope, now: Moment) -> bool {
        self.pauses.get(scope).is_none_or(|pause| pause.until <= now && !pause.tried)
    }

    /// Somebody takes the one try that there is after a pause.
    pub fn try_scope(&mut self, scope: &Scope) {
        if let Some(pause) = self.pauses.get_mut(scope) {
            pause.tried = true;
        }
    }

    /// When the next pause ends, of those that somebody waits for.
    pub fn next_at(&self, now: Moment) -> Option<Moment> {
        if self.waiters.is_empty() {
            return None;
        }
        let pauses = self.pauses.values().filter(|pause| !pause.tried && pause.until > now);
        pauses.map(|pause| pause.until).min()
    }

    /// Nobody waits: forgets who was served when, and pauses that are over.
    pub fn tidy(&mut self, now: Moment) {
        self.namespaces.clear();
        self.pauses.retain(|_, pause| pause.until > now);
    }
}

/// Whether who stood in line since that arrival has left it.
fn has_left(waiters: &BTreeMap<Uid, Waiter>, uid: &str, arrival: u64) -> bool {
    waiters.get(uid).is_none_or(|waiter| waiter.arrival != arrival)
}

#[cfg(test)]
mod tests;
