//! Decision → Job. Pure.

use std::collections::BTreeMap;

use api::{MANAGED_BY, MANAGED_BY_LABEL, Operation, UID_LABEL};
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::parts::{Settings, StoreKeys, Worker};
use super::pod;
use crate::decision::Launch;
use crate::job_name::{JobName, Series};
use crate::labels;
use crate::seen::job::{KILLED, PERMANENT};
use crate::subject::Subject;

/// How long a finished Job stays, for whoever wants its log, in seconds.
const TIME_TO_LIVE: i32 = 3600;

/// How long a Job may take that moves rows, or deletes as many objects as there are, in seconds.
const LONG: i64 = 86_400;

/// How long a Job may take that does neither, if its Driver says nothing, in seconds.
const SHORT: i64 = 300;

/// The Job that `launch` asks for. `keys` are the secrets of the object store that it moves data to or from.
pub fn build(
    object: Subject<'_>,
    worker: Worker<'_>,
    launch: &Launch,
    keys: &StoreKeys,
    settings: &Settings,
) -> Job {
    let operation = launch.operation;
    let generation = object.generation();
    let series = match &launch.request {
        Some(request) => Series::of_request(&request.uid),
        None => Series::Generation(generation),
    };
    let name = JobName { operation, series, attempt: launch.attempt }.with_uid(object.uid());
    let namespace = if operation.row().in_operator_namespace {
        settings.namespace.clone()
    } else {
        object.namespace().to_string()
    };
    let labels = pod_labels(object, worker, operation);
    let mut job_labels = labels.clone();
    job_labels.insert(labels::GENERATION.to_owned(), generation.to_string());
    job_labels.insert(labels::ATTEMPT.to_owned(), launch.attempt.to_string());
    job_labels.insert(labels::PROTOCOL.to_owned(), labels::PROTOCOL_VERSION.to_owned());
    if let Some(request) = &launch.request {
        job_labels.insert(labels::REQUEST.to_owned(), request.uid.to_string());
    }
    let template = pod::template(worker);
    let moves_data = object.moves_data(operation);
    Job {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace),
            labels: Some(job_labels),
            annotations: pod::some(annotations(object, worker, launch)),
            // No owner reference: a deletion in the foreground would end the very Job that it waits for.
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            parallelism: Some(1),
            completions: Some(1),
            // What moves data is repeated by us alone: it is expensive, and holds the database meanwhile.
            backoff_limit: Some(if moves_data { 0 } else { 3 }),
            pod_replacement_policy: Some("Failed".to_owned()),
            pod_failure_policy: Some(pod_failure_policy()),
            ttl_seconds_after_finished: Some(TIME_TO_LIVE),
            active_deadline_seconds: Some(deadline(worker, operation, moves_data)),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: pod::some(template.annotations),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::spec(object, worker, launch, keys, &name, settings)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// Labels of Job and pod. Those that we find our Jobs by are not the platform team's to set.
fn pod_labels(object: Subject<'_>, worker: Worker<'_>, operation: Operation) -> BTreeMap<String, String> {
    let mut labels = pod::template(worker).labels;
    let component = match worker {
        Worker::Driver(_) => object.driver(),
        Worker::Release => Operation::Release.as_str(),
    };
    let database = labels::label_value(object.database());
    labels.extend(
        [
            (MANAGED_BY_LABEL, MANAGED_BY),
            (labels::NAME, labels::NAME_VALUE),
            (labels::COMPONENT, component),
            (labels::DATABASE, &*database),
            (labels::NAMESPACE, object.namespace()),
            (UID_LABEL, object.uid()),
            (labels::OPERATION, operation.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    labels
}

/// What the next operator must know of why it was launched.
fn annotations(object: Subject<'_>, worker: Worker<'_>, launch: &Launch) -> BTreeMap<String, String> {
    let (retry, reconcile) = match &launch.request {
        Some(request) => (request.retry, None),
        None => object.wishes(),
    };
    let driver = match worker {
        Worker::Driver(driver) => Some(driver.state.to_string()),
        Worker::Release => None,
    };
    let recorded = [
        (labels::RETRY_WISH, retry.map(|wish| wish.to_string())),
        (labels::RECONCILE_WISH, reconcile.map(|wish| wish.to_string())),
        (labels::SOURCE, launch.source.as_ref().map(ToString::to_string)),
        (labels::DRIVER, driver),
    ];
    recorded.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A Job fails at once, so that we see why, when its pod was evicted, said that repeating cannot help, or was killed;
/// all else it repeats by itself.
fn pod_failure_policy() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".to_owned(),
                    status: "True".to_owned(),
                }]),
                on_exit_codes: None,
            },
            PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    container_name: Some(pod::CONTAINER.to_owned()),
                    operator: "In".to_owned(),
                    values: vec![PERMANENT, KILLED],
                }),
                on_pod_conditions: None,
            },
        ],
    }
}

/// A deadline also counts the wait for image and node, and ends a dump that runs.
fn deadline(worker: Worker<'_>, operation: Operation, moves_data: bool) -> i64 {
    match worker {
        _ if moves_data || operation == Operation::DeleteBackup => LONG,
        Worker::Driver(driver) => driver.spec.active_deadline_seconds.unwrap_or(SHORT),
        Worker::Release => SHORT,
    }
}
