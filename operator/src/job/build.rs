//! Decision → Job. Pure, and the name says all: what is launched twice is the same Job.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use api::names::short_hash;
use api::{
    Database, DriverRegistration, MANAGED_BY, MANAGED_BY_LABEL, RECONCILE_ANNOTATION, RETRY_ANNOTATION,
    S3Credentials, S3Target, TlsCaSource, UID_LABEL, ValueSource,
};
use api::{Operation, Row};
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::database::decide::Launch;
use crate::job::pod;
use crate::subject::Guarded;

/// Label: what the Job does.
pub const OPERATION_LABEL: &str = "db.isotoma.com/operation";
/// Label: the generation that the Job was built from.
pub const GENERATION_LABEL: &str = "db.isotoma.com/generation";
/// Label: counts the Jobs of one operation on one generation.
pub const ATTEMPT_LABEL: &str = "db.isotoma.com/attempt";
/// Label: the uid of the Backup or Restore that the Job works on.
pub const REQUEST_LABEL: &str = "db.isotoma.com/request";
/// Label: the version of what operator and Job agree on, for the time when an operator finds older Jobs.
pub const PROTOCOL_LABEL: &str = "db.isotoma.com/protocol";
/// The present value of [`PROTOCOL_LABEL`].
pub const PROTOCOL: &str = "1";
/// Label: what kind of thing it is, [`NAME`].
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
/// The value of [`NAME_LABEL`].
pub const NAME: &str = "db-operator-driver";
/// Label: the name of the `Driver`.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Annotation: name of the Database, which may be too long for a label.
pub const DATABASE_ANNOTATION: &str = "db.isotoma.com/database";
/// Annotation: namespace of the Database.
pub const NAMESPACE_ANNOTATION: &str = "db.isotoma.com/namespace";
/// Annotation: the server, as [`server_key`] spells it.
pub const SERVER_ANNOTATION: &str = "db.isotoma.com/server";
/// Annotation: the uid of the Backup that is loaded, which was complete when the Job was launched.
pub const SOURCE_ANNOTATION: &str = "db.isotoma.com/source";

/// The exit code by which a driver says that repeating cannot help.
const PERMANENT: i32 = 42;

/// What every Job of this operator has in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace, where `release` runs.
    pub namespace: String,
    /// Tells this cluster's databases from another's on the same server.
    pub cluster_id: String,
    /// Service account of `release`.
    pub release_service_account: String,
    /// The log format of the drivers.
    pub log_format: &'static str,
}

/// The secrets of the object store that a Job moves data to or from: where they are, not what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreKeys {
    /// The access key.
    pub credentials: Option<S3Credentials>,
    /// The authorities that sign the store's certificate.
    pub ca: Option<TlsCaSource>,
    /// The private key of a backup that is encrypted.
    pub decryption_key: Option<ValueSource>,
}

impl StoreKeys {
    /// What `target` needs, which a run writes to or, with `decryption_key`, reads from.
    pub fn of(target: Option<S3Target>, decryption_key: Option<ValueSource>) -> Self {
        let (credentials, ca) = target.map(|target| (target.credentials, target.ca)).unwrap_or_default();
        Self { credentials, ca, decryption_key }
    }
}

/// What is in a Job's name, besides the Database's uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobName {
    /// What it does.
    pub operation: Operation,
    /// What its attempts are counted on.
    pub subject: Subject,
    /// Counts the Jobs of one operation on one subject.
    pub attempt: u32,
}

/// What the attempts of an operation are counted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A generation of the Database, or of the Backup that is let go.
    Generation(i64),
    /// A Backup or Restore, by ten digits of the hash of its uid.
    Request(String),
}

impl Subject {
    /// The Backup or Restore with that uid.
    pub fn request(uid: &str) -> Self {
        Self::Request(short_hash(uid, 10))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation(generation) => write!(f, "{generation}"),
            Self::Request(hash) => f.write_str(hash),
        }
    }
}

impl JobName {
    /// The name: at most 57 characters up to generation 9,999,999,999 and attempt 999,999, so that a pod's suffix fits.
    pub fn with_uid(&self, uid: &str) -> String {
        let Self { operation, subject, attempt } = self;
        format!("dbo-{}-{}-{subject}-{attempt}", operation.as_str(), short_hash(uid, 10))
    }
}

/// It is not the name of a Job of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct NotOurs;

impl FromStr for JobName {
    type Err = NotOurs;

    fn from_str(name: &str) -> Result<Self, NotOurs> {
        // The operation may have dashes, what comes after it has none.
        let mut parts = name.strip_prefix("dbo-").ok_or(NotOurs)?.rsplitn(4, '-');
        let mut part = || parts.next().ok_or(NotOurs);
        let (attempt, subject, _hash, operation) = (part()?, part()?, part()?, part()?);
        let is_named = |row: &Row| row.name == operation || row.formerly == Some(operation);
        let operation = Operation::ALL.into_iter().find(|known| is_named(&known.row())).ok_or(NotOurs)?;
        Ok(Self {
            operation,
            subject: match operation.row().subject {
                api::Subject::Backup | api::Subject::Restore => Subject::Request(subject.to_owned()),
                api::Subject::Database | api::Subject::DeletedBackup | api::Subject::Deleted => {
                    Subject::Generation(subject.parse().map_err(|_| NotOurs)?)
                }
            },
            attempt: attempt.parse().map_err(|_| NotOurs)?,
        })
    }
}

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of a Job of ours")
    }
}

/// The server of a Database, as caps count it: the host in lower case. Not the port, because only the driver
/// knows which one is meant where none is given.
pub fn server_key(database: &Database) -> String {
    database.spec.connect.host.to_ascii_lowercase()
}

