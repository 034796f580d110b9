use super::*;
use crate::attempts::{Failed, Pods, Spent, Wishes, backoff};
use crate::decision::Wish;
use crate::job_name::{JobName, Series};

fn facts(jobs: Vec<JobFact>) -> Facts {
    Facts {
        phase: Some(DatabasePhase::Creating),
        intent: Intent::Keep,
        was_created: false,
        guarded: true,
        current: false,
        verify_in: None,
        generation: 4,
        wishes: Wishes::default(),
        registered: true,
        terminating: false,
        completed: None,
        request: None,
        waiting: Vec::new(),
        jobs,
        spent: Vec::new(),
    }
}

fn job(attempt: u32, progress: JobProgress) -> JobFact {
    JobFact {
        name: format!("create-{attempt}").into(),
        operation: Operation::Create,
        generation: 4,
        request: None,
        attempt,
        wishes: Wishes::default(),
        image: "img:1".into(),
        outdated: false,
        recorded: false,
        progress,
    }
}

fn failed(attempt: u32, seconds: u64) -> JobFact {
    job(attempt, JobProgress::Failed { why: Failed::Error, age: Duration::from_secs(seconds) })
}

fn attempt(decision: &Decision) -> Option<u32> {
    match decision {
        Decision::Launch(launch) => Some(launch.attempt),
        Decision::Wait(_) | Decision::Settled(_) | Decision::Stuck(_) => None,
    }
}

fn created(attempt: u32) -> JobName {
    JobName { operation: Operation::Create, series: Series::Generation(4), attempt }
}

#[test]
fn backoff_doubles_from_half_a_minute_to_half_an_hour() {
    let seconds: Vec<_> = [0, 1, 2, 3, 6, 7, 8, 100, u32::MAX].map(|n| backoff(n).as_secs()).into();
    assert_eq!(seconds, [30, 30, 60, 120, 960, 1800, 1800, 1800, 1800]);
}

#[test]
fn the_next_attempt_waits_for_the_newest_failure() {
    let waits = |jobs| attempt(&decide(&facts(jobs))).is_none();
    assert!(waits(vec![failed(1, 29)]));
    assert!(!waits(vec![failed(1, 30)]));
    assert!(waits(vec![failed(1, 500), failed(3, 119)]));
    assert_eq!(attempt(&decide(&facts(vec![failed(3, 120), failed(1, 500)]))), Some(4));
}

#[test]
fn failures_are_counted_from_the_last_success() {
    // Attempts also count the runs that verified: a first failure after 50 of them is a first failure.
    let after = |seconds| Facts { completed: Some(created(50)), ..facts(vec![failed(51, seconds)]) };
    assert_eq!(attempt(&decide(&after(29))), None);
    assert_eq!(attempt(&decide(&after(30))), Some(52));
}

#[test]
fn a_name_is_never_used_twice() {
    // The Job is gone by its TTL, and its name stands in the status.
    let gone = Facts { completed: Some(created(3)), ..facts(Vec::new()) };
    assert_eq!(attempt(&decide(&gone)), Some(4));
    let older_failure = Facts { completed: Some(created(3)), ..facts(vec![failed(2, 1)]) };
    assert_eq!(attempt(&decide(&older_failure)), Some(4));
    let other_generation = Facts { generation: 5, ..gone };
    assert_eq!(attempt(&decide(&other_generation)), Some(1));
}

#[test]
fn a_permanent_failure_waits_for_a_change_a_wish_or_the_cap() {
    let at =
        |seconds| job(1, JobProgress::Failed { why: Failed::Permanent, age: Duration::from_secs(seconds) });
    assert_eq!(attempt(&decide(&facts(vec![at(1799)]))), None);
    assert_eq!(attempt(&decide(&facts(vec![at(1800)]))), Some(2));
    let changed = Facts { generation: 5, ..facts(vec![at(1)]) };
    assert_eq!(attempt(&decide(&changed)), Some(1));
    let wished = Facts { wishes: Wishes { retry: Some(Wish(1)), ..Wishes::default() }, ..facts(vec![at(1)]) };
    assert_eq!(attempt(&decide(&wished)), Some(2));
}

#[test]
fn a_recorded_job_frees_the_way_at_once_and_does_not_spin() {
    let active = JobProgress::Active { age: Duration::from_secs(2), pods: Pods::Ran };
    let recorded = JobFact { recorded: true, ..job(1, active) };
    let being_deleted = Facts {
        phase: Some(DatabasePhase::Created),
        intent: Intent::Delete,
        completed: Some(created(1)),
        ..facts(vec![recorded.clone()])
    };
    assert_eq!(attempt(&decide(&being_deleted)), Some(1));
    // A driver that never satisfies us must not be launched every second.
    let never_current =
        Facts { phase: Some(DatabasePhase::Created), completed: Some(created(1)), ..facts(vec![recorded]) };
    assert_eq!(attempt(&decide(&never_current)), None);
}

