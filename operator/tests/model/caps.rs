//! The caps, enumerated: Databases of two namespaces that wait for slots, and every order in which their Jobs begin, get
//! stuck, begin after all, end and fail. Who is let in and when is the operator's own code.

#![allow(clippy::indexing_slicing, reason = "every index is one of a Database")]

use std::collections::HashSet;
use std::sync::Arc;

use db_operator::clock::Moment;
use db_operator::slots::{Hold, Lane, Limits, MOST_STARTING, Slots};
use db_operator::waiting::{Scope, Waiting};

/// The cap in all binds, and the cap of a server.
const LIMITS: [Limits; 2] = [Limits { total: 3, per_server: 9 }, Limits { total: 9, per_server: 3 }];

/// No cap binds.
const NONE: Limits = Limits { total: 9, per_server: 9 };

/// The Databases, by their namespaces: more of the first than there are slots, and enough of two to fill them.
const CROWD: &[&str] = &["a", "a", "a", "a", "b", "b", "c"];

/// More of one namespace than a handful, and one of another.
const HANDFUL: &[&str] = &["a", "a", "a", "a", "a", "b"];

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

impl At {
    fn is_at_work(self) -> bool {
        matches!(self, Self::Young | Self::Stuck | Self::Runs)
    }
}

#[derive(Clone, Debug)]
struct State {
    /// The namespace of each Database.
    of: &'static [&'static str],
    all: Vec<At>,
    waiting: Waiting,
    limits: Limits,
    /// How many Jobs may still get stuck, and fail.
    stuck: u8,
    failed: u8,
}

fn uid(index: usize) -> Arc<str> {
    index.to_string().into()
}

fn lane(namespace: &str) -> Lane {
    Lane { namespace: namespace.into(), server: "server".into(), image: "img".into() }
}

impl State {
    fn new(of: &'static [&'static str], limits: Limits, stuck: u8, failed: u8) -> Self {
        let all = vec![At::Waits; of.len()];
        let mut state = Self { of, all, waiting: Waiting::default(), limits, stuck, failed };
        (0..of.len()).for_each(|index| state.join(index));
        state
    }

    fn join(&mut self, index: usize) {
        let lane = lane(self.of[index]);
        let scope = Scope { namespace: Arc::clone(&lane.namespace), driver: "engine".into() };
        self.waiting.join(&uid(index), &lane, &scope, false);
    }

    fn slots(&self) -> Slots {
        let mut slots = Slots::default();
        for (index, at) in self.all.iter().enumerate() {
            if at.is_at_work() {
                let hold = Hold { lane: lane(self.of[index]), runs: *at != At::Stuck, unasked: false };
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
            let own = |of: &str| of == self.of[index];
            let stuck = self.count(|of, at| own(of) && at == At::Stuck);
            assert!(stuck < MOST_STARTING, "more than a handful may get stuck: {:?}", self.all);
            let others = self.count(|of, at| own(of) && at.is_at_work());
            self.all[index] = At::Young;
            let running = self.count(|_, at| matches!(at, At::Young | At::Runs));
            assert!(running <= self.most(), "a Job too many is launched: {:?}", self.all);
            // What does not begin in one namespace may wait for the same image as what does not in others.
            let together = self.count(|_, at| at.is_at_work());
            assert!(stuck == 0 || together <= self.most(), "if all began, no cap would hold: {:?}", self.all);
            let is_last = running == self.most();
            assert!(!is_last || others == 0, "who has slots already takes the last one: {:?}", self.all);
        }
        self
    }

    fn count(&self, which: impl Fn(&str, At) -> bool) -> u32 {
        let all = self.of.iter().zip(&self.all).filter(|(of, at)| which(of, **at));
        u32::try_from(all.count()).unwrap()
    }

    /// What may happen next, and whether it does so by itself.
    fn steps(&self) -> Vec<(bool, Self)> {
        let mut steps = Vec::new();
        for index in 0..self.of.len() {
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
                        next.join(index);
                    }
                }
                At::Waits | At::Done => {}
            }
        }
        steps.into_iter().map(|(goes_on, next)| (goes_on, next.let_in())).collect()
    }

    /// What holds in every state, whatever begins now.
    fn check(&self) {
        for namespace in self.of {
            let of_it = self.count(|of, at| of == *namespace && at.is_at_work());
            assert!(
                of_it <= self.most(),
                "if all of {namespace} began, the cap would not hold: {:?}",
                self.all
            );
        }
    }

    /// Where nothing goes on by itself: who waits has Jobs in its own namespace that do not begin.
    fn check_end(&self) {
        for (namespace, at) in self.of.iter().zip(&self.all) {
            let own = self.count(|of, at| of == *namespace && at == At::Stuck);
            assert!(*at != At::Waits || own > 0, "others hold up {namespace}: {:?}", self.all);
        }
    }
}

/// Goes through all that can be reached. Answers how many states there are, and how many of one namespace are stuck at
/// once.
fn explore(beginnings: impl Iterator<Item = State>) -> (usize, u32) {
    let (mut open, mut known, mut most_stuck) = (Vec::new(), HashSet::new(), 0);
    let mut meet = |state: State, open: &mut Vec<State>| {
        let State { all, limits, stuck, failed, waiting, .. } = &state;
        if known.insert((all.clone(), limits.total, *stuck, *failed, format!("{waiting:?}"))) {
            open.push(state);
        }
        known.len()
    };
    let mut states = 0;
    for beginning in beginnings {
        states = meet(beginning.let_in(), &mut open);
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
    (states, most_stuck)
}

#[allow(clippy::print_stderr, reason = "how much was looked at belongs to the result")]
fn check(name: &str, beginnings: impl Iterator<Item = State>, at_least: usize, stuck: u32) {
    let (states, most_stuck) = explore(beginnings);
    eprintln!("{name}: {states} states, {most_stuck} stuck at most in one namespace");
    assert!(states > at_least, "{states} states are too few to mean anything");
    assert!(most_stuck >= stuck, "never were {stuck} stuck");
}

#[test]
fn no_cap_is_passed_and_nobody_is_held_up_by_others_whatever_begins_when() {
    check("caps", LIMITS.into_iter().map(|limits| State::new(CROWD, limits, 3, 0)), 10_000, 2);
}

#[test]
fn no_more_than_a_handful_is_launched_of_what_does_not_begin() {
    check("handful", std::iter::once(State::new(HANDFUL, NONE, 4, 1)), 1_000, MOST_STARTING);
}
