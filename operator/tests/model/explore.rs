//! Breadth first through every state that can be reached, with the way there for whoever has to read a failure.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Write;
use std::rc::Rc;

use crate::ends;
use crate::hasher::Table;
use crate::promises;
use crate::state::State;
use crate::steps::{Step, steps};
use crate::view::Decisions;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// How many states are ends in which nothing goes on by itself, by what they are.
    pub(crate) ends: BTreeMap<&'static str, usize>,
    /// The paths of the protocol that runs have gone to their end.
    pub(crate) walked: BTreeSet<String>,
}

/// More states than any scenario has: where there are that many, attempts or objects pile up without end.
const MOST_STATES: usize = 1_500_000;

struct Graph {
    states: Vec<Rc<State>>,
    /// From where each state was reached first, and by what.
    from: Vec<(u32, &'static str)>,
    /// Where the steps lead that nobody has to fail or to do anything for.
    free: Vec<Vec<u32>>,
}

/// Goes through all that can be reached from `beginnings`. Panics if a promise is broken, if what goes on by itself can
/// go on without end, or if it can end where nothing explains why.
pub(crate) fn explore(beginnings: Vec<State>) -> Found {
    let mut graph = Graph { states: Vec::new(), from: Vec::new(), free: Vec::new() };
    let mut known: Table<Rc<State>, u32> = Table::default();
    let mut decisions = Decisions::default();
    let mut found = Found::default();
    // Another scenario may have been explored by this thread before.
    let _ = promises::taken_walks();
    for beginning in beginnings {
        let _ = graph.number(&mut known, beginning, (u32::MAX, "the beginning"));
    }
    let mut next = 0;
    while let Some(state) = graph.states.get(next).map(Rc::clone) {
        let here = u32::try_from(next).unwrap();
        assert!(next < MOST_STATES, "it goes on and on\n{}", graph.way_to(here));
        let all = steps(&state, &mut decisions);
        found.steps += all.len();
        for Step { what, is_fault, to, broken } in all {
            if let Some(broken) = broken {
                panic!("{broken}\n{}- {what}: {}", graph.way_to(here), ends::brief(&to));
            }
            let is_futile = ends::is_futile(&state, &to);
            let number = graph.number(&mut known, to, (here, what));
            if !is_fault && !is_futile && number != here {
                graph.free.get_mut(next).unwrap().push(number);
            }
        }
        if graph.free.get(next).unwrap().is_empty() {
            match ends::why(&state) {
                Ok(why) => *found.ends.entry(why).or_default() += 1,
                Err(why) => panic!("nothing goes on, and nothing says why: {why}\n{}", graph.way_to(here)),
            }
        }
        next += 1;
    }
    graph.check_that_all_ends();
    found.states = graph.states.len();
    found.walked = promises::taken_walks();
    found
}

impl Graph {
    fn number(&mut self, known: &mut Table<Rc<State>, u32>, state: State, from: (u32, &'static str)) -> u32 {
        if let Some(number) = known.get(&state) {
            return *number;
        }
        let (number, state) = (u32::try_from(self.states.len()).unwrap(), Rc::new(state));
        known.insert(Rc::clone(&state), number);
        self.states.push(state);
        self.from.push(from);
        self.free.push(Vec::new());
        number
    }

    /// The way to a state, with what each step changed.
    fn way_to(&self, number: u32) -> String {
        let (mut way, mut at) = (Vec::new(), number);
        while let Some((from, what)) = self.from.get(at as usize) {
            way.push((at, *what));
            at = *from;
        }
        let mut text = String::new();
        for (number, what) in way.into_iter().rev() {
            let state = self.states.get(number as usize).unwrap();
            writeln!(text, "- {what}: {}", ends::brief(state)).unwrap();
        }
        text
    }

    /// Takes away, again and again, what nothing leads to that is left. What stays then goes round in a circle.
    fn check_that_all_ends(&self) {
        let mut ways_in = vec![0_u32; self.states.len()];
        for to in self.free.iter().flatten() {
            *ways_in.get_mut(*to as usize).unwrap() += 1;
        }
        let begin = ways_in.iter().enumerate().filter(|(_, ways)| **ways == 0);
        let mut open: VecDeque<usize> = begin.map(|(number, _)| number).collect();
        let mut left = self.states.len();
        while let Some(number) = open.pop_front() {
            left -= 1;
            for to in self.free.get(number).unwrap() {
                let ways = ways_in.get_mut(*to as usize).unwrap();
                *ways -= 1;
                if *ways == 0 {
                    open.push_back(*to as usize);
                }
            }
        }
        assert!(left == 0, "it can go round without end: {}", self.circle(&ways_in));
    }

    /// One such circle. Only what has a way in that is left leads on to it.
    fn circle(&self, ways_in: &[u32]) -> String {
        let is_left = |number: usize| ways_in.get(number).is_some_and(|ways| *ways > 0);
        // Backwards along what is left one comes to a circle, for each has a way in that is left.
        let mut before: HashMap<usize, usize> = HashMap::new();
        for (from, all) in self.free.iter().enumerate().filter(|(from, _)| is_left(*from)) {
            for to in all {
                before.entry(*to as usize).or_insert(from);
            }
        }
        let (mut at, mut seen) = ((0..ways_in.len()).find(|number| is_left(*number)).unwrap(), Vec::new());
        while !seen.contains(&at) {
            seen.push(at);
            at = *before.get(&at).unwrap();
        }
        let begin = seen.iter().position(|number| *number == at).unwrap();
        let mut text = format!("first\n{}then\n", self.way_to(u32::try_from(at).unwrap()));
        for number in seen.get(begin..).unwrap().iter().rev() {
            writeln!(text, "- {}", ends::brief(self.states.get(*number).unwrap())).unwrap();
        }
        text
    }
}