#[test]
fn work_that_is_not_recorded_is_repeated_and_counted() {
    let complete = |seconds| job(1, JobProgress::Complete { age: Duration::from_secs(seconds) });
    assert_eq!(attempt(&decide(&facts(vec![complete(29)]))), None);
    let expected = Launch {
        operation: Operation::Create,
        request: None,
        source: None,
        attempt: 2,
        after_lost_work: true,
        unasked: false,
    };
    assert_eq!(decide(&facts(vec![complete(30)])), Decision::Launch(expected));
}

#[test]
fn a_job_that_cannot_start_is_noticed_in_time() {
    let at = |seconds, pods| {
        decide(&facts(vec![job(1, JobProgress::Active { age: Duration::from_secs(seconds), pods })]))
    };
    let look = |seconds| Decision::Wait(Wait::Job { look_in: Some(Duration::from_secs(seconds)) });
    assert_eq!(at(4, Pods::None), look(6));
    assert_eq!(at(10, Pods::None), Decision::Stuck(Stuck::NoPod { job: "create-1".into() }));
    assert_eq!(at(10, Pods::Starting), look(50), "a large image takes a while");
    assert!(matches!(at(60, Pods::Starting), Decision::Stuck(Stuck::NotRunning { .. })));
    assert_eq!(at(9999, Pods::Ran), Decision::Wait(Wait::Job { look_in: None }));
    let suspended = decide(&facts(vec![job(1, JobProgress::Suspended)]));
    assert_eq!(suspended, Decision::Wait(Wait::Suspended { job: "create-1".into() }));
}

#[test]
fn what_ends_with_its_namespace_is_let_go_and_what_nobody_deletes_yet_waits() {
    let terminating = |intent, jobs| Facts { intent, terminating: true, ..facts(jobs) };
    let unknown = Facts { registered: false, ..terminating(Intent::BackupThenDelete, Vec::new()) };
    let Decision::Launch(launch) = decide(&unknown) else { panic!("nothing is launched") };
    assert_eq!(launch.operation, Operation::Release);
    assert_eq!(decide(&terminating(Intent::Keep, Vec::new())), Decision::Wait(Wait::Namespace));
    let release = JobFact { operation: Operation::Release, ..failed(1, 30) };
    assert_eq!(attempt(&decide(&terminating(Intent::Delete, vec![release]))), Some(2));
}

#[test]
fn an_unknown_driver_is_told_when_a_job_is_due() {
    let unknown = Facts { registered: false, ..facts(Vec::new()) };
    assert_eq!(decide(&unknown), Decision::Stuck(Stuck::UnknownDriver));
}

#[test]
fn a_job_that_never_begins_is_not_doubled_and_holds_up_others_for_ten_minutes_at_most() {
    let starting =
        |minutes| job(1, JobProgress::Active { age: Duration::from_mins(minutes), pods: Pods::Starting });
    for minutes in [9, 11, 600] {
        let decided = decide(&facts(vec![starting(minutes)]));
        assert!(matches!(decided, Decision::Stuck(Stuck::NotRunning { .. })), "{minutes}: {decided:?}");
    }
    let deleted = |minutes| decide(&Facts { intent: Intent::Delete, ..facts(vec![starting(minutes)]) });
    assert_eq!(attempt(&deleted(9)), None);
    assert_eq!(attempt(&deleted(10)), Some(1));
    let running = JobProgress::Active { age: Duration::from_hours(20), pods: Pods::Ran };
    assert_eq!(decide(&facts(vec![job(1, running)])), Decision::Wait(Wait::Job { look_in: None }));
}

#[test]
fn a_job_that_never_began_is_made_again_when_its_driver_has_changed() {
    let starting = |seconds, outdated| {
        let progress = JobProgress::Active { age: Duration::from_secs(seconds), pods: Pods::Starting };
        attempt(&decide(&facts(vec![JobFact { outdated, ..job(1, progress) }])))
    };
    assert_eq!(starting(59, true), None);
    assert_eq!(starting(60, true), Some(2));
    assert_eq!(starting(60, false), None);
    let ran = JobProgress::Active { age: Duration::from_hours(1), pods: Pods::Ran };
    assert_eq!(attempt(&decide(&facts(vec![JobFact { outdated: true, ..job(1, ran) }]))), None);
}

#[test]
fn a_first_eviction_costs_no_wait_and_a_node_that_evicts_all_does() {
    let evicted = |attempt, seconds| {
        let age = Duration::from_secs(seconds);
        facts(vec![job(attempt, JobProgress::Failed { why: Failed::Disrupted, age })])
    };
    assert_eq!(attempt(&decide(&evicted(1, 0))), Some(2));
    assert_eq!(attempt(&decide(&evicted(2, 29))), None);
    assert_eq!(attempt(&decide(&evicted(2, 30))), Some(3));
}

#[test]
fn an_attempt_whose_job_is_gone_is_not_counted_again() {
    let spent = Spent { operation: Operation::Create, series: Series::Generation(4), attempt: 7 };
    let of = |spent| attempt(&decide(&Facts { spent: vec![spent], ..facts(Vec::new()) }));
    assert_eq!(of(spent.clone()), Some(8));
    assert_eq!(of(Spent { series: Series::Generation(3), ..spent }), Some(1));
}

