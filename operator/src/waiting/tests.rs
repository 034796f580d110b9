use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::slots::Hold;

fn at(second: u64) -> Moment {
    Moment::after_start(Duration::from_secs(second))
}

fn lane(namespace: &str, server: &str) -> Lane {
    Lane { namespace: namespace.into(), server: server.into(), image: "img".into() }
}

fn scope(namespace: &str) -> Scope {
    Scope { namespace: namespace.into(), driver: "engine".into() }
}

struct World {
    waiting: Waiting,
    slots: Slots,
    limits: Limits,
}

impl World {
    fn new(total: u32, per_server: u32) -> Self {
        Self { waiting: Waiting::default(), slots: Slots::default(), limits: Limits { total, per_server } }
    }

    fn join(&mut self, uid: &str, namespace: &str, server: &str) {
        self.waiting.join(&uid.into(), &lane(namespace, server), &scope(namespace), false);
    }

    /// Launches whoever has room, and answers who that was.
    fn serve(&mut self, now: Moment) -> Vec<String> {
        let mut order = Vec::new();
        while let Some(uid) = self.waiting.next(&self.slots, self.limits, now) {
            let (namespace, server) =
                uid.split_once('-').map_or(("a", "s"), |(namespace, _)| (namespace, "s"));
            let hold = Hold { lane: lane(namespace, server), runs: true, unasked: false };
            self.slots.set(&uid, Some(hold));
            order.push(uid.to_string());
        }
        order
    }

    fn end(&mut self, uid: &str) {
        assert!(self.slots.set(&uid.into(), None));
    }
}

#[test]
fn within_a_namespace_whoever_came_first_is_served_first() {
    let mut world = World::new(3, 100);
    for uid in ["a-1", "a-2", "a-3"] {
        world.join(uid, "a", "s");
    }
    assert_eq!(world.serve(at(0)), ["a-1", "a-2"], "the last slot is for others");
    world.end("a-1");
    assert_eq!(world.serve(at(0)), ["a-3"]);
    assert!(world.waiting.is_empty());
}

#[test]
fn any_number_of_namespaces_is_served_alike_whatever_each_asks_for() {
    let mut world = World::new(10, 100);
    for index in 0..20 {
        // The later a namespace comes, the more it asks for.
        for number in 0..50 * (index + 1) {
            world.join(&format!("n{index}-{number}"), &format!("n{index}"), "s");
        }
    }
    let mut order: BTreeMap<String, u32> = BTreeMap::new();
    let mut at_work: VecDeque<String> = VecDeque::new();
    // As long as each has something to ask for.
    for _ in 0..900 {
        for uid in world.serve(at(0)) {
            *order.entry(uid.split('-').next().unwrap().to_owned()).or_default() += 1;
            at_work.push_back(uid);
        }
        world.end(&at_work.pop_front().unwrap());
    }
    let (least, most) = (order.values().min().unwrap(), order.values().max().unwrap());
    assert_eq!(order.len(), 20);
    assert!(most - least <= 1, "{order:?}");
}

#[test]
fn a_server_that_is_full_holds_up_nobody_who_wants_another() {
    let mut world = World::new(100, 1);
    world.slots.set(&"x".into(), Some(Hold { lane: lane("z", "full"), runs: true, unasked: false }));
    world.join("a-1", "a", "full");
    world.join("a-2", "a", "s");
    assert_eq!(world.serve(at(0)), ["a-2"]);
    assert_eq!(world.waiting.len(), 1);
    world.end("x");
    assert_eq!(world.serve(at(0)), ["a-1"]);
}

#[test]
fn who_leaves_is_skipped_and_who_comes_back_stands_at_the_end() {
    let mut world = World::new(100, 100);
    for uid in ["a-1", "a-2", "a-3", "a-2"] {
        world.join(uid, "a", "s");
    }
    assert_eq!(world.waiting.len(), 3, "who waits does not wait twice");
    world.waiting.leave(&"a-2".into());
    world.waiting.leave(&"a-1".into());
    world.join("a-1", "a", "s");
    assert_eq!(world.serve(at(0)), ["a-3", "a-1"]);
}

