//! A bare Job: that of a Database, but nobody's, and its container prints its help and exits.

use anyhow::{Context as _, Result};
use k8s_openapi::api::batch::v1::Job;
use kube::api::ObjectMeta;

/// A Job of the same shape as `job`, which is one that the operator has made. It has the same pod, down to what it takes
/// from Secrets, and no label: nobody but Kubernetes looks at it.
pub(crate) fn like(job: &Job, name: &str) -> Result<Job> {
    let mut spec = job.spec.clone().context("the Job has no spec")?;
    // The API server made the selector, and the labels that it selects by.
    spec.selector = None;
    spec.template.metadata = None;
    let pod = spec.template.spec.as_mut().context("the Job has no pod")?;
    let container = pod.containers.first_mut().context("the Job has no container")?;
    container.args = Some(vec!["--help".to_owned()]);
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    Ok(Job { metadata, spec: Some(spec), status: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_job_has_the_pod_of_a_databases_job_and_is_nobodys() {
        let file = include_str!("../../../../operator/tests/jobs/create.yaml");
        let job: Job = serde_saphyr::from_str(file).unwrap();
        let bare = like(&job, "bare").unwrap();
        let pod = |job: &Job| job.spec.clone().unwrap().template.spec.unwrap();
        let mut expected = pod(&job);
        assert!(expected.containers[0].env.is_some());
        expected.containers[0].args = Some(vec!["--help".to_owned()]);
        assert_eq!(pod(&bare), expected);
        assert_eq!(bare.metadata, ObjectMeta { name: Some("bare".to_owned()), ..ObjectMeta::default() });
        assert_eq!(bare.spec.unwrap().template.metadata, None);
    }
}
