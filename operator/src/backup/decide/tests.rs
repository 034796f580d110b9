use std::time::Duration;

use super::*;
use crate::attempts::{Failed, JobFact, JobProgress, Pods, Wishes};
use crate::decision::Wait;

fn facts(jobs: Vec<JobFact>) -> Facts {
    Facts {
        guarded: true,
        generation: 2,
        wishes: Wishes::default(),
        registered: true,
        terminating: false,
        jobs,
        spent: Vec::new(),
    }
}

fn job(operation: Operation, progress: JobProgress) -> JobFact {
    JobFact {
        name: "job".into(),
        operation,
        generation: 2,
        request: None,
        attempt: 1,
        wishes: Wishes::default(),
        image: "img:1".into(),
        outdated: false,
        recorded: false,
        progress,
    }
}

fn launched(decision: &Decision) -> Option<(Operation, u32)> {
    match decision {
        Decision::Launch(launch) => Some((launch.operation, launch.attempt)),
        Decision::Wait(_) | Decision::Settled(_) | Decision::Stuck(_) => None,
    }
}

#[test]
fn what_is_written_is_not_deleted_before_its_writer_has_ended() {
    let writer = |age, pods| job(Operation::Backup, JobProgress::Active { age, pods });
    let hours = Duration::from_hours(20);
    let decided = |job| launched(&decide(&facts(vec![job])));
    assert_eq!(decided(writer(hours, Pods::Ran)), None);
    // One that has not begun finds a Backup that is deleted, and writes nothing. It is not waited for without end.
    assert_eq!(decided(writer(hours, Pods::Starting)), Some((Operation::DeleteBackup, 1)));
    // Kubernetes does not know yet what the status says: that it is whole.
    let recorded = JobFact { recorded: true, ..writer(Duration::ZERO, Pods::Ran) };
    assert_eq!(decided(recorded), Some((Operation::DeleteBackup, 1)));
}

#[test]
fn a_change_of_policy_brings_the_next_attempt_at_once() {
    let failed = |generation| {
        let progress = JobProgress::Failed { why: Failed::Permanent, age: Duration::ZERO };
        decide(&facts(vec![JobFact { generation, ..job(Operation::DeleteBackup, progress) }]))
    };
    assert!(matches!(failed(2), Decision::Wait(Wait::Backoff { permanent: true, .. })));
    assert_eq!(launched(&failed(1)), Some((Operation::DeleteBackup, 1)));
}

#[test]
fn one_that_ends_with_its_namespace_is_let_go_from_ours_whatever_is_registered() {
    let terminating = Facts { terminating: true, registered: false, ..facts(Vec::new()) };
    assert_eq!(launched(&decide(&terminating)), Some((Operation::Release, 1)));
    let progress = JobProgress::Failed { why: Failed::Error, age: Duration::from_secs(30) };
    let again = Facts { jobs: vec![job(Operation::Release, progress)], ..terminating };
    assert_eq!(launched(&decide(&again)), Some((Operation::Release, 2)));
    let staying = Facts { registered: false, ..facts(Vec::new()) };
    assert_eq!(decide(&staying), Decision::Stuck(Stuck::UnknownDriver));
}

#[test]
fn one_that_is_let_go_is_left_alone() {
    assert_eq!(
        decide(&Facts { guarded: false, ..facts(Vec::new()) }),
        Decision::Settled(Settled::NothingLeft)
    );
}
