//! What refuses Jobs is left alone for a while, and then one tries. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Moment, doubled};

/// The wait after a namespace has refused a Job. It doubles with each further refusal.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The longest such wait while the API server cannot be reached at all.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);

/// What refuses together: Jobs of one Driver in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The namespace that the Job is for.
    pub namespace: Arc<str>,
    /// The name of the Driver.
    pub driver: Arc<str>,
}

/// All that is left alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Pauses {
    by_scope: BTreeMap<Scope, Pause>,
    /// When to look whether a pause still matters to anybody: at its end, and when the last one leaves who waits for it.
    looks: BTreeSet<(Moment, Scope)>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    refusals: u32,
    until: Moment,
    /// The API server has decided so, and not just failed to answer.
    is_answer: bool,
    /// One tries whether it takes Jobs again.
    tried: bool,
}

impl Pauses {
    /// A Job was not taken, by an answer or for want of one: for a while nobody tries there. Answers whether it was the
    /// first.
    pub(super) fn refused(&mut self, scope: &Scope, now: Moment, is_answer: bool) -> bool {
        let before = self.by_scope.get(scope).copied();
        if before.is_none_or(|pause| pause.tried) {
            let refusals = before.map_or(0, |pause| pause.refusals).saturating_add(1);
            let longest = if is_answer { LONGEST_PAUSE } else { LONGEST_SILENCE };
            let until = now.plus(doubled(FIRST_PAUSE, refusals, longest));
            self.by_scope.insert(scope.clone(), Pause { refusals, until, is_answer, tried: false });
            self.looks.insert((until, scope.clone()));
        }
        before.is_none()
    }

    /// The API server is there again: where it only did not answer, one may try at once.
    pub(super) fn is_there_again(&mut self, now: Moment) {
        for (scope, pause) in &mut self.by_scope {
            if !pause.is_answer && !pause.tried && pause.until > now {
                self.looks.remove(&(pause.until, scope.clone()));
                pause.until = now;
                self.looks.insert((now, scope.clone()));
            }
        }
    }

    /// A Job was taken.
    pub(super) fn accepted(&mut self, scope: &Scope) {
        if let Some(pause) = self.by_scope.remove(scope) {
            self.looks.remove(&(pause.until, scope.clone()));
        }
    }

    /// Whether a Job may be taken, as far as we know.
    pub(super) fn takes_jobs(&self, scope: &Scope, now: Moment) -> bool {
        self.by_scope.get(scope).is_none_or(|pause| pause.until <= now && !pause.tried)
    }

    /// Somebody takes the one try that there is after a pause.
    pub(super) fn try_scope(&mut self, scope: &Scope) {
        if let Some(pause) = self.by_scope.get_mut(scope) {
            pause.tried = true;
            self.looks.remove(&(pause.until, scope.clone()));
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn left(&mut self, scope: &Scope) {
        if let Some(pause) = self.by_scope.get(scope).filter(|pause| !pause.tried) {
            self.looks.insert((pause.until, scope.clone()));
        }
    }

    /// When the next pause ends.
    pub(super) fn next_at(&self, now: Moment) -> Option<Moment> {
        self.looks.iter().map(|(at, _)| *at).find(|at| *at > now)
    }

    /// Forgets the pauses that are over and that nobody waits for, and answers them.
    pub(super) fn forget(&mut self, now: Moment, is_waited_for: impl Fn(&Scope) -> bool) -> Vec<Scope> {
        let mut forgotten = Vec::new();
        while let Some((at, _)) = self.looks.first()
            && *at <= now
            && let Some((_, scope)) = self.looks.pop_first()
        {
            if !is_waited_for(&scope) {
                self.by_scope.remove(&scope);
                forgotten.push(scope);
            }
        }
        forgotten
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_scope.len().max(self.looks.len())
    }
}