#[test]
fn what_nobody_asks_for_comes_after_all_else_and_takes_a_tenth() {
    let mut world = World::new(20, 100);
    for uid in ["a-u1", "a-u2", "a-u3"] {
        world.waiting.join(&uid.into(), &lane("a", "s"), &scope("a"), true);
    }
    world.join("b-1", "b", "s");
    let first = world.waiting.next(&world.slots, world.limits, at(0));
    assert_eq!(first.as_deref(), Some("b-1"));
    for _ in 0..2 {
        let uid = world.waiting.next(&world.slots, world.limits, at(0)).unwrap();
        world.slots.set(&uid, Some(Hold { lane: lane("a", "s"), runs: true, unasked: true }));
    }
    assert_eq!(world.waiting.next(&world.slots, world.limits, at(0)), None);
}

#[test]
fn a_namespace_that_refuses_is_tried_by_one_after_a_pause_that_doubles() {
    let mut world = World::new(100, 100);
    for number in 0..1000 {
        world.join(&format!("a-{number}"), "a", "s");
    }
    world.join("b-1", "b", "s");
    let mut tries = Vec::new();
    for second in 0..600 {
        let now = at(second);
        while let Some(uid) = world.waiting.next(&world.slots, world.limits, now) {
            if uid.starts_with("a-") {
                tries.push(second);
                world.waiting.try_scope(&scope("a"));
                world.waiting.refused(&scope("a"), now, true);
                world.join(&uid, "a", "s");
            }
        }
    }
    assert_eq!(tries[..7], [0, 1, 3, 7, 15, 31, 63], "the pause doubles");
    assert!(tries.len() <= 16, "{tries:?}");
    let opens = world.waiting.next_at(at(600)).unwrap();
    assert!(world.waiting.next(&world.slots, world.limits, opens).is_some(), "one tries");
    world.waiting.try_scope(&scope("a"));
    assert!(world.waiting.next(&world.slots, world.limits, opens).is_none(), "and nobody beside it");
    world.waiting.accepted(&scope("a"));
    assert!(world.waiting.next(&world.slots, world.limits, opens).is_some());
}

#[test]
fn when_the_api_server_is_there_again_one_may_try_at_once_where_it_only_did_not_answer() {
    let mut world = World::new(100, 100);
    for namespace in ["silent", "refused"] {
        world.join(&format!("{namespace}-1"), namespace, "s");
        world.waiting.refused(&scope(namespace), at(0), namespace == "refused");
    }
    assert!(world.waiting.next(&world.slots, world.limits, at(0)).is_none());
    world.waiting.is_there_again(at(0));
    assert_eq!(world.waiting.next(&world.slots, world.limits, at(0)).as_deref(), Some("silent-1"));
    assert!(world.waiting.next(&world.slots, world.limits, at(0)).is_none(), "what it has decided stands");
    world.waiting.try_scope(&scope("silent"));
    world.waiting.is_there_again(at(0));
    world.join("silent-2", "silent", "s");
    assert!(world.waiting.next(&world.slots, world.limits, at(0)).is_none(), "somebody tries");
}

#[test]
fn a_namespace_that_asks_for_one_at_a_time_comes_no_sooner_than_its_turn() {
    let mut world = World::new(1, 100);
    for number in 0..20 {
        for namespace in ["b", "c"] {
            world.join(&format!("{namespace}-{number}"), namespace, "s");
        }
    }
    let mut order = Vec::new();
    for number in 0..30 {
        // It asks again as soon as it has got what it asked for, and waits for nothing else.
        if !world.waiting.lines.contains_key("a") {
            world.join(&format!("a-{number}"), "a", "s");
        }
        let served = world.serve(at(0)).remove(0);
        world.end(&served);
        order.push(served);
    }
    let of_a = order.iter().filter(|uid| uid.starts_with("a-")).count();
    assert_eq!(of_a, 10, "{order:?}");
}

/// Who of 10,000 waits for each its own server, and of how many lanes that is asked.
fn looks(world: &World, now: Moment) -> (Option<String>, u32) {
    let mut looks = 0;
    let line = &world.waiting.lines["a"];
    let takes_jobs = |scope: &Scope| world.waiting.pauses.takes_jobs(scope, now);
    let first = line.first(false, takes_jobs, |lane| {
        looks += 1;
        room(&world.slots, lane, false, world.limits)
    });
    (first.map(|(_, uid)| uid.to_string()), looks)
}

