use serde_json::{Value, json};

use super::*;
use crate::seen::fixtures::job;

fn with(status: &Value) -> KnownJob {
    job("u-1", Operation::Create, 1, &json!({"status": status}))
}

#[test]
fn only_a_terminal_condition_ends_a_job() {
    let failing = json!({"conditions": [{"type": "FailureTarget", "status": "True"}], "failed": 1});
    assert!(with(&failing).is_active());
    let at = |text: &str| Some(text.parse().unwrap());
    let failed = json!({"conditions": [
        {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m",
         "lastTransitionTime": "2026-01-01T00:01:00Z"},
    ]});
    let expected = JobState::Failed { why: Failed::Error, at: at("2026-01-01T00:01:00Z") };
    assert_eq!(with(&failed).state, expected);
    let complete = json!({"conditions": [
        {"type": "SuccessCriteriaMet", "status": "True"},
        {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"},
    ]});
    assert_eq!(with(&complete).state, JobState::Complete { at: at("2026-01-01T00:00:05Z") });
}

/// The messages are those of the Job controller of Kubernetes 1.36.
#[test]
fn why_a_job_failed_is_told_apart() {
    let container = "Container driver for pod shop/dbo-x failed with exit code";
    let policy = "PodFailurePolicy";
    for (reason, message, expected) in [
        (policy, format!("{container} 42 matching FailJob rule at index 1"), Failed::Permanent),
        (policy, format!("{container} 137 matching FailJob rule at index 1"), Failed::Killed),
        (
            policy,
            "Pod shop/dbo-x has condition DisruptionTarget matching FailJob rule at index 0".to_owned(),
            Failed::Disrupted,
        ),
        ("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned(), Failed::Error),
        ("DeadlineExceeded", "Job was active longer than specified deadline".to_owned(), Failed::Deadline),
    ] {
        let status = json!({"conditions": [
            {"type": "Failed", "status": "True", "reason": reason, "message": message},
        ]});
        let JobState::Failed { why, .. } = with(&status).state else { panic!("{reason} is not failed") };
        assert_eq!(why, expected, "{reason}: {message}");
    }
}

#[test]
fn a_pod_that_ran_once_is_remembered_between_two_pods() {
    let pods = |status: Value| {
        let JobState::Active(pods) = with(&status).state else { panic!("it is not active") };
        pods
    };
    assert_eq!(pods(json!({})), Pods::None);
    assert_eq!(pods(json!({"active": 0, "uncountedTerminatedPods": {}})), Pods::None);
    assert_eq!(pods(json!({"active": 1, "ready": 0})), Pods::Starting);
    assert_eq!(pods(json!({"active": 1, "ready": 1})), Pods::Ran);
    assert_eq!(pods(json!({"active": 1, "ready": 0, "failed": 2})), Pods::Ran);
    assert_eq!(pods(json!({"active": 0, "uncountedTerminatedPods": {"failed": ["p-1"]}})), Pods::Ran);
}

#[test]
fn a_job_that_we_cannot_have_made_is_forged() {
    let honest = json!({
        "metadata": {"name": "dbo-create-ccea4e1ba0-1-1", "namespace": "shop", "uid": "j",
                     "labels": {"db.isotoma.com/uid": "u-1", "db.isotoma.com/operation": "create",
                                "db.isotoma.com/generation": "1", "db.isotoma.com/attempt": "1"}},
    });
    let decoded = |change: &dyn Fn(&mut Value)| {
        let mut job = honest.clone();
        let name = JobName {
            operation: Operation::Create,
            series: crate::job_name::Series::Generation(1),
            attempt: 1,
        };
        job["metadata"]["name"] = json!(name.with_uid("u-1"));
        change(&mut job);
        serde_json::from_value::<SeenJob>(job).unwrap().job.is_ok()
    };
    assert!(decoded(&|_| {}));
    let labels = |job: &mut Value, name: &str, value: Value| job["metadata"]["labels"][name] = value;
    assert!(!decoded(&|job| job["metadata"]["name"] = json!("x")));
    assert!(!decoded(&|job| labels(job, "db.isotoma.com/uid", json!("u-2"))), "its name is another object's");
    assert!(!decoded(&|job| labels(job, "db.isotoma.com/operation", json!("delete"))));
    assert!(!decoded(&|job| labels(job, "db.isotoma.com/attempt", json!("2"))));
    assert!(!decoded(&|job| labels(job, "db.isotoma.com/generation", json!("one"))));
    // Whoever may create Jobs could fill our memory with it.
    let image = |job: &mut Value, image: String| {
        job["spec"]["template"]["spec"]["containers"] = json!([{"image": image}]);
    };
    assert!(decoded(&|job| image(job, "i".repeat(300))));
    assert!(!decoded(&|job| image(job, "i".repeat(1 << 20))));
    assert!(!decoded(
        &|job| job["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "db-operator"})
    ));
}

#[test]
fn a_job_of_the_release_before_is_known_by_the_name_it_has() {
    use crate::job_name::Series;
    let uid = api::names::short_hash("u-1", 10);
    let job = json!({
        "metadata": {"name": format!("dbo-final-{uid}-3-2"), "namespace": "shop", "uid": "j",
                     "labels": {"db.isotoma.com/uid": "u-1", "db.isotoma.com/operation": "backup-before-delete",
                                "db.isotoma.com/generation": "3", "db.isotoma.com/attempt": "2"},
                     "annotations": {"db.isotoma.com/retry": "now"}},
    });
    let known = serde_json::from_value::<SeenJob>(job).unwrap().job.unwrap();
    let expected =
        JobName { operation: Operation::BackupBeforeDelete, series: Series::Generation(3), attempt: 2 };
    assert_eq!(known.named, expected);
    assert_eq!(known.wishes.retry, Some(crate::decision::Wish::of("now")));
}
