//! The record of what asks for one piece of work: a Backup, a Restore.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
use k8s_openapi::jiff::{SpanRound, Timestamp, Unit};
use kube::{Client, Resource};
use tracing::warn;

use super::objects::Objects;
use super::{Kind, Record, Wish, now, set_failed, superseded};
use crate::failure::{Result, kubernetes};
use api::{Conditions, Progress, READY, Reason, STALLED};

/// A kind of which each object asks for one piece of work.
pub(crate) trait Requested: Kind<Due = Wanted> {
    /// The phase in which everything is done.
    const COMPLETED: Self::Phase;

    /// What the status of every such kind has.
    fn common(status: &mut Self::Status) -> Common<'_>;
}

/// What the status of every request has, besides its phase.
pub(crate) struct Common<'a> {
    pub(super) conditions: &'a mut Vec<Condition>,
    pub(super) observed_generation: &'a mut Option<i64>,
    pub(super) progress: &'a mut Option<Progress>,
    pub(super) started_at: &'a mut Option<Time>,
    pub(super) completed_at: &'a mut Option<Time>,
    pub(super) duration: &'a mut Option<String>,
    pub(super) job: &'a mut Option<String>,
}

/// Which objects a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Those that nobody deletes.
    Alive,
    /// Those that somebody deletes.
    Deleted,
}

impl Wanted {
    /// Fails if the run is not for `live`.
    pub(super) fn check<K: Resource<DynamicType = ()>>(self, live: &K) -> Result<()> {
        let deleted = live.meta().deletion_timestamp.is_some();
        let what = match (self, deleted) {
            (Self::Alive, false) | (Self::Deleted, true) => return Ok(()),
            (Self::Alive, true) => "is being deleted: nobody asks for it any more",
            (Self::Deleted, false) => "is not being deleted",
        };
        let name = live.meta().name.as_deref().unwrap_or_default();
        Err(superseded(format!("{} {name} {what}", K::kind(&()))))
    }
}

/// Fills [`Common`] from the fields of those names.
macro_rules! common {
    ($status:ident) => {
        crate::record::request::Common {
            conditions: &mut $status.conditions,
            observed_generation: &mut $status.observed_generation,
            progress: &mut $status.progress,
            started_at: &mut $status.started_at,
            completed_at: &mut $status.completed_at,
            duration: &mut $status.duration,
            job: &mut $status.job,
        }
    };
}
pub(super) use common;

impl<K: Requested> Record<K> {
    /// Reads the live object, which is to be `wanted`. None if it is gone, or is not, or another one has its name.
    pub(crate) async fn find(
        client: Client,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
        wanted: Wanted,
    ) -> Result<Option<Self>> {
        let found = Objects::<K>::new(client.clone(), namespace).get(name).await;
        let found =
            found.map_err(|error| kubernetes(&format!("cannot read {} {name}", K::kind(&())), error))?;
        let is_it =
            |live: &K| wanted.check(live).is_ok() && (uid.is_none() || live.meta().uid.as_deref() == uid);
        Ok(found.filter(is_it).map(|live| Self::of(client, namespace, live, wanted)))
    }

    /// Whether everything is done.
    pub(crate) fn is_completed(&self) -> bool {
        self.phase() == Some(K::COMPLETED)
    }

    /// Begins, in phase `to`, and says what else `change` says.
    pub(crate) async fn begin(
        &mut self,
        to: K::Phase,
        (reason, message): (&str, &str),
        change: impl Fn(&mut K::Status),
    ) -> Result<()> {
        let (now, generation) = (now(), self.generation());
        self.advance(to, |status| {
            change(status);
            let common = K::common(status);
            *common.observed_generation = Some(generation);
            *common.progress = Some(Progress::of(0, 0));
            *common.started_at = Some(now.clone());
            common.conditions.retain(|condition| condition.type_ != STALLED);
            common.conditions.set(READY, false, reason, message, generation, &now);
        })
        .await
    }

