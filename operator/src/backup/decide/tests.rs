use std::time::Duration;

use super::*;
use crate::database::decide::{Launch, Wait};
use crate::database::facts::Progress;
use crate::seen::jobs::{JobState, Pods};

fn backup(policy: &str) -> Backup {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Backup",
        "metadata": {"name": "nightly", "namespace": "shop", "uid": "b-1", "generation": 2,
                     "finalizers": ["db.isotoma.com/backup"], "deletionTimestamp": "2026-01-01T00:00:00Z",
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"database": "orders", "deletionPolicy": policy},
        "status": {"driver": "engine", "location": {"path": "shop/orders/b-1", "s3": {
            "region": "eu-west-1", "bucket": "dumps", "prefix": "backups/"}}},
    }))
    .unwrap()
}

fn known(operation: Operation, namespace: &str) -> KnownJob {
    let writes = operation == Operation::Backup;
    KnownJob {
        name: operation.to_string(),
        namespace: namespace.into(),
        uid: if writes { "d-1" } else { "b-1" }.into(),
        database: "orders".into(),
        database_namespace: "shop".into(),
        operation,
        generation: 2,
        request: writes.then(|| "b-1".to_owned()),
        attempt: 1,
        retry: None,
        reconcile: None,
        source: None,
        image: String::new(),
        state: JobState::Active { since: Timestamp::UNIX_EPOCH, pods: Pods::Ran },
    }
}

fn facts(policy: &str, job: Option<KnownJob>) -> Facts {
    let mut jobs = Jobs::default();
    if let Some(job) = job {
        jobs.add(job);
    }
    Facts::of(&backup(policy), &jobs, Registered::Named, "system", Timestamp::UNIX_EPOCH)
}

fn launched(decision: &Decision) -> Option<Operation> {
    match decision {
        Decision::Launch(launch) => Some(launch.operation),
        _ => None,
    }
}

#[test]
fn what_is_written_is_not_deleted_before_its_writer_has_ended() {
    let decided = |policy, job| launched(&decide(&facts(policy, job)));
    let reader = KnownJob { source: Some("b-1".into()), request: None, ..known(Operation::Restore, "shop") };
    assert_eq!(decided("Delete", Some(KnownJob { uid: "d-2".into(), ..reader })), None, "it is loaded");
    let (writer, deletion) = (known(Operation::Backup, "shop"), Some(Operation::DeleteBackup));
    assert_eq!(decided("Delete", None), deletion);
    assert_eq!(decided("Delete", Some(writer.clone())), None);
    let ended = JobState::Failed { permanent: true, at: Timestamp::UNIX_EPOCH };
    assert_eq!(decided("Delete", Some(KnownJob { state: ended, ..writer.clone() })), deletion);
    // One that has not begun finds a Backup that is deleted, and writes nothing. It is not waited for without end.
    let never =
        JobState::Active { since: Timestamp::UNIX_EPOCH - Duration::from_hours(1), pods: Pods::Starting };
    assert_eq!(decided("Delete", Some(KnownJob { state: never, ..writer.clone() })), deletion);
    // Whoever retains what is stored need not wait.
    assert_eq!(decided("Retain", Some(writer.clone())), deletion);
    // The Job of another Backup, or from elsewhere, is no reason.
    let other = KnownJob { request: Some("b-2".into()), ..writer.clone() };
    assert_eq!(decided("Delete", Some(other)), deletion);
    assert_eq!(decided("Delete", Some(known(Operation::Backup, "elsewhere"))), deletion);
    // Kubernetes does not know yet what the status says: that it is whole.
    let mut whole = backup("Delete");
    whole.status.as_mut().unwrap().job = Some(writer.name.clone());
    let mut jobs = Jobs::default();
    jobs.add(writer);
    let facts = Facts::of(&whole, &jobs, Registered::Named, "system", Timestamp::UNIX_EPOCH);
    assert_eq!(launched(&decide(&facts)), deletion);
}

#[test]
fn a_job_counts_only_from_where_it_was_launched() {
    let count = |job| facts("Delete", Some(job)).jobs.len();
    assert_eq!(count(known(Operation::DeleteBackup, "shop")), 1);
    assert_eq!(count(known(Operation::DeleteBackup, "elsewhere")), 0);
    assert_eq!(count(known(Operation::Release, "system")), 1);
    assert_eq!(count(known(Operation::Release, "shop")), 0, "a tenant cannot have us let it go");
}

#[test]
fn a_change_of_policy_brings_the_next_attempt_at_once() {
    let failed = |generation| {
        let state = JobState::Failed { permanent: true, at: Timestamp::UNIX_EPOCH };
        KnownJob { generation, state, ..known(Operation::DeleteBackup, "shop") }
    };
    let decided = |job| decide(&facts("Retain", Some(job)));
    assert!(matches!(decided(failed(2)), Decision::Wait(Wait::Backoff { permanent: true, .. })));
    assert_eq!(launched(&decided(failed(1))), Some(Operation::DeleteBackup));
}

#[test]
fn a_release_goes_on_and_says_where_what_is_stored_is() {
    let mut facts = facts("Delete", Some(known(Operation::Release, "system")));
    assert_eq!(facts.released_by(), Some("release"));
    facts.jobs[0].progress = Progress::Failed { permanent: false, age: Duration::from_secs(30) };
    assert_eq!(decide(&facts), Decision::Launch(Launch { attempt: 2, ..Launch::RELEASE }));
    let note = left_in_place(&backup("Delete")).note;
    for expected in ["namespace shop is terminating", "backups/shop/orders/b-1 of bucket dumps"] {
        assert!(note.contains(expected), "{note}");
    }
}
