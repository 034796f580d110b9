//! Takes what the watches show.

use super::Controller;
use crate::backup;
use crate::clock::Now;
use crate::plan::hold;
use crate::seen::change::Change;
use crate::seen::decode::Object;
use crate::seen::metadata::Uid;

impl Controller {
    /// Takes changes. What an object holds is counted once for all of them, and not before it is needed: it may have very
    /// many Jobs.
    pub(super) fn take(&mut self, changes: &mut Vec<Change>, now: &Now) {
        for change in changes.drain(..) {
            let touched = self.take_one(change, now);
            self.uncounted.extend(touched);
        }
        if self.world.is_whole() {
            for uid in std::mem::take(&mut self.uncounted) {
                self.count(&uid, now);
            }
        }
    }

    /// Takes one change. Answers whose Jobs, or what they hold, it may have changed.
    fn take_one(&mut self, change: Change, now: &Now) -> Vec<Uid> {
        // One that only goes on does so without any operator.
        if let Change::Applied(Object::Job(job)) = &change
            && !self.world.jobs.knows(job)
        {
            self.role.saw_work();
        }
        // A list begins when a watch could not go on, as after an API server that was away.
        if let Change::Begin(_) = change {
            self.waiting.is_there_again(now.moment);
        }
        let touched = self.world.take(change, now);
        for uid in &touched.gone {
            self.forget(uid);
        }
        for uid in &touched.woken {
            self.queue.wake(uid);
        }
        for uid in &touched.woken_later {
            self.queue.wake_later(uid);
        }
        if self.role.leads() {
            for request in touched.completed {
                self.standing.say_once(request.reference(), backup::say::completed(&request));
            }
            for request in touched.erased {
                self.standing.say_once(request.reference(), backup::say::erased(&request));
            }
        }
        touched.woken.into_iter().chain(touched.woken_later).collect()
    }

    pub(super) fn forget(&mut self, uid: &Uid) {
        self.queue.forget(uid);
        self.waiting.leave(uid);
        self.refusals.forget(uid);
        self.standing.forget(uid);
        if !self.launching.contains_key(uid) {
            self.slots.set(uid, None);
        }
    }

    /// Counts what an object holds.
    pub(super) fn count(&mut self, uid: &Uid, now: &Now) {
        if !self.launching.contains_key(uid) {
            let held = hold(&self.world, uid, &self.parts.terms, now.moment);
            self.slots.set(uid, held.map(|(held, _)| held));
        }
    }
}
