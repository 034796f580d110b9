//! The record of a Backup or a Restore: the only module that writes their status, and the finalizer of a Backup.
//!
//! Every write names the uid that the Job was launched for and the resource version that was read.

pub(crate) mod database;

mod backup;

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SpanRound, Timestamp, Unit};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use self::database::kubernetes;
use crate::failure::{Failure, Result};
use api::lifecycle::{backup_may_follow, restore_may_follow};
use api::{
    Backup, BackupPhase, BackupStatus, Conditions, DRIVER_FIELD_MANAGER, Progress, READY, Restore,
    RestorePhase, RestoreStatus, STALLED,
};
use api::{Reason, Retry};

/// How often a status write is tried when others write the same object.
const CONFLICT_TRIES: usize = 5;

/// A kind of which each object asks for one piece of work: a Backup, a Restore.
pub(crate) trait Requested:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
    /// Its phase.
    type Phase: Copy + Debug + PartialEq;
    /// Its status.
    type Status: Clone + Default + Serialize;
    /// The phase in which everything is done.
    const COMPLETED: Self::Phase;

    fn status(&self) -> Option<&Self::Status>;
    fn phase(status: &Self::Status) -> Option<Self::Phase>;
    fn may_follow(from: Option<Self::Phase>, to: Self::Phase) -> bool;
    fn common(status: &mut Self::Status) -> Common<'_, Self::Phase>;
}

/// What the status of every request has.
pub(crate) struct Common<'a, P> {
    phase: &'a mut Option<P>,
    conditions: &'a mut Vec<Condition>,
    observed_generation: &'a mut Option<i64>,
    progress: &'a mut Option<Progress>,
    started_at: &'a mut Option<Time>,
    completed_at: &'a mut Option<Time>,
    duration: &'a mut Option<String>,
    job: &'a mut Option<String>,
}

macro_rules! requested {
    ($kind:ty, $phase:ty, $status:ty, $may_follow:path) => {
        impl Requested for $kind {
            type Phase = $phase;
            type Status = $status;
            const COMPLETED: $phase = <$phase>::Completed;

            fn status(&self) -> Option<&$status> {
                self.status.as_ref()
            }

            fn phase(status: &$status) -> Option<$phase> {
                status.phase
            }

            fn may_follow(from: Option<$phase>, to: $phase) -> bool {
                $may_follow(from, to)
            }

            fn common(status: &mut $status) -> Common<'_, $phase> {
                Common {
                    phase: &mut status.phase,
                    conditions: &mut status.conditions,
                    observed_generation: &mut status.observed_generation,
                    progress: &mut status.progress,
                    started_at: &mut status.started_at,
                    completed_at: &mut status.completed_at,
                    duration: &mut status.duration,
                    job: &mut status.job,
                }
            }
        }
    };
}

requested!(Backup, BackupPhase, BackupStatus, backup_may_follow);
requested!(Restore, RestorePhase, RestoreStatus, restore_may_follow);

/// The live object, and what this run may write on it.
pub(crate) struct Request<K> {
    api: Api<K>,
    live: K,
    /// Whether the run is for one that is being deleted. Any other wants one that is not.
    deleted: bool,
}

impl<K: Requested> Request<K> {
    /// Reads the live object. None where it is gone, or being deleted, or another one has its name.
    pub(crate) async fn load(
        client: Client,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
    ) -> Result<Option<Self>> {
        let api: Api<K> = Api::namespaced(client, namespace);
        let found = api.get_opt(name).await.map_err(|error| kubernetes(&cannot::<K>("read", name), error))?;
        Ok(found.filter(|live| is_wanted(live, uid, false)).map(|live| Self { api, live, deleted: false }))
    }

    /// The object `live`, as the API server gave it.
    pub(crate) fn of(client: Client, namespace: &str, live: K) -> Self {
        Self { api: Api::namespaced(client, namespace), live, deleted: false }
    }

    /// The object as it was last read or written.
    pub(crate) fn live(&self) -> &K {
        &self.live
    }

    /// The name of the object.
    pub(crate) fn name(&self) -> &str {
        self.live.meta().name.as_deref().unwrap_or_default()
    }

    /// The uid of the object.
    pub(crate) fn uid(&self) -> &str {
        self.live.meta().uid.as_deref().unwrap_or_default()
    }

    /// Whether everything is done.
    pub(crate) fn is_completed(&self) -> bool {
        self.live.status().and_then(K::phase) == Some(K::COMPLETED)
    }

