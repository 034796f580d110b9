//! What people are told about an object, and the sentences that are the same for every kind. Pure.

use crate::attempts::{Failed, JobFact, JobProgress};
use crate::decision::Stuck;
use crate::tenant_chart::TenantChart;

/// What people are to be told about an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    /// Whether something is wrong.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What happened, and what to do next.
    pub note: String,
}

impl Notice {
    /// Something is wrong.
    pub fn warning(reason: &'static str, note: String) -> Self {
        Self { warning: true, reason, note }
    }

    /// Something happened.
    pub fn normal(reason: &'static str, note: String) -> Self {
        Self { warning: false, reason, note }
    }
}

/// What to say about a Job in `namespace` that does not start.
pub fn stuck_job(stuck: &Stuck, namespace: &str, tenant_chart: &TenantChart) -> Option<Notice> {
    Some(match stuck {
        Stuck::Contradiction | Stuck::UnknownDriver => return None,
        Stuck::NoPod { job } => Notice::warning(
            "JobHasNoPod",
            format!(
                "Job {job} has no pod: a quota or an admission policy refuses it, or the service account of the driver is missing in namespace {namespace}; `kubectl -n {namespace} describe job {job}` says which. To add the service account: `{}`, or add {namespace} to the value tenantNamespaces of chart db-operator",
                tenant_chart.command(namespace)
            ),
        ),
        Stuck::NotRunning { job, image } => Notice::warning(
            "JobNotRunning",
            format!(
                "the pod of Job {job} does not run: image {image} cannot be pulled, or no node has room for it; `kubectl -n {namespace} describe pod -l job-name={job}` says which"
            ),
        ),
    })
}

/// What to say about the Job of that name in `namespace`, which is waited for and suspended. None of ours is when our policy
/// lets it be made. One in the operator's own namespace is no tenant's affair.
pub fn suspended_job(name: &str, jobs: &[JobFact], namespace: &str) -> Option<Notice> {
    let suspended = jobs.iter().find(|job| *job.name == *name)?;
    if suspended.operation.row().in_operator_namespace {
        return None;
    }
    Some(Notice::warning(
        "JobSuspended",
        format!(
            "somebody has suspended Job {name}, and nothing is done until it goes on: `kubectl -n {namespace} patch job {name} --type merge -p '{{\"spec\":{{\"suspend\":false}}}}'` resumes it, and if it is deleted another one is made"
        ),
    ))
}

/// What to say about the Job that ended last, if it did not end by itself. `driver` is the name of its Driver, and
/// `field` what of its pod template says how much it gets.
pub fn dead_job(jobs: &[JobFact], driver: &str, moves_data: impl Fn(&JobFact) -> bool) -> Option<Notice> {
    let ended = |job: &&JobFact| match job.progress {
        JobProgress::Failed { age, .. } | JobProgress::Complete { age } => Some(age),
        JobProgress::Active { .. } | JobProgress::Suspended => None,
    };
    let last = jobs.iter().filter(|job| ended(job).is_some()).min_by_key(ended)?;
    let JobProgress::Failed { why, .. } = last.progress else { return None };
    let (name, moves_data) = (&last.name, moves_data(last));
    let resources = if moves_data { "backupResources" } else { "resources" };
    let (reason, note) = match why {
        Failed::Error | Failed::Permanent => return None,
        Failed::Killed => (
            "JobKilled",
            format!(
                "Job {name} was killed (exit code 137), as is one that takes more memory than its limit: raise limits.memory in spec.podTemplate.{resources} of Driver {driver}"
            ),
        ),
        Failed::Disrupted => (
            "JobEvicted",
            format!(
                "the pod of Job {name} was evicted, preempted or lost with its node, and it is tried again; if that comes often, raise requests.memory in spec.podTemplate.{resources} of Driver {driver}"
            ),
        ),
        Failed::Deadline if moves_data => (
            "JobDeadlineExceeded",
            format!(
                "Job {name} was not done within a day: give it more CPU in spec.podTemplate.{resources} of Driver {driver}"
            ),
        ),
        Failed::Deadline => (
            "JobDeadlineExceeded",
            format!(
                "Job {name} was not done in the time that it has, the wait for its image included: raise spec.activeDeadlineSeconds of Driver {driver}"
            ),
        ),
    };
    Some(Notice::warning(reason, note))
}
