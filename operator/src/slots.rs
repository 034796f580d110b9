//! How many Jobs may run at once: in all, for one server, and that one namespace leaves room for the others.

use std::collections::BTreeMap;

/// The caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs in flight in all.
    pub total: u32,
    /// Jobs in flight for one server.
    pub per_server: u32,
}

/// Where a Job of a Database counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The Database's namespace.
    pub namespace: String,
    /// The server, as [`server_key`](crate::job::build::server_key) spells it.
    pub server: String,
}

/// The Jobs in flight.
#[derive(Clone, Debug, Default)]
pub struct Load {
    total: u32,
    by_namespace: BTreeMap<String, u32>,
    by_server: BTreeMap<String, u32>,
    by_place: BTreeMap<Place, u32>,
}

impl Load {
    /// Counts one more.
    pub fn add(&mut self, place: &Place) {
        self.total += 1;
        *self.by_namespace.entry(place.namespace.clone()).or_default() += 1;
        *self.by_server.entry(place.server.clone()).or_default() += 1;
        *self.by_place.entry(place.clone()).or_default() += 1;
    }

    /// How many there are.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Whether one more fits.
    pub fn has_room_for(&self, place: &Place, limits: &Limits) -> bool {
        let count = |counts: Option<&u32>| counts.copied().unwrap_or_default();
        fits(self.total, limits.total, count(self.by_namespace.get(&place.namespace)))
            && fits(
                count(self.by_server.get(&place.server)),
                limits.per_server,
                count(self.by_place.get(place)),
            )
    }

    /// Which of those who wait, oldest first, have room now, together.
    pub fn admit<'a, T>(
        &self,
        waiting: impl Iterator<Item = (&'a T, &'a Place)>,
        limits: &Limits,
    ) -> Vec<&'a T> {
        let mut load = self.clone();
        waiting
            .filter(|(_, place)| {
                let fits = load.has_room_for(place, limits);
                if fits {
                    load.add(place);
                }
                fits
            })
            .map(|(who, _)| who)
            .collect()
    }
}

/// The last slot of a cap is open only to a namespace that has none in flight under it, so that a storm in one
/// namespace cannot shut out another.
fn fits(in_flight: u32, cap: u32, own: u32) -> bool {
    in_flight < cap && (in_flight + 1 < cap || own == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(namespace: &str, server: &str) -> Place {
        Place { namespace: namespace.into(), server: server.into() }
    }

    fn load(places: &[(&str, &str)]) -> Load {
        let mut load = Load::default();
        for (namespace, server) in places {
            load.add(&place(namespace, server));
        }
        load
    }

    #[test]
    fn one_namespace_cannot_take_the_last_slot() {
        let limits = Limits { total: 3, per_server: 100 };
        let storm = load(&[("a", "s"), ("a", "s")]);
        assert!(!storm.has_room_for(&place("a", "s"), &limits));
        assert!(storm.has_room_for(&place("b", "s"), &limits));
        let full = load(&[("a", "s"), ("a", "s"), ("b", "s")]);
        assert!(!full.has_room_for(&place("c", "s"), &limits));
    }

    #[test]
    fn the_same_holds_for_each_server() {
        let limits = Limits { total: 100, per_server: 2 };
        let storm = load(&[("a", "one"), ("b", "two")]);
        assert!(!storm.has_room_for(&place("a", "one"), &limits));
        assert!(storm.has_room_for(&place("b", "one"), &limits));
        assert!(storm.has_room_for(&place("a", "two"), &limits));
    }

    #[test]
    fn a_cap_of_one_is_usable_and_a_cap_of_none_stops_all() {
        let one = Limits { total: 1, per_server: 1 };
        assert!(Load::default().has_room_for(&place("a", "s"), &one));
        assert!(!load(&[("a", "s")]).has_room_for(&place("b", "t"), &one));
        assert!(!Load::default().has_room_for(&place("a", "s"), &Limits { total: 0, per_server: 1 }));
    }

    #[test]
    fn those_who_wait_are_admitted_oldest_first_and_only_as_many_as_fit() {
        let limits = Limits { total: 4, per_server: 4 };
        let waiting =
            [(1, place("a", "s")), (2, place("a", "s")), (3, place("a", "s")), (4, place("b", "s"))];
        let admitted = load(&[("a", "s")]).admit(waiting.iter().map(|(who, place)| (who, place)), &limits);
        assert_eq!(admitted, [&1, &2, &4]);
    }
}
