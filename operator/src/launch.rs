//! One POST.

use std::time::Duration;

use api::UID_LABEL;
use k8s_openapi::api::batch::v1::Job;
use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client};
use tokio::time::timeout;

use crate::error::LaunchError;
use crate::job::build::OPERATION_LABEL;

/// How long a launch may take. The client repeats what the API server puts off, for minutes if it is let.
pub const LAUNCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates `job`, or finds that it exists already.
///
/// The name is a function of what the Job is for, so an existing Job of ours *is* the one: we, or another
/// operator, have created it and not seen it yet.
pub async fn launch(client: Client, job: &Job) -> Result<Job, LaunchError> {
    let name = job.metadata.name.clone().unwrap_or_default();
    match timeout(LAUNCH_TIMEOUT, create(client, job, &name)).await {
        Ok(result) => result,
        Err(_) => Err(LaunchError::Timeout { name }),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one module that creates Jobs")]
async fn create(client: Client, job: &Job, name: &str) -> Result<Job, LaunchError> {
    let namespace = job.metadata.namespace.clone().unwrap_or_default();
    let api: Api<Job> = Api::namespaced(client, &namespace);
    match api.create(&PostParams::default(), job).await {
        Ok(created) => Ok(created),
        Err(kube::Error::Api(status)) if status.is_already_exists() => match api.get(name).await {
            Ok(existing) if is_same(&existing, job) => Ok(existing),
            Ok(_) => Err(LaunchError::NameTaken { name: name.to_owned(), namespace }),
            Err(source) => Err(LaunchError::Create { name: name.to_owned(), source: Box::new(source) }),
        },
        Err(kube::Error::Api(status)) if is_terminating(&status) => {
            Err(LaunchError::NamespaceTerminating { namespace })
        }
        Err(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 429 => {
            Err(LaunchError::Refused { name: name.to_owned(), message: status.message.clone() })
        }
        Err(source) => Err(LaunchError::Create { name: name.to_owned(), source: Box::new(source) }),
    }
}

/// Whether the namespace of `job` takes none any more because it is being deleted.
///
/// A dry run goes through the same admission as a launch, and creates nothing.
pub async fn is_refused_for_good(client: Client, job: &Job) -> bool {
    match timeout(LAUNCH_TIMEOUT, dry_run(client, job)).await {
        Ok(Err(kube::Error::Api(status))) => is_terminating(&status),
        Ok(Ok(_) | Err(_)) | Err(_) => false,
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one module that creates Jobs")]
async fn dry_run(client: Client, job: &Job) -> kube::Result<Job> {
    let api: Api<Job> = Api::namespaced(client, job.metadata.namespace.as_deref().unwrap_or_default());
    api.create(&PostParams { dry_run: true, ..PostParams::default() }, job).await
}

fn is_same(existing: &Job, job: &Job) -> bool {
    let label = |job: &Job, name: &str| job.metadata.labels.as_ref()?.get(name).cloned();
    [UID_LABEL, OPERATION_LABEL].iter().all(|name| {
        let wanted = label(job, name);
        wanted.is_some() && label(existing, name) == wanted
    })
}

/// Whether the API server refused because the namespace is being deleted.
fn is_terminating(status: &Status) -> bool {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    status.code == 403 && causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}
