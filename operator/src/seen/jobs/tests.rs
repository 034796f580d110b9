use serde_json::json;

use super::*;

fn job(status: &serde_json::Value) -> KnownJob {
    let job = serde_json::from_value(json!({
        "metadata": {
            "name": "dbo-create-0123456789-2-1", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "db.isotoma.com/uid": "u-1", "db.isotoma.com/operation": "create",
                "db.isotoma.com/generation": "2", "db.isotoma.com/attempt": "1",
            },
            "annotations": {"db.isotoma.com/database": "orders", "db.isotoma.com/namespace": "shop"},
        },
        "spec": {"template": {"spec": {"containers": [{"name": "driver", "image": "img:1"}]}}},
        "status": status,
    }));
    KnownJob::of(&job.unwrap()).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn only_a_terminal_condition_ends_a_job() {
    let failing = json!({"conditions": [{"type": "FailureTarget", "status": "True"}], "failed": 1});
    assert!(job(&failing).is_active());
    let failed = json!({"conditions": [
        {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": "2026-01-01T00:01:00Z"},
    ]});
    let expected = JobState::Failed { permanent: false, at: at("2026-01-01T00:01:00Z") };
    assert_eq!(job(&failed).state, expected);
    let complete = json!({"conditions": [
        {"type": "SuccessCriteriaMet", "status": "True"},
        {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"},
    ]});
    assert_eq!(job(&complete).state, JobState::Complete { at: at("2026-01-01T00:00:05Z") });
}

#[test]
fn only_the_pod_failure_policy_is_permanent() {
    for (reason, expected) in
        [("PodFailurePolicy", true), ("BackoffLimitExceeded", false), ("DeadlineExceeded", false)]
    {
        let status = json!({"conditions": [{"type": "Failed", "status": "True", "reason": reason}]});
        let JobState::Failed { permanent, .. } = job(&status).state else { panic!("{reason} is not failed") };
        assert_eq!(permanent, expected, "{reason}");
    }
}

#[test]
fn a_pod_that_ran_once_is_remembered_between_two_pods() {
    let pods = |status: serde_json::Value| match job(&status).state {
        JobState::Active { pods, .. } => pods,
        other => panic!("{other:?} is not active"),
    };
    assert_eq!(pods(json!({})), Pods::None);
    assert_eq!(pods(json!({"active": 0, "uncountedTerminatedPods": {}})), Pods::None);
    assert_eq!(pods(json!({"active": 1, "ready": 0})), Pods::Starting);
    assert_eq!(pods(json!({"active": 1, "ready": 1})), Pods::Ran);
    assert_eq!(pods(json!({"active": 1, "ready": 0, "failed": 2})), Pods::Ran);
    assert_eq!(pods(json!({"active": 0, "uncountedTerminatedPods": {"failed": ["p-1"]}})), Pods::Ran);
}

#[test]
fn what_a_watch_has_said_is_newer_than_the_answer_to_our_post() {
    let mut jobs = Jobs::default();
    let status = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    jobs.apply(job(&status), at("2026-01-01T00:00:09Z"));
    jobs.add(job(&json!({})));
    assert_eq!(jobs.active().count(), 0);
    assert_eq!(jobs.of("u-1").len(), 1);
    jobs.delete(&job(&json!({})));
    assert!(jobs.of("u-1").is_empty());
    jobs.add(job(&json!({})));
    assert_eq!(jobs.active().count(), 1);
}

#[test]
fn a_job_without_our_labels_is_none_of_ours() {
    let foreign = json!({"metadata": {"name": "x", "namespace": "y", "labels": {"app.kubernetes.io/managed-by": "db-operator"}}});
    assert_eq!(KnownJob::of(&serde_json::from_value(foreign).unwrap()), None);
}

#[test]
fn a_pod_that_comes_late_has_its_own_time_to_start() {
    let mut jobs = Jobs::default();
    jobs.add(job(&json!({})));
    let since = |jobs: &Jobs| match jobs.of("u-1")[0].state {
        JobState::Active { since, .. } => since,
        other => panic!("{other:?} is not active"),
    };
    jobs.apply(job(&json!({"active": 0})), at("2026-01-01T00:00:20Z"));
    assert_eq!(since(&jobs), at("2026-01-01T00:00:00Z"), "no pod since the start");
    jobs.apply(job(&json!({"active": 1})), at("2026-01-01T00:00:40Z"));
    jobs.apply(job(&json!({"active": 1, "ready": 0})), at("2026-01-01T00:00:50Z"));
    assert_eq!(since(&jobs), at("2026-01-01T00:00:40Z"), "one pod since then");
}