#[test]
fn what_nobody_asks_for_comes_last_and_says_so() {
    let due = |request, wishes| {
        decide(&Facts {
            phase: Some(DatabasePhase::Created),
            current: true,
            verify_in: Some(Duration::ZERO),
            request,
            wishes,
            ..facts(Vec::new())
        })
    };
    let unasked = |decision| {
        let Decision::Launch(Launch { operation, unasked, .. }) = decision else { panic!("{decision:?}") };
        (operation, unasked)
    };
    assert_eq!(unasked(due(None, Wishes::default())), (Operation::Create, true));
    let backup = Request {
        operation: Operation::Backup,
        name: "b".into(),
        uid: "b".into(),
        retry: None,
        source: None,
    };
    assert_eq!(unasked(due(Some(backup), Wishes::default())), (Operation::Backup, false));
    let later = Facts {
        phase: Some(DatabasePhase::Created),
        current: true,
        verify_in: Some(Duration::from_secs(9)),
        ..facts(Vec::new())
    };
    let expected = Settled::Current { verify_in: Some(Duration::from_secs(9)) };
    assert_eq!(decide(&later), Decision::Settled(expected));
}

#[test]
fn a_request_that_fails_does_not_hold_up_the_others() {
    let request = |uid: &str, operation| Request {
        operation,
        name: uid.into(),
        uid: uid.into(),
        retry: None,
        source: None,
    };
    let failing = JobFact {
        operation: Operation::Restore,
        request: Some("older".into()),
        ..job(1, JobProgress::Failed { why: Failed::Error, age: Duration::from_secs(1) })
    };
    let waiting = |waiting| Facts {
        phase: Some(DatabasePhase::Created),
        current: true,
        request: Some(request("older", Operation::Restore)),
        waiting,
        ..facts(vec![failing.clone()])
    };
    assert!(matches!(decide(&waiting(Vec::new())), Decision::Wait(Wait::Backoff { .. })));
    let decided = decide(&waiting(vec![request("younger", Operation::Backup)]));
    let Decision::Launch(launch) = decided else { panic!("nothing is launched") };
    assert_eq!(&*launch.request.unwrap().uid, "younger");
}

#[test]
fn a_final_backup_that_got_lost_is_made_again_and_the_drop_comes_right_after() {
    let ended = |operation, attempt, progress| JobFact { operation, ..job(attempt, progress) };
    let saved = |attempt, seconds| {
        let age = Duration::from_secs(seconds);
        ended(Operation::BackupBeforeDelete, attempt, JobProgress::Complete { age })
    };
    let refused = |seconds| {
        let age = Duration::from_secs(seconds);
        ended(Operation::Delete, 1, JobProgress::Failed { why: Failed::Permanent, age })
    };
    let in_phase = |phase, jobs| {
        decide(&Facts {
            phase: Some(phase),
            intent: Intent::BackupThenDelete,
            was_created: true,
            ..facts(jobs)
        })
    };
    // The refusal may come before Kubernetes knows that the final backup has ended.
    let again = in_phase(DatabasePhase::BackupBeforeDeleteRequested, vec![saved(1, 30), refused(31)]);
    let expected = Launch {
        operation: Operation::BackupBeforeDelete,
        request: None,
        source: None,
        attempt: 2,
        after_lost_work: false,
        unasked: false,
    };
    assert_eq!(again, Decision::Launch(expected));
    let soon = in_phase(DatabasePhase::BackupBeforeDeleteRequested, vec![saved(1, 29), refused(28)]);
    assert_eq!(attempt(&soon), None, "what gets lost each time is not made again without a pause");

    let dropped = |jobs| attempt(&in_phase(DatabasePhase::BackupBeforeDeleteCompleted, jobs));
    assert_eq!(dropped(vec![saved(1, 60), refused(31), saved(2, 1)]), Some(2));
    assert_eq!(dropped(vec![saved(1, 60), refused(31)]), None, "nothing is new since it was refused");
}

#[test]
fn a_restore_that_failed_for_want_of_its_backup_is_tried_at_once_when_that_is_complete() {
    let failing = |source: Option<&str>| JobFact {
        operation: Operation::Restore,
        request: Some("back".into()),
        wishes: Wishes { source: source.map(Into::into), ..Wishes::default() },
        ..failed(6, 1)
    };
    let decided = |source: Option<&str>, job| {
        let request = Request {
            operation: Operation::Restore,
            name: "back".into(),
            uid: "back".into(),
            retry: None,
            source: source.map(Into::into),
        };
        decide(&Facts {
            phase: Some(DatabasePhase::Created),
            current: true,
            request: Some(request),
            ..facts(vec![job])
        })
    };
    assert_eq!(attempt(&decided(None, failing(None))), None);
    let Decision::Launch(launch) = decided(Some("b-1"), failing(None)) else { panic!("nothing is launched") };
    assert_eq!((launch.attempt, launch.source.as_deref()), (7, Some("b-1")));
    assert_eq!(
        attempt(&decided(Some("b-1"), failing(Some("b-1")))),
        None,
        "it is not the backup that it lacks"
    );
}
