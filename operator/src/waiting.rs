//! Who waits for a slot, and whose turn it is. Nobody asks again: whoever waits is told. Pure.
//!
//! Of the namespaces that wait, the one with the fewest Jobs at work comes first, and of equals the one that was served
//! longest ago; within one, whoever came first. What nobody asks for comes after all else.

mod line;
mod pauses;
mod rested;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::line::{Line, Place, Room};
use self::pauses::Pauses;
pub use self::pauses::Scope;
use self::rested::Rested;
use crate::clock::Moment;
use crate::seen::metadata::Uid;
use crate::slots::{Lane, Limits, Slots};

/// Those who wait. Of what nobody waits for nothing is kept, however long others wait.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// By namespace.
    lines: BTreeMap<Arc<str>, Line>,
    rested: Rested,
    /// Where each waits, and since which arrival.
    waiters: BTreeMap<Uid, (Place, u64)>,
    /// How many wait for what is refused together.
    counts: BTreeMap<Scope, usize>,
    arrivals: u64,
    pauses: Pauses,
}

/// Of those who wait: how many Jobs of its namespace run, when that was served last, and when it came. The lowest is
/// first.
type Rank = (u32, u64, u64);

impl Waiting {
    /// The object waits in that lane from now on, unless it does so already.
    pub fn join(&mut self, uid: &Uid, lane: &Lane, scope: &Scope, unasked: bool) {
        let place = Place { lane: lane.clone(), scope: scope.clone(), unasked };
        if self.waiters.get(uid).is_some_and(|(before, _)| *before == place) {
            return;
        }
        self.leave(uid);
        self.arrivals += 1;
        let namespace = &place.lane.namespace;
        let own = self.lines.entry(Arc::clone(namespace)).or_default();
        if own.is_empty() {
            own.served = self.rested.wakes(namespace);
        }
        own.join(&place, self.arrivals, uid);
        *self.counts.entry(scope.clone()).or_default() += 1;
        self.waiters.insert(Arc::clone(uid), (place, self.arrivals));
    }

    /// The object does not wait any more.
    pub fn leave(&mut self, uid: &Uid) {
        let Some((place, arrival)) = self.waiters.remove(uid) else { return };
        let namespace = &place.lane.namespace;
        if let Some(own) = self.lines.get_mut(namespace) {
            own.leave(&place, arrival);
            if own.is_empty() {
                self.rested.rests(Arc::clone(namespace), own.served);
                self.lines.remove(namespace);
            }
        }
        if let Some(count) = self.counts.get_mut(&place.scope) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&place.scope);
                self.pauses.left(&place.scope);
            }
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
        let uid = Arc::clone(self.first(slots, limits, now)?);
        let (place, _) = self.waiters.get(&uid)?;
        let own = self.lines.get_mut(&place.lane.namespace)?;
        self.arrivals += 1;
        own.served = self.arrivals;
        self.leave(&uid);
        Some(uid)
    }

    /// Whether it is anybody's turn.
    pub fn is_any_due(&self, slots: &Slots, limits: Limits, now: Moment) -> bool {
        self.first(slots, limits, now).is_some()
    }

    /// Whose turn it is.
    fn first(&self, slots: &Slots, limits: Limits, now: Moment) -> Option<&Uid> {
        if self.waiters.is_empty() || slots.is_full(limits) {
            return None;
        }
        [false, true].into_iter().find_map(|unasked| self.first_of(unasked, slots, limits, now))
    }

    fn first_of(&self, unasked: bool, slots: &Slots, limits: Limits, now: Moment) -> Option<&Uid> {
        let mut best: Option<(Rank, &Uid)> = None;
        for (namespace, own) in &self.lines {
            let rank = (slots.in_namespace(namespace), own.served);
            if best.is_some_and(|((jobs, served, _), _)| (jobs, served) < rank) {
                continue;
            }
            if slots.is_full_for(namespace, limits) {
                continue;
            }
            let takes_jobs = |scope: &Scope| self.pauses.takes_jobs(scope, now);
            let first = own.first(unasked, takes_jobs, |lane| room(slots, lane, unasked, limits));
            if let Some((arrival, uid)) = first {
                let rank = (rank.0, rank.1, arrival);
                if best.is_none_or(|(known, _)| rank < known) {
                    best = Some((rank, uid));
                }
            }
        }
        best.map(|(_, uid)| uid)
    }

    /// A Job was not taken, by an answer of the API server or for want of one: for a while nobody tries there, and then one
    /// does. Answers whether it was the first.
    pub fn refused(&mut self, scope: &Scope, now: Moment, is_answer: bool) -> bool {
        self.pauses.refused(scope, now, is_answer)
    }

    /// The API server is there again: where it only did not answer, one may try at once.
    pub fn is_there_again(&mut self, now: Moment) {
        self.pauses.is_there_again(now);
    }

    /// Those who wait for Jobs that are refused together.
    pub fn of_scope(&self, scope: &Scope) -> impl Iterator<Item = &Uid> {
        self.lines.values().flat_map(move |own| own.of_scope(scope))
    }

    /// A namespace has taken a Job, or may do so now.
    pub fn accepted(&mut self, scope: &Scope) {
        self.pauses.accepted(scope);
    }

    /// Somebody takes the one try that there is after a pause.
    pub fn try_scope(&mut self, scope: &Scope) {
        self.pauses.try_scope(scope);
    }

    /// When the next pause ends.
    pub fn next_at(&self, now: Moment) -> Option<Moment> {
        self.pauses.next_at(now)
    }

    /// Forgets the pauses that are over and that nobody waits for, and answers what they were for.
    pub fn tidy(&mut self, now: Moment) -> Vec<Scope> {
        let Self { pauses, counts, .. } = self;
        pauses.forget(now, |scope| counts.contains_key(scope))
    }

    /// Nobody waits: forgets who was served when.
    pub fn nobody_waits(&mut self) {
        self.rested.clear();
    }
}

/// Whether there is room in a lane. On a server that has no Jobs there is room if there is any: where that is refused, all
/// of its group are.
fn room(slots: &Slots, lane: &Lane, unasked: bool, limits: Limits) -> Room {
    if slots.has_room(lane, unasked, limits) {
        Room::Here
    } else if slots.has_jobs_on(&lane.server) {
        Room::NotHere
    } else {
        Room::Nowhere
    }
}

#[cfg(test)]
mod tests;
