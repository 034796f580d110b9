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
                world.waiting.refused(&scope("a"), now, LONGEST_PAUSE);
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
