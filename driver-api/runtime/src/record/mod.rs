//! The record of a run in Kubernetes: the only writer of statuses and finalizers.
//!
//! Every write names the uid that the Job was launched for and the resource version that was read. If somebody
//! else wrote in between, the object is read and judged again before the next try.

mod announced;
pub(crate) mod backup;
pub(crate) mod database;
pub(crate) mod finalizer;
pub(crate) mod objects;
pub(crate) mod request;
pub(crate) mod restore;

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use self::objects::Objects;
use crate::failure::{Failure, Result, kubernetes};
use api::{Conditions, READY, Reason, Retry, STALLED};

/// How often a write is tried when others write the same object, or answers are lost.
const TRIES: usize = 5;

/// A kind of whose objects a run keeps a record.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
    /// Its phase.
    type Phase: Copy + Debug + PartialEq;
    /// Its status.
    type Status: Clone + Default + Serialize;
    /// What a run goes by when it judges whether it may still write.
    type Due;

    /// Its status, if there is one.
    fn status(&self) -> Option<&Self::Status>;
    /// Where the phase is in a status.
    fn phase(status: &mut Self::Status) -> &mut Option<Self::Phase>;
    /// Whether phase `to` may follow phase `from`.
    fn may_follow(from: Option<Self::Phase>, to: Self::Phase) -> bool;
    /// Fails if the run may not act on the object as it is now.
    fn check(&self, due: &Self::Due) -> Result<()>;
}

/// The live object, and what this run may write on it.
pub(crate) struct Record<K: Kind> {
    objects: Objects<K>,
    live: K,
    due: K::Due,
}

/// Whether there is something to write.
enum Wish {
    Write,
    Leave,
}

impl<K: Kind> Record<K> {
    /// The object `live`, as the API server gave it.
    pub(crate) fn of(client: Client, namespace: &str, live: K, due: K::Due) -> Self {
        Self { objects: Objects::new(client, namespace), live, due }
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

    /// Its status; the default if there is none yet.
    pub(crate) fn status(&self) -> K::Status {
        self.live.status().cloned().unwrap_or_default()
    }

    /// The phase in its status.
    fn phase(&self) -> Option<K::Phase> {
        *K::phase(&mut self.status())
    }

    fn generation(&self) -> i64 {
        self.live.meta().generation.unwrap_or_default()
    }

    /// Says that the work has got to phase `to`, and what else `change` says. It may run more than once.
    pub(crate) async fn advance(&mut self, to: K::Phase, change: impl Fn(&mut K::Status)) -> Result<()> {
        let object = self.to_string();
        self.swap(|_, status| {
            step::<K>(status, to, &object)?;
            change(status);
            Ok(Wish::Write)
        })
        .await
    }

    /// Changes the status by compare-and-swap. `change` is given the live object and its status; it may run more than
    /// once, and refuse.
    ///
    /// A write whose answer is lost may have taken effect. What the object says then decides: work that is done is
    /// never called failed because nobody heard the answer.
    async fn swap(&mut self, change: impl Fn(&K, &mut K::Status) -> Result<Wish>) -> Result<()> {
        for _ in 0..TRIES {
            let from = self.phase();
            let mut status = self.status();
            match change(&self.live, &mut status)? {
                Wish::Write => {}
                Wish::Leave => return Ok(()),
            }
            match self.swap_status(&status).await {
                Ok(live) => self.live = live,
                Err(error) if is_conflict(&error) => {
                    debug!("somebody else wrote the object: reading it again");
                    self.reload().await?;
                    continue;
                }
                Err(error) if is_unsure(&error) => {
                    warn!(%error, "nobody answers whether the status is written: reading it again");
                    let said = kubernetes(&format!("cannot write the status of {self}"), error);
                    self.read_again().await.map_err(|_| said)?;
                    if !same(&self.status(), &status) {
                        self.live.check(&self.due)?;
                        continue;
                    }
                }
                Err(kube::Error::Api(status)) if status.is_not_found() => return Err(self.gone()),
                Err(error) => return Err(kubernetes(&format!("cannot write the status of {self}"), error)),
            }
            if self.phase() != from {
                info!(kind = %K::kind(&()), name = self.name(), phase = ?self.phase(), "wrote the phase");
            }
            return Ok(());
        }
        Err(self.contended())
    }

    async fn swap_status(&self, status: &K::Status) -> kube::Result<K> {
        let mut fields = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        let before = serde_json::to_value(self.live.status()).map_err(kube::Error::SerdeError)?;
        name_what_is_removed(&before, &mut fields);
        let patch = json!({
            "metadata": {"uid": self.live.meta().uid, "resourceVersion": self.live.meta().resource_version},
            "status": fields,
        });
        self.objects.patch_status(self.name(), &patch).await
    }

    /// Reads the object again. Fails if it is gone, or the run may not act on it any more.
    async fn reload(&mut self) -> Result<()> {
        self.read_again().await?;
        self.live.check(&self.due)
    }

    /// Reads the object again. Fails if it is gone.
    async fn read_again(&mut self) -> Result<()> {
        let found = self.objects.get(self.name()).await;
        let found = found.map_err(|error| kubernetes(&format!("cannot read {self}"), error))?;
        self.live =
            found.filter(|live| live.meta().uid == self.live.meta().uid).ok_or_else(|| self.gone())?;
        Ok(())
    }

    fn gone(&self) -> Failure {
        superseded(format!("{self} is gone: nobody asks for it any more"))
    }

    fn contended(&self) -> Failure {
        Failure::new(Reason::Internal, format!("others keep writing {self}; trying again later"))
    }
}

impl<K: Kind> std::fmt::Display for Record<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", K::kind(&()), self.name())
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict())
}

/// Whether the request may have taken effect all the same.
fn is_unsure(error: &kube::Error) -> bool {
    // Without an answer, the connection broke, or the answer did not come in time or cannot be read.
    !matches!(error, kube::Error::Api(status) if status.code < 500)
}

fn same<S: Serialize>(one: &S, other: &S) -> bool {
    serde_json::to_value(one).is_ok_and(|one| serde_json::to_value(other).is_ok_and(|other| one == other))
}

/// Takes the status of `object` to phase `to`, if that may follow.
fn step<K: Kind>(status: &mut K::Status, to: K::Phase, object: &str) -> Result<()> {
    let phase = K::phase(status);
    if !K::may_follow(*phase, to) {
        return Err(superseded(format!(
            "phase {to:?} cannot follow {phase:?}: another run has worked on {object}"
        )));
    }
    *phase = Some(to);
    Ok(())
}

/// In a merge patch, what is to be removed must be named.
fn name_what_is_removed(before: &Value, after: &mut Value) {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) else { return };
    for (name, value) in before {
        name_what_is_removed(value, after.entry(name.clone()).or_insert(Value::Null));
    }
}

/// The conditions of what does not go on.
fn set_failed(conditions: &mut Vec<Condition>, reason: Reason, message: &str, generation: i64, now: &Time) {
    conditions.set(READY, false, reason.as_str(), message, generation, now);
    // What was overtaken goes on by another run, and nothing has to change before.
    if reason.retry() == Retry::Never && reason != Reason::Superseded {
        conditions.set(STALLED, true, reason.as_str(), message, generation, now);
    } else {
        conditions.retain(|condition| condition.type_ != STALLED);
    }
}

fn superseded(message: String) -> Failure {
    Failure::new(Reason::Superseded, message)
}

fn now() -> Time {
    Time(Timestamp::now())
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
}
