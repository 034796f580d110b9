//! One POST.

use std::time::Duration;

use api::UID_LABEL;
use k8s_openapi::api::batch::v1::Job;
use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client};
use tokio::time::timeout;

use crate::error::LaunchError;
use crate::seen::job::KnownJob;

/// How long a launch may take. The client repeats what the API server puts off, for minutes if it is let.
pub const LAUNCH_TIMEOUT: Duration = Duration::from_secs(10);

/// By this the admission policy's answer names the value of the chart that is missing.
const ALLOWED_DRIVERS: &str = "allowedDrivers";

/// Creates `job`, or finds that it exists already.
///
/// The name is a function of what the Job is for, so an existing Job of ours *is* the one: we, or another
/// operator, have created it and not seen it yet.
pub async fn launch(client: Client, job: &Job) -> Result<KnownJob, LaunchError> {
    let name = job.metadata.name.clone().unwrap_or_default();
    match timeout(LAUNCH_TIMEOUT, create(client, job, &name)).await {
        Ok(result) => result,
        Err(_) => Err(LaunchError::Timeout { name }),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one module that creates Jobs")]
async fn create(client: Client, job: &Job, name: &str) -> Result<KnownJob, LaunchError> {
    let namespace = job.metadata.namespace.clone().unwrap_or_default();
    let cannot = |source| LaunchError::Create { name: name.to_owned(), source: Box::new(source) };
    let taken = || LaunchError::NameTaken { name: name.to_owned(), namespace: namespace.clone() };
    let api: Api<Job> = Api::namespaced(client, &namespace);
    match api.create(&PostParams::default(), job).await {
        // If not, admission has changed what we find it by.
        Ok(created) => KnownJob::try_from(&created).map_err(|_| taken()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let existing = api.get(name).await.map_err(cannot)?;
            let existing = KnownJob::try_from(&existing).map_err(|_| taken())?;
            let uid = job.metadata.labels.as_ref().and_then(|labels| labels.get(UID_LABEL));
            if uid.is_some_and(|uid| **uid == *existing.uid) { Ok(existing) } else { Err(taken()) }
        }
        Err(kube::Error::Api(status)) => {
            Err(refusal(&status, name, &namespace).unwrap_or_else(|| cannot(kube::Error::Api(status))))
        }
        Err(source) => Err(cannot(source)),
    }
}

/// What the API server's answer means, if it is one to a Job that it could have taken.
fn refusal(status: &Status, name: &str, namespace: &str) -> Option<LaunchError> {
    let namespace = namespace.to_owned();
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let is_final = (400..500).contains(&status.code) && status.code != 429;
    if status.code == 403 && causes.iter().any(|cause| cause.reason == "NamespaceTerminating") {
        Some(LaunchError::NamespaceTerminating { namespace })
    } else if status.code == 403 && status.message.contains("cannot create resource") {
        Some(LaunchError::NotServed { namespace })
    } else if is_final && status.message.contains(ALLOWED_DRIVERS) {
        Some(LaunchError::DriverNotAllowed { message: status.message.clone() })
    } else if is_final {
        Some(LaunchError::Refused { name: name.to_owned(), message: status.message.clone() })
    } else {
        None
    }
}
