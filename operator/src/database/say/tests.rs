use serde_json::json;

use super::*;
use crate::attempts::{Failed, JobProgress, Wishes};
use crate::seen::fixtures::database;
use crate::voice::LONGEST_NOTE;

fn orders(status: &serde_json::Value) -> KnownDatabase {
    database("orders", &json!({"metadata": {"namespace": "shop"}, "status": status}))
}

fn stuck(stuck: Stuck) -> Notice {
    let drivers = ["engine-2", "engine-3"].into_iter();
    let chart = TenantChart::of_operator("dbs", &"x".repeat(63));
    notice(&Decision::Stuck(stuck), &orders(&json!({"phase": "Deleted"})), &[], drivers, &chart).unwrap()
}

#[test]
fn every_warning_names_the_object_and_the_next_step_and_fits() {
    let job = "dbo-create-0123456789-1-1";
    let cases = [
        (Stuck::Contradiction, vec!["status.phase is Deleted, and"]),
        (Stuck::UnknownDriver, vec!["engine", "engine-2, engine-3"]),
        (
            Stuck::NoPod { job: job.into() },
            vec![
                job,
                "namespace shop",
                "db-operator-tenant -n shop --set operator.name=dbs,operator.namespace=xxx",
                "quota",
            ],
        ),
        (Stuck::NotRunning { job: job.into(), image: "img:1".into() }, vec![job, "img:1"]),
    ];
    for (reason, expected) in cases {
        let notice = stuck(reason);
        assert!(notice.warning);
        assert!(notice.note.len() <= LONGEST_NOTE, "{} bytes", notice.note.len());
        for expected in expected {
            assert!(notice.note.contains(expected), "{expected:?} is missing in {:?}", notice.note);
        }
    }
}

fn job(operation: Operation, progress: JobProgress) -> JobFact {
    JobFact {
        name: "dbo-x".into(),
        operation,
        generation: 1,
        request: None,
        attempt: 1,
        wishes: Wishes::default(),
        image: "img:1".into(),
        outdated: false,
        recorded: false,
        progress,
    }
}

#[test]
fn a_job_that_somebody_has_suspended_says_how_it_goes_on() {
    let told = |decision: &Decision, job: JobFact| {
        notice(decision, &orders(&json!({})), &[job], std::iter::empty(), &TenantChart::default())
    };
    let suspended = |operation| job(operation, JobProgress::Suspended);
    let wait = Decision::Wait(Wait::Suspended { job: "dbo-x".into() });
    let said = told(&wait, suspended(Operation::Create)).unwrap();
    assert_eq!((said.reason, said.warning), ("JobSuspended", true));
    assert!(said.note.contains("kubectl -n shop patch job dbo-x "), "{}", said.note);
    let another = JobFact { name: "dbo-y".into(), ..suspended(Operation::Create) };
    assert_eq!(told(&wait, another), None, "it is not the one that is waited for");
    assert_eq!(told(&wait, suspended(Operation::Release)), None, "it is in the operator's namespace");
    let settled = Decision::Settled(crate::decision::Settled::NothingLeft);
    assert_eq!(told(&settled, suspended(Operation::Create)), None, "nothing waits for it");
}

#[test]
fn a_dead_pod_says_what_to_raise() {
    let failed = |operation, why| job(operation, JobProgress::Failed { why, age: std::time::Duration::ZERO });
    let told = |operation, why| {
        let wait = Decision::Wait(Wait::Job { look_in: None });
        notice(
            &wait,
            &orders(&json!({})),
            &[failed(operation, why)],
            std::iter::empty(),
            &TenantChart::default(),
        )
    };
    for (operation, why, reason, raise) in [
        (Operation::Create, Failed::Killed, "JobKilled", "limits.memory in spec.podTemplate.resources"),
        (Operation::Backup, Failed::Killed, "JobKilled", "spec.podTemplate.backupResources"),
        (Operation::Create, Failed::Disrupted, "JobEvicted", "requests.memory"),
        (Operation::Create, Failed::Deadline, "JobDeadlineExceeded", "spec.activeDeadlineSeconds"),
    ] {
        let told = told(operation, why).unwrap();
        assert_eq!((told.reason, told.warning), (reason, true));
        assert!(told.note.contains(raise) && told.note.contains("dbo-x"), "{}", told.note);
        assert!(told.note.contains("Driver engine"), "{}", told.note);
    }
    assert_eq!(told(Operation::Create, Failed::Permanent), None, "the condition says why");
    let later = JobFact {
        attempt: 2,
        progress: JobProgress::Complete { age: std::time::Duration::ZERO },
        ..failed(Operation::Create, Failed::Killed)
    };
    let mut killed = failed(Operation::Create, Failed::Killed);
    killed.progress = JobProgress::Failed { why: Failed::Killed, age: std::time::Duration::from_secs(9) };
    let wait = Decision::Wait(Wait::Job { look_in: None });
    let over =
        notice(&wait, &orders(&json!({})), &[killed, later], std::iter::empty(), &TenantChart::default());
    assert_eq!(over, None, "the one after it ended well");
}

#[test]
fn what_is_left_on_a_server_is_named() {
    let recorded = json!({"database": "shop_orders_1", "server": "db.example:1234"});
    let said = |deleted: bool, policy: &str| {
        let deleted = if deleted { json!("2026-01-01T00:00:00Z") } else { json!(null) };
        let object = database(
            "orders",
            &json!({"metadata": {"deletionTimestamp": deleted}, "spec": {"deletionPolicy": policy}, "status": recorded}),
        );
        retained(&object, Operation::Delete)
    };
    assert_eq!(said(true, "Delete"), None);
    let said = said(true, "Retain").unwrap();
    for said in [&said, &left_in_place(&orders(&recorded))] {
        assert!(
            said.note.contains("shop_orders_1") && said.note.contains("db.example:1234"),
            "{}",
            said.note
        );
    }
    assert!(left_in_place(&orders(&json!({}))).note.contains("db.example"), "the spec says where it may be");
}
