//! Decides about one object: what it waits for, what stands about it, and when it is looked at again.

use k8s_openapi::api::core::v1::ObjectReference;

use super::{Controller, Parts};
use crate::clock::Now;
use crate::decision::{Decision, Launch};
use crate::job::parts::Worker;
use crate::metrics::labels;
use crate::notice::Notice;
use crate::plan::{Plan, driver_for, hold, lane, look_again, plan};
use crate::seen::metadata::Uid;
use crate::seen::world::World;
use crate::slots::Lane;
use crate::subject::Subject;
use crate::waiting::Scope;

impl Controller {
    /// Decides about one object.
    pub(super) fn look(&mut self, uid: &Uid, now: &Now) {
        if self.launching.contains_key(uid) {
            return;
        }
        let terms = &self.parts.terms;
        let (subject, decision, notice) = match plan(&self.world, uid, terms, now) {
            Plan::Nothing => return self.forget(uid),
            Plan::Say(about, notice) => {
                let namespace = about.namespace.unwrap_or_default().into();
                self.waiting.leave(uid);
                self.slots.set(uid, None);
                return self.standing.stands(uid, &namespace, notice.as_ref());
            }
            Plan::Act { subject, decision, notice } => (subject, decision, notice),
        };
        self.parts.health.metrics.decisions.get_or_create(&labels(&decision)).inc();
        let held = hold(&self.world, uid, terms, now.moment);
        let grown = held.as_ref().and_then(|(_, until)| *until);
        self.slots.set(uid, held.map(|(held, _)| held));
        let again = look_again(&decision).map(|left| now.moment.plus(left));
        let (mut notice, mut look_at) = (notice, again.into_iter().chain(grown).min());
        let lane = match &decision {
            Decision::Launch(launch) => lane_of(&self.world, subject, launch, &self.parts),
            Decision::Wait(_) | Decision::Settled(_) | Decision::Stuck(_) => None,
        };
        if let Some((lane, scope, unasked)) = lane {
            notice = self.refusals.notice(uid, &scope).cloned().or(notice);
            if let Some(until) = self.refusals.left_alone(uid, now.moment) {
                self.waiting.leave(uid);
                look_at = Some(look_at.map_or(until, |at| at.min(until)));
            } else {
                self.waiting.join(uid, &lane, &scope, unasked);
            }
        } else {
            self.waiting.leave(uid);
            self.refusals.forget(uid);
        }
        self.standing.stands(uid, subject.namespace(), notice.as_ref());
        self.queue.look_at(uid, look_at);
    }

    /// What stands about an object, and how Events call it.
    pub(super) fn stands(&self, uid: &Uid, now: &Now) -> Option<(ObjectReference, Notice)> {
        match plan(&self.world, uid, &self.parts.terms, now) {
            Plan::Nothing => None,
            Plan::Say(about, notice) => Some((about, notice?)),
            Plan::Act { subject, decision, notice } => {
                let lane = match &decision {
                    Decision::Launch(launch) => lane_of(&self.world, subject, launch, &self.parts),
                    Decision::Wait(_) | Decision::Settled(_) | Decision::Stuck(_) => None,
                };
                let refused = lane.and_then(|(_, scope, _)| self.refusals.notice(uid, &scope).cloned());
                Some((subject.reference(), refused.or(notice)?))
            }
        }
    }
}

/// Where a launch counts, and what refuses together with it.
pub(super) fn lane_of(
    world: &World,
    subject: Subject<'_>,
    launch: &Launch,
    parts: &Parts,
) -> Option<(Lane, Scope, bool)> {
    let image = match driver_for(world, launch.operation, subject)? {
        Worker::Driver(driver) => driver.image(subject.moves_data(launch.operation)),
        Worker::Release => &parts.settings.release_image,
    };
    let (lane, scope) = lane(subject, launch.operation, image, &parts.terms);
    Some((lane, scope, launch.unasked))
}