#[test]
fn ten_thousand_servers_of_one_namespace_cost_a_turn_no_more_than_one() {
    let mut world = World::new(50, 1);
    for number in 0..10_000 {
        world.join(&format!("a-{number}"), "a", &format!("host-{number}"));
    }
    assert_eq!(looks(&world, at(0)), (Some("a-0".to_owned()), 1));

    world.waiting.refused(&scope("a"), at(0), true);
    assert_eq!(looks(&world, at(0)), (None, 0), "it is left alone for a while");
    world.waiting.accepted(&scope("a"));

    let hold =
        |namespace: &str, server: &str, runs| Hold { lane: lane(namespace, server), runs, unasked: false };
    for number in 0..4 {
        let busy = format!("host-{number}");
        world.slots.set(&busy.as_str().into(), Some(hold("z", &busy, true)));
    }
    assert_eq!(looks(&world, at(0)), (Some("a-4".to_owned()), 5), "the servers of the first four are busy");
    for number in 0..4 {
        world.slots.set(&format!("stuck-{number}").into(), Some(hold("a", "elsewhere", false)));
    }
    assert_eq!(looks(&world, at(0)), (None, 5), "four that do not begin are enough for one image");
    assert!(!world.waiting.is_any_due(&world.slots, world.limits, at(0)));
}

#[test]
fn who_changes_between_two_servers_that_are_full_leaves_nothing_behind() {
    let mut world = World::new(100, 1);
    for server in ["one", "two"] {
        world.slots.set(&server.into(), Some(Hold { lane: lane("z", server), runs: true, unasked: false }));
        world.join(&format!("a-{server}"), "a", server);
    }
    for _ in 0..1_000 {
        world.join("a-flips", "a", "one");
        world.join("a-flips", "a", "two");
    }
    let all: Vec<_> = world.waiting.of_scope(&scope("a")).map(|uid| &**uid).collect();
    assert_eq!(all, ["a-one", "a-two", "a-flips"]);
    for server in ["one", "two"] {
        world.waiting.leave(&format!("a-{server}").into());
    }
    world.waiting.leave(&"a-flips".into());
    assert!(world.waiting.lines.is_empty(), "{:?}", world.waiting.lines);
}

#[test]
fn of_namespaces_that_come_and_go_little_is_kept_while_another_is_not_served() {
    let mut world = World::new(100, 1);
    world.slots.set(&"x".into(), Some(Hold { lane: lane("z", "full"), runs: true, unasked: false }));
    world.join("stuck-1", "stuck", "full");
    world.waiting.refused(&scope("stuck"), at(0), true);
    let mut forgotten = Vec::new();
    for number in 0..3_000 {
        let (namespace, now) = (format!("n{number}"), at(number));
        for name in ["served", "refused"] {
            let uid = format!("{namespace}-{name}");
            world.join(&uid, &namespace, "s");
            if name == "served" {
                assert_eq!(world.serve(now), [uid.as_str()]);
                world.end(&uid);
            } else {
                world.waiting.refused(&scope(&namespace), now, true);
                world.waiting.leave(&uid.into());
            }
        }
        forgotten.extend(world.waiting.tidy(now));
    }
    let Waiting { lines, counts, pauses, rested, .. } = &world.waiting;
    assert_eq!((lines.len(), counts.len()), (1, 1), "who waits is kept");
    assert_eq!(pauses.len(), 2, "and its pause, and the one that is not over yet");
    assert_eq!(rested.len(), rested::MOST, "and when those were served that were served last");
    assert_eq!(forgotten.len(), 2_999);
    assert!(!forgotten.contains(&scope("stuck")), "somebody waits for it");
}

#[test]
fn who_is_forgotten_comes_after_who_has_waited_since_before() {
    let mut world = World::new(100, 1);
    world.join("a-1", "a", "s");
    assert_eq!(world.serve(at(0)), ["a-1"]);
    world.end("a-1");
    world.slots.set(&"x".into(), Some(Hold { lane: lane("z", "full"), runs: true, unasked: false }));
    world.join("a-2", "a", "full");
    for number in 0..=rested::MOST {
        let namespace = format!("n{number}");
        let uid = format!("{namespace}-1");
        world.join(&uid, &namespace, "s");
        assert_eq!(world.serve(at(0)), [uid.as_str()]);
        world.end(&uid);
    }
    world.join("n0-2", "n0", "full");
    assert!(world.slots.set(&"x".into(), None));
    let first = world.waiting.next(&world.slots, world.limits, at(0));
    assert_eq!(first.as_deref(), Some("a-2"), "it was served before the other was");
}