    /// Begins anew, in phase `to`, and says what else `change` says.
    pub(crate) async fn begin(
        &mut self,
        to: K::Phase,
        (reason, message): (&str, &str),
        change: impl Fn(&mut K::Status),
    ) -> Result<()> {
        let (now, generation) = (now(), self.generation());
        self.write(to, |status| {
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

    /// Says that the work has got to phase `to`, and what else `change` says.
    pub(crate) async fn advance(&mut self, to: K::Phase, change: impl Fn(&mut K::Status)) -> Result<()> {
        self.write(to, change).await
    }

    /// Fails where nobody asks for it any more.
    pub(crate) async fn check_wanted(&mut self) -> Result<()> {
        self.reload().await
    }

    /// Says how much is done, where it is one percent more than was said. Fails where nobody asks for it any more.
    pub(crate) async fn progress(&mut self, to: K::Phase, progress: Progress) -> Result<()> {
        let mut status = self.status();
        if K::common(&mut status).progress.is_some_and(|said| said.percent == progress.percent) {
            return self.check_wanted().await;
        }
        self.write(to, |status| *K::common(status).progress = Some(progress)).await
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
        self.write(K::COMPLETED, |status| {
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

    /// Says why it does not go on. A failure to say so is logged: the run has failed already.
    pub(crate) async fn failed(&mut self, starting: K::Phase, reason: Reason, message: &str) {
        let (now, generation) = (now(), self.generation());
        let phase = self.live.status().and_then(K::phase).unwrap_or(starting);
        let written = self
            .write(phase, |status| {
                let common = K::common(status);
                *common.observed_generation = Some(generation);
                common.conditions.set(READY, false, reason.as_str(), message, generation, &now);
                match reason.retry() {
                    Retry::Never => {
                        common.conditions.set(STALLED, true, reason.as_str(), message, generation, &now);
                    }
                    Retry::Later => common.conditions.retain(|condition| condition.type_ != STALLED),
                }
            })
            .await;
        if let Err(error) = written {
            warn!(error = error.chain(), "cannot write the condition");
        }
    }

    /// Changes the status by compare-and-swap. `change` may run more than once.
    async fn write(&mut self, to: K::Phase, change: impl Fn(&mut K::Status)) -> Result<()> {
        for _ in 0..CONFLICT_TRIES {
            let mut status = self.status();
            let from = K::phase(&status);
            if !K::may_follow(from, to) {
                return Err(superseded(format!(
                    "phase {to:?} cannot follow {from:?}: another run has worked on {} {}",
                    K::kind(&()),
                    self.name()
                )));
            }
            *K::common(&mut status).phase = Some(to);
            change(&mut status);
            match self.swap_status(&status).await {
                Ok(live) => {
                    if from != Some(to) {
                        info!(kind = %K::kind(&()), name = self.name(), phase = ?to, "wrote the phase");
                    }
                    self.live = live;
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_conflict() => {
                    debug!("somebody else wrote the object: reading it again");
                    self.reload().await?;
                }
                Err(kube::Error::Api(status)) if status.is_not_found() => return Err(self.gone()),
                Err(error) => {
                    return Err(kubernetes(&cannot::<K>("write the status of", self.name()), error));
                }
            }
        }
        Err(contended())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one module that writes these statuses")]
    async fn swap_status(&self, status: &K::Status) -> kube::Result<K> {
        let mut fields = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        let before = serde_json::to_value(self.live.status()).map_err(kube::Error::SerdeError)?;
        name_what_is_removed(&before, &mut fields);
        let patch = json!({
            "metadata": {"uid": self.live.meta().uid, "resourceVersion": self.live.meta().resource_version},
            "status": fields,
        });
        let parameters =
            PatchParams { field_manager: Some(DRIVER_FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.api.patch_status(self.name(), &parameters, &Patch::Merge(&patch)).await
    }

    async fn reload(&mut self) -> Result<()> {
        let found = self.api.get_opt(self.name()).await;
        let found = found.map_err(|error| kubernetes(&cannot::<K>("read", self.name()), error))?;
        match found.filter(|live| is_wanted(live, Some(self.uid()), self.deleted)) {
            Some(live) => {
                self.live = live;
                Ok(())
            }
            None => Err(self.gone()),
        }
    }

    fn gone(&self) -> Failure {
        superseded(format!("{} {} is gone: nobody asks for it any more", K::kind(&()), self.name()))
    }

    fn status(&self) -> K::Status {
        self.live.status().cloned().unwrap_or_default()
    }

    fn generation(&self) -> i64 {
        self.live.meta().generation.unwrap_or_default()
    }
}

/// Whether a run is for it: it is the one that the run was launched for, and somebody deletes it or not.
fn is_wanted<K: Resource>(live: &K, uid: Option<&str>, deleted: bool) -> bool {
    live.meta().deletion_timestamp.is_some() == deleted
        && (uid.is_none() || live.meta().uid.as_deref() == uid)
}

/// In a merge patch, what is to be removed must be named.
fn name_what_is_removed(before: &Value, after: &mut Value) {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) else { return };
    for (name, value) in before {
        name_what_is_removed(value, after.entry(name.clone()).or_insert(Value::Null));
    }
}

fn contended() -> Failure {
    Failure::new(Reason::Internal, "others keep writing the object; trying again later")
}

fn superseded(message: String) -> Failure {
    Failure::new(Reason::Superseded, message)
}

fn cannot<K: Resource<DynamicType = ()>>(what: &str, name: &str) -> String {
    format!("cannot {what} {} {name}", K::kind(&()))
}

fn now() -> Time {
    Time(Timestamp::now())
}

/// In whole seconds, as people write it: `1m 12s`.
fn duration(from: Timestamp, to: Timestamp) -> String {
    let rounded = SpanRound::new().largest(Unit::Hour).smallest(Unit::Second);
    let span = to.since(from).and_then(|span| span.round(rounded));
    span.map(|span| format!("{span:#}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_loses_what_it_does_not_say_any_more() {
        let mut after = json!({"location": {"bucket": "b"}, "phase": "Starting"});
        let before = json!({"location": {"bucket": "a", "endpoint": "e"}, "conditions": [1]});
        name_what_is_removed(&before, &mut after);
        let expected = json!({
            "location": {"bucket": "b", "endpoint": null}, "phase": "Starting", "conditions": null,
        });
        assert_eq!(after, expected);
    }

    #[test]
    fn a_duration_reads_as_people_write_it() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let from = at("2026-11-21T10:00:00.2Z");
        assert_eq!(duration(from, at("2026-11-21T10:01:12.9Z")), "1m 13s");
        assert_eq!(duration(from, at("2026-11-22T12:00:00.2Z")), "26h");
    }
}
