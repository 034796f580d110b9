//! The line of one namespace: who waits in it, and who of them is first. Pure.
//!
//! What waits for the same image, and is refused together, is asked about together. So a namespace that waits for ten
//! thousand servers costs each turn no more than one that waits for one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pauses::Scope;
use crate::seen::metadata::Uid;
use crate::slots::Lane;

/// Where somebody waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) lane: Lane,
    pub(super) scope: Scope,
    /// Whether nobody asks for it.
    pub(super) unasked: bool,
}

/// What waits together, whatever server it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    unasked: bool,
    image: Arc<str>,
    scope: Scope,
}

/// Whether there is room in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Here,
    NotHere,
    /// Nor in any other lane of its group.
    Nowhere,
}

/// Who waits in one namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    groups: BTreeMap<Group, Lanes>,
    /// When it was its turn last.
    pub(super) served: u64,
}

/// Who waits in one group.
#[derive(Clone, Debug, Default)]
struct Lanes {
    /// By their arrivals.
    waiters: BTreeMap<Lane, BTreeMap<u64, Uid>>,
    /// The lanes, by the arrival of whoever is first in each.
    firsts: BTreeMap<u64, Lane>,
}

impl Place {
    fn group(&self) -> Group {
        Group { unasked: self.unasked, image: Arc::clone(&self.lane.image), scope: self.scope.clone() }
    }
}

impl Line {
    /// The object comes: later than all who are there.
    pub(super) fn join(&mut self, place: &Place, arrival: u64, uid: &Uid) {
        let lanes = self.groups.entry(place.group()).or_default();
        let waiters = lanes.waiters.entry(place.lane.clone()).or_default();
        if waiters.is_empty() {
            lanes.firsts.insert(arrival, place.lane.clone());
        }
        waiters.insert(arrival, Arc::clone(uid));
    }

    /// Whoever came then goes.
    pub(super) fn leave(&mut self, place: &Place, arrival: u64) {
        let group = place.group();
        let Some(lanes) = self.groups.get_mut(&group) else { return };
        let Some(waiters) = lanes.waiters.get_mut(&place.lane) else { return };
        waiters.remove(&arrival);
        let next = waiters.keys().next().copied();
        if let Some(lane) = lanes.firsts.remove(&arrival)
            && let Some(next) = next
        {
            lanes.firsts.insert(next, lane);
        }
        if next.is_none() {
            lanes.waiters.remove(&place.lane);
        }
        if lanes.waiters.is_empty() {
            self.groups.remove(&group);
        }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whoever came first, and when, of those who have room.
    pub(super) fn first(
        &self,
        unasked: bool,
        takes_jobs: impl Fn(&Scope) -> bool,
        mut room: impl FnMut(&Lane) -> Room,
    ) -> Option<(u64, &Uid)> {
        let groups = self.groups.iter().filter(|(group, _)| group.unasked == unasked);
        let open = groups.filter(|(group, _)| takes_jobs(&group.scope));
        open.filter_map(|(_, lanes)| lanes.first(&mut room)).min_by_key(|(arrival, _)| *arrival)
    }

    /// Those who wait for Jobs that are refused together.
    pub(super) fn of_scope(&self, scope: &Scope) -> impl Iterator<Item = &Uid> {
        let groups = self.groups.iter().filter(move |(group, _)| group.scope == *scope);
        groups.flat_map(|(_, lanes)| lanes.waiters.values().flat_map(BTreeMap::values))
    }
}

impl Lanes {
    fn first(&self, room: &mut impl FnMut(&Lane) -> Room) -> Option<(u64, &Uid)> {
        for (arrival, lane) in &self.firsts {
            match room(lane) {
                Room::Here => return Some((*arrival, self.waiters.get(lane)?.get(arrival)?)),
                Room::NotHere => {}
                Room::Nowhere => return None,
            }
        }
        None
    }
}