/// The Job that `launch` asks for. `keys` are the secrets of the object store that it moves data to or from.
pub fn build<'a>(
    object: impl Into<Guarded<'a>>,
    driver: &DriverRegistration,
    launch: &Launch,
    keys: &StoreKeys,
    settings: &Settings,
) -> Job {
    let object = object.into();
    let operation = launch.operation;
    let generation = object.generation();
    let subject = match &launch.request {
        Some(request) => Subject::request(&request.uid),
        None => Subject::Generation(generation),
    };
    let name = JobName { operation, subject, attempt: launch.attempt }.with_uid(object.uid());
    let namespace = match operation {
        Operation::Release => settings.namespace.clone(),
        Operation::Create
        | Operation::Backup
        | Operation::BackupBeforeDelete
        | Operation::Restore
        | Operation::Rotate
        | Operation::Delete
        | Operation::DeleteBackup => object.namespace().to_owned(),
    };
    let labels = labels(object, driver, operation);
    let mut job_labels = labels.clone();
    job_labels.insert(GENERATION_LABEL.to_owned(), generation.to_string());
    job_labels.insert(ATTEMPT_LABEL.to_owned(), launch.attempt.to_string());
    job_labels.insert(PROTOCOL_LABEL.to_owned(), PROTOCOL.to_owned());
    if let Some(request) = &launch.request {
        job_labels.insert(REQUEST_LABEL.to_owned(), request.uid.clone());
    }
    let template = driver.spec.pod_template.clone().unwrap_or_default();
    Job {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace),
            labels: Some(job_labels),
            annotations: Some(annotations(object, launch)),
            // No owner reference: a deletion in the foreground would end the very Job that it waits for.
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            parallelism: Some(1),
            completions: Some(1),
            // What moves data is repeated by us alone: it is expensive, and holds the database meanwhile.
            backoff_limit: Some(if moves_data(object, operation) { 0 } else { 3 }),
            pod_replacement_policy: Some("Failed".to_owned()),
            pod_failure_policy: Some(pod_failure_policy()),
            ttl_seconds_after_finished: Some(3600),
            active_deadline_seconds: Some(active_deadline(object, operation, driver)),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: some(template.annotations.clone()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::spec(object, driver, launch, keys, &name, settings)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// A Job to ask with, by a dry run, whether the namespace of an object still takes one.
///
/// It is the `release`, in the wrong place: even if it were created, it would have no credentials, no service
/// account and no say.
pub fn probe(object: Guarded<'_>, driver: &DriverRegistration, settings: &Settings) -> Job {
    let mut job = build(object, driver, &Launch::RELEASE, &StoreKeys::default(), settings);
    job.metadata.namespace = Some(object.namespace().to_owned());
    job
}

/// Labels of Job and pod. Those that we find our Jobs by are not the platform team's to set.
fn labels(
    object: Guarded<'_>,
    driver: &DriverRegistration,
    operation: Operation,
) -> BTreeMap<String, String> {
    let mut labels =
        driver.spec.pod_template.as_ref().map(|template| template.labels.clone()).unwrap_or_default();
    labels.extend(
        [
            (MANAGED_BY_LABEL, MANAGED_BY),
            (NAME_LABEL, NAME),
            (COMPONENT_LABEL, object.driver()),
            (UID_LABEL, object.uid()),
            (OPERATION_LABEL, operation.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    labels
}

fn annotations(object: Guarded<'_>, launch: &Launch) -> BTreeMap<String, String> {
    let wish = |name: &str| object.annotation(name).map(str::to_owned);
    let (retry, reconcile) = match &launch.request {
        Some(request) => (request.retry.clone(), None),
        None => (wish(RETRY_ANNOTATION), wish(RECONCILE_ANNOTATION)),
    };
    let recorded = [
        (DATABASE_ANNOTATION, Some(object.database().to_owned())),
        (NAMESPACE_ANNOTATION, Some(object.namespace().to_owned())),
        (SERVER_ANNOTATION, Some(object.place().server)),
        (RETRY_ANNOTATION, retry),
        (RECONCILE_ANNOTATION, reconcile),
        (SOURCE_ANNOTATION, launch.source.clone()),
    ];
    recorded.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Being evicted is nobody's fault; exit code 42 ends the Job at once; all else counts.
fn pod_failure_policy() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "Ignore".to_owned(),
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
                    values: vec![PERMANENT],
                }),
                on_pod_conditions: None,
            },
        ],
    }
}

/// Whether an operation moves the data of a Database. A database that is made from a backup is loaded too.
pub(crate) fn moves_data(object: Guarded<'_>, operation: Operation) -> bool {
    match (operation, object) {
        (Operation::Backup | Operation::BackupBeforeDelete | Operation::Restore, _) => true,
        (Operation::Create, Guarded::Database(database)) => {
            let was_created = database.status.as_ref().is_some_and(|status| status.created_at.is_some());
            database.spec.restore_from.is_some() && !was_created
        }
        (
            Operation::Create
            | Operation::Rotate
            | Operation::Delete
            | Operation::DeleteBackup
            | Operation::Release,
            _,
        ) => false,
    }
}

/// A deadline also counts the wait for image and node, and ends a dump that runs: it is long where data moves, or
/// where as many objects are deleted as there are.
fn active_deadline(object: Guarded<'_>, operation: Operation, driver: &DriverRegistration) -> i64 {
    let long = moves_data(object, operation) || operation == Operation::DeleteBackup;
    if long { 86_400 } else { driver.spec.active_deadline_seconds.unwrap_or(300) }
}

/// Nothing in place of an empty map, as people write it.
pub(crate) fn some(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}
