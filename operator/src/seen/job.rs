//! A Job, as far as decisions read it. Four kilobytes in the API are a few hundred bytes here.

use std::sync::Arc;

use api::{Operation, UID_LABEL};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use super::metadata::{LONGEST_TEXT, Metadata, Uid, lenient_time};
use crate::attempts::{Failed, Pods, Wishes};
use crate::job_name::JobName;
use crate::labels;

/// The exit code by which a driver says that repeating cannot help.
pub const PERMANENT: i32 = 42;
/// The exit code of a container that was killed.
pub const KILLED: i32 = 137;

/// No series has more attempts: at the least wait between two of them that is a year.
const MOST_ATTEMPTS: u32 = 999_999;

/// A Job of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownJob {
    pub name: Arc<str>,
    pub namespace: Arc<str>,
    /// The uid of the object that it works on.
    pub uid: Uid,
    /// What its name says.
    pub named: JobName,
    /// The generation that it was built from.
    pub generation: i64,
    /// The uid of the Backup or Restore that it works on.
    pub request: Option<Uid>,
    /// What was wished for when it was launched.
    pub wishes: Wishes,
    /// The image of its container.
    pub image: Arc<str>,
    /// Which state of its Driver it was built from, if it says so.
    pub driver: Option<Box<str>>,
    /// How far it is.
    pub state: JobState,
}

/// How far a Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It has no terminal condition.
    Active(Pods),
    /// Somebody, such as Kueue, has suspended it.
    Suspended,
    /// It has failed for good.
    Failed {
        /// Why.
        why: Failed,
        /// When, by the clock of whoever wrote it.
        at: Option<Timestamp>,
    },
    /// Its pod has ended with exit code 0.
    Complete {
        /// When, by the clock of whoever wrote it.
        at: Option<Timestamp>,
    },
}

/// It has our labels, and is no Job that we could have made.
#[derive(Debug, thiserror::Error)]
#[error("it has our labels, and is no Job that we could have made")]
pub struct Forged;

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    suspend: Option<bool>,
    template: Template,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: PodSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    image: Arc<str>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    active: Option<i32>,
    ready: Option<i32>,
    failed: Option<i32>,
    succeeded: Option<i32>,
    terminating: Option<i32>,
    uncounted_terminated_pods: Option<Uncounted>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Uncounted {
    failed: Option<Vec<serde::de::IgnoredAny>>,
    succeeded: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
    #[serde(deserialize_with = "lenient_time")]
    last_transition_time: Option<Timestamp>,
}

/// A Job with our label, on its way into the world: ours, or somebody else's.
#[derive(Debug)]
pub struct SeenJob {
    /// Its own uid, by which the watch knows it.
    pub own_uid: Uid,
    /// What it is.
    pub job: Result<KnownJob, Forged>,
}

impl<'de> Deserialize<'de> for SeenJob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let own_uid = Arc::clone(&wire.metadata.uid);
        Ok(Self { own_uid, job: KnownJob::of(wire).ok_or(Forged) })
    }
}

impl TryFrom<&Job> for KnownJob {
    type Error = Forged;

    fn try_from(job: &Job) -> Result<Self, Forged> {
        let text = serde_json::to_string(job).map_err(|_| Forged)?;
        serde_json::from_str::<SeenJob>(&text).map_err(|_| Forged)?.job
    }
}

impl KnownJob {
    /// What it is, if we could have made it: its name says all that its labels say.
    fn of(wire: Wire) -> Option<Self> {
        let Wire { metadata, spec, status } = wire;
        let label = |name: &str| metadata.labels.get(name);
        let uid = label(UID_LABEL)?;
        let named = JobName::of(&metadata.name, uid)?;
        let operation: Operation = label(labels::OPERATION)?.parse().ok()?;
        let attempt: u32 = label(labels::ATTEMPT)?.parse().ok()?;
        if (named.operation, named.attempt) != (operation, attempt) || attempt > MOST_ATTEMPTS {
            return None;
        }
        let image = spec.template.spec.containers.into_iter().next().map(|container| container.image);
        if image.as_ref().is_some_and(|image| image.len() > LONGEST_TEXT) {
            return None;
        }
        Some(Self {
            uid: uid.into(),
            generation: label(labels::GENERATION)?.parse().ok()?,
            request: label(labels::REQUEST).map(Into::into),
            named,
            state: state(spec.suspend, &status.unwrap_or_default()),
            name: metadata.name,
            namespace: metadata.namespace,
            wishes: Wishes {
                retry: metadata.annotations.retry,
                reconcile: metadata.annotations.reconcile,
                source: metadata.annotations.source,
            },
            image: image.unwrap_or_default(),
            driver: metadata.annotations.driver,
        })
    }

    /// What it does.
    pub fn operation(&self) -> Operation {
        self.named.operation
    }

    /// Whether it has no terminal condition.
    pub fn is_active(&self) -> bool {
        match self.state {
            JobState::Active(_) | JobState::Suspended => true,
            JobState::Failed { .. } | JobState::Complete { .. } => false,
        }
    }
}

fn state(suspend: Option<bool>, status: &Status) -> JobState {
    // `FailureTarget` and `SuccessCriteriaMet` come earlier, while a pod may still be alive.
    let terminal = |kind: &str| {
        let conditions = status.conditions.iter().flatten();
        conditions.into_iter().find(|condition| condition.kind == kind && condition.status == "True")
    };
    if let Some(failed) = terminal("Failed") {
        return JobState::Failed { why: why(failed), at: failed.last_transition_time };
    }
    if let Some(complete) = terminal("Complete") {
        return JobState::Complete { at: complete.last_transition_time };
    }
    if suspend == Some(true) {
        return JobState::Suspended;
    }
    JobState::Active(pods(status))
}

/// Why a Job failed. Of its pods it says only what its failure policy looked at.
fn why(failed: &Condition) -> Failed {
    let says = |code: i32| failed.message.contains(&format!("exit code {code} "));
    match failed.reason.as_str() {
        "DeadlineExceeded" => Failed::Deadline,
        "PodFailurePolicy" if says(PERMANENT) => Failed::Permanent,
        "PodFailurePolicy" if says(KILLED) => Failed::Killed,
        "PodFailurePolicy" => Failed::Disrupted,
        _ => Failed::Error,
    }
}

fn pods(status: &Status) -> Pods {
    let some = |count: Option<i32>| count.unwrap_or(0) > 0;
    let some_of = |pods: &Option<Vec<_>>| pods.as_ref().is_some_and(|pods| !pods.is_empty());
    let uncounted = status
        .uncounted_terminated_pods
        .as_ref()
        .is_some_and(|pods| some_of(&pods.failed) || some_of(&pods.succeeded));
    let ended = some(status.failed) || some(status.succeeded) || some(status.terminating) || uncounted;
    if ended || some(status.ready) {
        Pods::Ran
    } else if some(status.active) {
        Pods::Starting
    } else {
        Pods::None
    }
}

#[cfg(test)]
mod tests;
