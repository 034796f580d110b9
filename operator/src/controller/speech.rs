//! Says what is to be said, one Event at a time, and sets the metrics.

use super::{Controller, Done, Said};
use crate::clock::Now;
use crate::kind::Kind;
use crate::metrics::OfKind;
use crate::standing::Next;

impl Controller {
    /// Says the next thing that is to be said, one at a time.
    pub(super) fn speak(&mut self, now: &Now) {
        while self.role.acts()
            && !self.is_speaking
            && let Some(next) = self.standing.next(now.moment)
        {
            let (about, notice, uid) = match next {
                Next::Once(once) => (once.0, once.1, None),
                Next::Of(uid) => match self.stands(&uid, now) {
                    Some((about, notice)) => (about, notice, Some(uid)),
                    None => continue,
                },
            };
            if notice.reason == "Contradiction" {
                self.parts.health.metrics.contradictions.inc();
            }
            let voice = self.parts.voice.clone();
            self.is_speaking = true;
            self.tasks.spawn(async move {
                let published = voice.say(&about, &notice).await;
                Done::Said(Box::new(Said { about, notice, uid, published }))
            });
        }
    }

    pub(super) fn said(&mut self, said: Said, now: &Now) {
        self.is_speaking = false;
        let Said { about, notice, uid, published } = said;
        match (uid, published) {
            (Some(uid), true) => self.standing.was_said(&uid, &notice),
            (Some(uid), false) => {
                let namespace = about.namespace.unwrap_or_default().into();
                self.standing.failed(Some((&uid, &namespace)), now.moment);
            }
            (None, true) => {}
            (None, false) => {
                self.standing.failed(None, now.moment);
                self.standing.say_once(about, notice);
            }
        }
    }

    pub(super) fn measure(&self) {
        let metrics = &self.parts.health.metrics;
        let (running, starting) = self.slots.totals();
        metrics.in_flight.set(i64::from(running));
        metrics.starting.set(i64::from(starting));
        metrics.waiting.set(i64::try_from(self.waiting.len()).unwrap_or(i64::MAX));
        metrics.leader.set(i64::from(self.role.leads()));
        metrics.set_databases(self.world.databases.census());
        metrics.set_stuck(self.standing.counts());
        for kind in Kind::ALL {
            let count = self.world.broken_of(kind);
            let of_kind = OfKind { kind: kind.name().to_owned() };
            metrics.undecodable.get_or_create(&of_kind).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