    /// Fails if nobody asks for it any more.
    pub(crate) async fn check_wanted(&mut self) -> Result<()> {
        self.reload().await
    }

    /// Says how much is done, if it is one percent more than was said. Fails if nobody asks for it any more.
    pub(crate) async fn progress(&mut self, to: K::Phase, progress: Progress) -> Result<()> {
        let mut status = self.status();
        if K::common(&mut status).progress.is_some_and(|said| said.percent == progress.percent) {
            return self.check_wanted().await;
        }
        self.advance(to, |status| *K::common(status).progress = Some(progress)).await
    }

    /// Says that everything is done, and what else `change` says.
    pub(crate) async fn completed(
        &mut self,
        job: &str,
        bytes: u64,
        (reason, message): (&str, &str),
        change: impl Fn(&mut K::Status),
    ) -> Result<()> {
        let (now, generation) = (now(), self.generation());
        self.advance(K::COMPLETED, |status| {
            change(status);
            let common = K::common(status);
            *common.progress = Some(Progress::complete(bytes));
            *common.completed_at = Some(now.clone());
            *common.duration = common.started_at.as_ref().map(|started| duration(started.0, now.0));
            *common.job = Some(job.to_owned());
            common.conditions.retain(|condition| condition.type_ != STALLED);
            common.conditions.set(READY, true, reason, message, generation, &now);
        })
        .await
    }

    /// Says why it does not go on. What is done and wanted is not called failed. A failure to say so is logged: the run has
    /// failed already.
    pub(crate) async fn failed(&mut self, starting: K::Phase, reason: Reason, message: &str) {
        let (now, generation) = (now(), self.generation());
        let wanted = self.due == Wanted::Alive;
        let written = self
            .swap(|_, status| {
                let is_done = wanted && *K::phase(status) == Some(K::COMPLETED);
                if is_done && K::common(status).conditions.is_true(READY) {
                    return Ok(Wish::Leave);
                }
                K::phase(status).get_or_insert(starting);
                let common = K::common(status);
                *common.observed_generation = Some(generation);
                set_failed(common.conditions, reason, message, generation, &now);
                Ok(Wish::Write)
            })
            .await;
        if let Err(error) = written {
            warn!(error = error.chain(), "cannot write the condition");
        }
    }

    /// Says that its owner has given it up, so that nobody waits for it.
    pub(crate) async fn given_up(&mut self, starting: K::Phase, message: &str) {
        let (now, generation) = (now(), self.generation());
        let reason = Reason::Superseded.as_str();
        let written = self
            .swap(|_, status| {
                K::phase(status).get_or_insert(starting);
                let common = K::common(status);
                *common.observed_generation = Some(generation);
                common.conditions.set(READY, false, reason, message, generation, &now);
                common.conditions.set(STALLED, true, reason, message, generation, &now);
                Ok(Wish::Write)
            })
            .await;
        if let Err(error) = written {
            warn!(error = error.chain(), "cannot write the condition");
        }
    }
}

/// In whole seconds, as Kubernetes writes it: `1m12s`.
fn duration(from: Timestamp, to: Timestamp) -> String {
    const PRINTER: SpanPrinter = SpanPrinter::new().spacing(Spacing::None).designator(Designator::Compact);
    let rounded = SpanRound::new().largest(Unit::Hour).smallest(Unit::Second);
    let span = to.since(from).and_then(|span| span.round(rounded));
    span.map(|span| PRINTER.span_to_string(&span)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_as_it_is_documented() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let from = at("2026-11-21T10:00:00.2Z");
        assert_eq!(duration(from, from), "0s");
        assert_eq!(duration(from, at("2026-11-21T10:01:12.9Z")), "1m13s");
        assert_eq!(duration(from, at("2026-11-22T12:00:01.2Z")), "26h1s");
        assert_eq!(duration(from, at("2026-11-22T12:00:00.2Z")), "26h");
    }
}
