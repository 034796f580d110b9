use std::time::Duration;

use api::Operation;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::attempts::Pods;
use crate::seen::fixtures::job;

fn at(second: u64) -> Now {
    let time = Timestamp::from_second(1_000_000 + i64::try_from(second).unwrap()).unwrap();
    Now { moment: Moment::after_start(Duration::from_secs(second)), time }
}

fn create(status: &Value) -> KnownJob {
    job("u-1", Operation::Create, 1, &json!({"status": status}))
}

fn progress(jobs: &Jobs, now: Now) -> JobProgress {
    jobs.of("u-1").next().unwrap().fact(false, None, now.moment).progress
}

fn failed(second: i64) -> KnownJob {
    let time = Timestamp::from_second(1_000_000 + second).unwrap().to_string();
    create(&json!({"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": time}]}))
}

#[test]
fn what_a_watch_has_said_is_newer_than_the_answer_to_our_post() {
    let mut jobs = Jobs::default();
    jobs.apply(failed(0), &at(0), true);
    jobs.add(create(&json!({})), &at(1));
    assert!(matches!(progress(&jobs, at(1)), JobProgress::Failed { .. }));
    assert_eq!(jobs.len(), 1);
}

#[test]
fn a_pod_that_comes_late_has_its_own_time_to_start() {
    let mut jobs = Jobs::default();
    jobs.add(create(&json!({})), &at(0));
    jobs.apply(create(&json!({"active": 0})), &at(20), true);
    let none = |seconds| JobProgress::Active { age: Duration::from_secs(seconds), pods: Pods::None };
    assert_eq!(progress(&jobs, at(20)), none(20), "no pod since the start");
    jobs.apply(create(&json!({"active": 1})), &at(40), true);
    jobs.apply(create(&json!({"active": 1, "ready": 0})), &at(50), true);
    let starting = JobProgress::Active { age: Duration::from_secs(10), pods: Pods::Starting };
    assert_eq!(progress(&jobs, at(50)), starting, "one pod since then");
}

#[test]
fn no_other_clock_makes_a_job_old_or_young() {
    // What we see happen is as old as we have known it, whatever its time says.
    for skew in [-3_600, 0, 3_600] {
        let mut jobs = Jobs::default();
        jobs.add(create(&json!({})), &at(0));
        jobs.apply(failed(10 + skew), &at(10), true);
        let JobProgress::Failed { age, .. } = progress(&jobs, at(15)) else { panic!("it has failed") };
        assert_eq!(age, Duration::from_secs(5), "a clock that is {skew} s off");
    }
    // What happened before we looked is as old as the API server's clock says.
    let mut jobs = Jobs::default();
    jobs.apply(failed(-40), &at(0), false);
    let JobProgress::Failed { age, .. } = progress(&jobs, at(0)) else { panic!("it has failed") };
    assert_eq!(age, Duration::from_secs(40));
}

#[test]
fn what_ended_while_a_list_was_late_is_no_older_than_we_have_known_the_job() {
    let mut jobs = Jobs::default();
    jobs.add(create(&json!({})), &at(100));
    jobs.apply(failed(-1_000), &at(120), false);
    let JobProgress::Failed { age, .. } = progress(&jobs, at(120)) else { panic!("it has failed") };
    assert_eq!(age, Duration::from_secs(20));
}

#[test]
fn a_job_that_is_gone_leaves_its_attempt_where_it_ran() {
    let mut jobs = Jobs::default();
    for attempt in [2, 1] {
        jobs.add(job("u-1", Operation::Create, attempt, &json!({})), &at(0));
    }
    let forged = json!({"metadata": {"namespace": "elsewhere"}});
    jobs.add(job("u-1", Operation::Create, 9, &forged), &at(0));
    jobs.begin();
    assert_eq!(jobs.complete(), ["u-1".into()]);
    let highest =
        |namespace: &str| jobs.spent("u-1", namespace).iter().map(|spent| spent.attempt).collect::<Vec<_>>();
    assert_eq!((highest("shop"), highest("elsewhere")), (vec![2], vec![9]));
    assert!(jobs.is_empty());
}

#[test]
fn a_job_is_outdated_when_its_driver_has_changed_since() {
    let outdated = |job: KnownJob, driver: Option<(&str, &str)>| {
        let mut jobs = Jobs::default();
        jobs.add(job, &at(0));
        jobs.of("u-1").next().unwrap().fact(false, driver, at(0).moment).outdated
    };
    let built_from = |state: &str| {
        job(
            "u-1",
            Operation::Create,
            1,
            &json!({"metadata": {"annotations": {"db.isotoma.com/driver": state}}}),
        )
    };
    assert!(!outdated(built_from("d/1"), Some(("d/1", "img:2"))));
    assert!(outdated(built_from("d/1"), Some(("d/2", "img:1"))));
    assert!(!outdated(built_from("d/1"), None), "there is no Driver that a new one would be built from");
    // A Job of an earlier release does not say: its image does.
    assert!(!outdated(create(&json!({})), Some(("d/2", "img:1"))));
    assert!(outdated(create(&json!({})), Some(("d/2", "img:2"))));
}
