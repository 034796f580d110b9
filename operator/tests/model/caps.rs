//! The caps, enumerated: Databases of two namespaces that wait for slots, and every order in which their Jobs begin, get
//! stuck, begin after all, end and fail. Who is let in and when is the operator's own code.

#![allow(clippy::indexing_slicing, reason = "every index is one of a Database")]

use std::collections::HashSet;
use std::sync::Arc;

use db_operator::clock::Moment;
use db_operator::slots::{Hold, Lane, Limits, Slots};
use db_operator::waiting::{Scope, Waiting};

/// The cap in all binds, and the cap of a server.
const LIMITS: [Limits; 2] = [Limits { total: 3, per_server: 9 }, Limits { total: 9, per_server: 3 }];

/// The Databases, by their namespaces: more of the first than there are slots, and enough of two to fill them.
const DATABASES: [&str; 7] = ["a", "a", "a", "a", "b", "b", "c"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Waits,
    /// Its Job is so young that it may begin at once.
    Young,
    /// Its Job does not begin: the image, a quota, a node.
    Stuck,
    Runs,
    Done,
}

#[derive(Clone, Debug)]
struct State {
    all: [At; DATABASES.len()],
    waiting: Waiting,
    limits: Limits,
    /// How many Jobs may still get stuck, and fail.
    stuck: u8,
    failed: u8,
}

fn uid(index: usize) -> Arc<str> {
    index.to_string().into()
}

fn lane(index: usize) -> Lane {
    Lane { namespace: DATABASES[index].into(), server: "server".into(), image: "img".into() }
}

impl State {
    fn new(limits: Limits, stuck: u8, failed: u8) -> Self {
        let mut waiting = Waiting::default();
        for index in 0..DATABASES.len() {
            join(&mut waiting, index);
        }
        Self { all: [At::Waits; DATABASES.len()], waiting, limits, stuck, failed }
    }

    fn slots(&self) -> Slots {
        let mut slots = Slots::default();
        for (index, at) in self.all.iter().enumerate() {
            if matches!(at, At::Young | At::Runs | At::Stuck) {
                let hold = Hold { lane: lane(index), runs: *at != At::Stuck, unasked: false };
                let _ = slots.set(&uid(index), Some(hold));
            }
        }
        slots
    }

    /// The cap that binds.
    fn most(&self) -> u32 {
        self.limits.total.min(self.limits.per_server)
    }

    /// Lets in whoever has room.
    fn let_in(mut self) -> Self {
        while let Some(next) = self.waiting.next(&self.slots(), self.limits, Moment::default()) {
            let index: usize = next.parse().unwrap();
            self.all[index] = At::Young;
            let running = self.count(|_, at| matches!(at, At::Young | At::Runs));
            assert!(running <= self.most(), "a Job too many is launched: {:?}", self.all);
        }
        self
    }

    fn count(&self, which: impl Fn(&str, At) -> bool) -> u32 {
        let all = DATABASES.iter().zip(self.all).filter(|(of, at)| which(of, *at));
        u32::try_from(all.count()).unwrap()
    }

    /// What may happen next, and whether it does so by itself.
    fn steps(&self) -> Vec<(bool, Self)> {
        let mut steps = Vec::new();
        for index in 0..DATABASES.len() {
            let mut go = |goes_on: bool, at: At| {
                let mut next = self.clone();
                next.all[index] = at;
                steps.push((goes_on, next));
            };
            match self.all[index] {
                At::Young => {
                    go(true, At::Runs);
                    if self.stuck > 0 {
                        go(false, At::Stuck);
                        steps.last_mut().unwrap().1.stuck -= 1;
                    }
                }
                At::Stuck => go(false, At::Runs),
                At::Runs => {
                    go(true, At::Done);
                    if self.failed > 0 {
                        go(false, At::Waits);
                        let next = &mut steps.last_mut().unwrap().1;
                        next.failed -= 1;
                        join(&mut next.waiting, index);
                    }
                }
                At::Waits | At::Done => {}
            }
        }
        steps.into_iter().map(|(goes_on, next)| (goes_on, next.let_in())).collect()
    }

    /// What holds in every state, whatever begins now.
    fn check(&self) {
        for namespace in DATABASES {
            let of_it =
                self.count(|of, at| of == namespace && matches!(at, At::Young | At::Stuck | At::Runs));
            assert!(
                of_it <= self.most(),
                "if all of {namespace} began, the cap would not hold: {:?}",
                self.all
            );
        }
    }

    /// Where nothing goes on by itself: who waits has Jobs in its own namespace that do not begin.
    fn check_end(&self) {
        for (namespace, at) in DATABASES.into_iter().zip(self.all) {
            let own = self.count(|of, at| of == namespace && at == At::Stuck);
            assert!(at != At::Waits || own > 0, "others hold up {namespace}: {:?}", self.all);
        }
    }
}

fn join(waiting: &mut Waiting, index: usize) {
    let lane = lane(index);
    let scope = Scope { namespace: Arc::clone(&lane.namespace), driver: "engine".into() };
    waiting.join(&uid(index), &lane, &scope, false);
}

#[test]
#[allow(clippy::print_stderr, reason = "how much was looked at belongs to the result")]
fn no_cap_is_passed_and_nobody_is_held_up_by_others_whatever_begins_when() {
    let (mut open, mut known, mut most_stuck) = (Vec::new(), HashSet::new(), 0);
    let mut meet = |state: State, open: &mut Vec<State>| {
        if known.insert((
            state.all,
            state.limits.total,
            state.stuck,
            state.failed,
            format!("{:?}", state.waiting),
        )) {
            open.push(state);
        }
        known.len()
    };
    let mut states = 0;
    for limits in LIMITS {
        states = meet(State::new(limits, 3, 0).let_in(), &mut open);
    }
    while let Some(state) = open.pop() {
        state.check();
        most_stuck = most_stuck.max(state.count(|of, at| of == "a" && at == At::Stuck));
        let steps = state.steps();
        if !steps.iter().any(|(goes_on, _)| *goes_on) {
            state.check_end();
        }
        for (_, next) in steps {
            states = meet(next, &mut open);
        }
    }
    eprintln!("caps: {states} states, {most_stuck} stuck at most in one namespace");
    assert!(states > 10_000, "{states} states are too few to mean anything");
    assert!(most_stuck > 1, "never were two stuck");
}
