//! The whole decision table, printed for people to review. `make generate` writes it.

#![allow(clippy::unwrap_used, reason = "a test may fail on the spot")]

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::DatabasePhase;
use api::Operation;
use api::lifecycle::{Intent, Needed, needed};
use db_operator::attempts::{Failed, JobFact, JobProgress, Pods, Wishes};
use db_operator::database::decide::decide;
use db_operator::database::facts::Facts;
use db_operator::decision::{Decision, Request, Settled, Stuck, Wait, Wish};
use db_operator::job_name::{JobName, Series};

const GENERATION: i64 = 2;

fn phases() -> impl Iterator<Item = Option<DatabasePhase>> {
    std::iter::once(None).chain(DatabasePhase::ALL.map(Some))
}

fn name(phase: Option<DatabasePhase>) -> String {
    phase.map_or_else(|| "(none)".to_owned(), |phase| format!("{phase:?}"))
}

fn job(operation: Operation, progress: JobProgress) -> JobFact {
    JobFact {
        name: "job".into(),
        operation,
        generation: GENERATION,
        request: None,
        attempt: 1,
        wishes: Wishes::default(),
        image: "img:1".into(),
        outdated: false,
        recorded: false,
        progress,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn active(pods: Pods, age: u64) -> JobProgress {
    JobProgress::Active { age: seconds(age), pods }
}

fn failed(permanent: bool, age: u64) -> JobProgress {
    let why = if permanent { Failed::Permanent } else { Failed::Error };
    JobProgress::Failed { why, age: seconds(age) }
}

fn cell(decision: &Decision) -> String {
    match decision {
        Decision::Launch(launch) => {
            let lost = if launch.after_lost_work { " (!)" } else { "" };
            let number = if launch.attempt == 1 { String::new() } else { format!(" {}", launch.attempt) };
            format!("{}{number}{lost}", launch.operation)
        }
        Decision::Wait(Wait::Job { look_in: None } | Wait::Suspended { .. }) => "wait".to_owned(),
        Decision::Wait(Wait::Job { look_in: Some(left) }) => format!("wait, look in {left:?}"),
        Decision::Wait(Wait::Backoff { left, .. }) => format!("wait {left:?}"),
        Decision::Wait(Wait::Namespace) => "wait for its end".to_owned(),
        Decision::Settled(Settled::Current { .. } | Settled::NothingLeft) => "-".to_owned(),
        Decision::Stuck(Stuck::Contradiction) => "CONTRADICTION".to_owned(),
        Decision::Stuck(Stuck::UnknownDriver) => "UNKNOWN DRIVER".to_owned(),
        Decision::Stuck(Stuck::NoPod { .. }) => "NO POD".to_owned(),
        Decision::Stuck(Stuck::NotRunning { .. }) => "NOT RUNNING".to_owned(),
    }
}

fn facts(phase: Option<DatabasePhase>, intent: Intent) -> Facts {
    Facts {
        phase,
        intent,
        // What a real object has in that phase.
        was_created: !matches!(phase, None | Some(DatabasePhase::Creating)),
        guarded: true,
        current: false,
        verify_in: None,
        generation: GENERATION,
        wishes: Wishes::default(),
        registered: true,
        terminating: false,
        completed: None,
        request: begun(phase),
        waiting: Vec::new(),
        jobs: Vec::new(),
        spent: Vec::new(),
    }
}

fn request(operation: Operation) -> Request {
    Request { operation, name: "request".into(), uid: "u-1".into(), retry: None, source: None }
}

/// What a real object in that phase is about.
fn begun(phase: Option<DatabasePhase>) -> Option<Request> {
    api::lifecycle::begun(phase).map(request)
}

fn row(text: &mut String, [first, keep, delete, backup, retain]: [&str; 5]) {
    let wide = [(first, 61), (keep, 18), (delete, 18), (backup, 27)].map(|(cell, width)| {
        assert!(cell.len() <= width, "{cell:?} is wider than its column");
        format!("{cell:width$} ")
    });
    writeln!(text, "{}", (wide.concat() + retain).trim_end()).unwrap();
}

/// One row for each phase, one column for each intent. Phases in a row that say the same are one row.
fn section(text: &mut String, title: &str, change: impl Fn(&mut Facts)) {
    writeln!(text, "\n## {title}\n").unwrap();
    row(text, ["", "Keep", "Delete", "BackupThenDelete", "Retain"]);
    let rows: Vec<_> = phases()
        .map(|phase| {
            let cells = Intent::ALL.map(|intent| {
                let mut facts = facts(phase, intent);
                change(&mut facts);
                cell(&decide(&facts))
            });
            (phase, cells)
        })
        .collect();
    for alike in rows.chunk_by(|(_, one), (_, other)| one == other) {
        let (first, [keep, delete, backup, retain]) = alike.first().unwrap();
        let (last, _) = alike.last().unwrap();
        let phases =
            if first == last { name(*first) } else { format!("{} ... {}", name(*first), name(*last)) };
        row(text, [&phases, keep, delete, backup, retain]);
    }
}

/// The operation that is needed, as long as there is one: a Job of it makes the section's Job state.
fn due(facts: &Facts) -> Option<Operation> {
    let requested = facts.request.as_ref().map(|request| request.operation);
    match needed(facts.phase, facts.intent, facts.current, facts.guarded, facts.was_created, requested) {
        Needed::Run(_) if facts.terminating => Some(Operation::Release),
        Needed::Run(operation) => Some(operation),
        Needed::Nothing | Needed::Contradiction => None,
    }
}

fn with_due_job(progress: JobProgress, change: impl Fn(&mut Facts, &mut JobFact)) -> impl Fn(&mut Facts) {
    move |facts| {
        if let Some(operation) = due(facts) {
            let mut job = job(operation, progress);
            let request = facts.request.as_ref().filter(|request| request.operation == operation);
            job.request = request.map(|request| Arc::clone(&request.uid));
            change(facts, &mut job);
            facts.jobs.push(job);
        }
    }
}

fn recorded(facts: &mut Facts, job: &mut JobFact) {
    job.recorded = true;
    let (operation, attempt) = (job.operation, job.attempt);
    let series = match &job.request {
        Some(uid) => Series::of_request(uid),
        None => Series::Generation(GENERATION),
    };
    facts.completed = Some(JobName { operation, series, attempt });
}

fn table() -> String {
    let mut text = String::from(
        "What the operator does about a Database: rows are status.phase, columns what its owner wants. `A ... B` are\n\
         all phases from A to B in the order of a life.\n\
         An operation means that a Job for it is launched now, with the attempt's number if it is not the first;\n\
         `-` that nothing is to be done until something changes; `wait` that a Job is at work or was, and the time\n\
         after which the next attempt is due. Unless a section says otherwise, our finalizer is set, no run has\n\
         verified the present generation, the driver is registered, and the database was complete once where the\n\
         phase says so.\n",
    );
    without_jobs(&mut text);
    with_active_jobs(&mut text);
    with_finished_jobs(&mut text);
    about_backups(&mut text);
    text
}

fn unchanged(_: &mut Facts, _: &mut JobFact) {}

fn without_jobs(text: &mut String) {
    section(text, "No Job", |_| {});
    section(text, "No Job; verified as it is now asked for", |facts| facts.current = true);
    section(text, "No Job; verified as it is now asked for, and a Backup waits", |facts| {
        facts.current = true;
        facts.request.get_or_insert_with(|| request(Operation::Backup));
    });
    section(text, "No Job; verified as it is now asked for, and a Restore waits", |facts| {
        facts.current = true;
        facts.request.get_or_insert_with(|| request(Operation::Restore));
    });
    section(text, "No Job; our finalizer is not set", |facts| facts.guarded = false);
    section(text, "No Job; it was complete once, whatever the phase says", |facts| {
        facts.was_created = true;
    });
    section(text, "No Job; its driver is not registered", |facts| facts.registered = false);
    section(text, "No Job; its namespace is terminating", |facts| facts.terminating = true);
    section(text, "No Job; its namespace is terminating, and its driver is not registered", |facts| {
        facts.terminating = true;
        facts.registered = false;
    });
    section(text, "No Job; verified as it is now asked for, and it is time to verify it again", |facts| {
        facts.current = true;
        facts.verify_in = Some(Duration::ZERO);
    });
    section(text, "No Job; it is time to verify it again, and a Backup waits", |facts| {
        facts.current = true;
        facts.verify_in = Some(Duration::ZERO);
        facts.request.get_or_insert_with(|| request(Operation::Backup));
    });
}

fn with_active_jobs(text: &mut String) {
    section(text, "A Job of the needed operation is at work", with_due_job(active(Pods::Ran, 60), unchanged));
    section(text, "A create Job is at work", |facts| {
        facts.jobs.push(job(Operation::Create, active(Pods::Ran, 60)));
    });
    section(
        text,
        "A create Job is at work, and its work is recorded as done (status.lastCompletedJob)",
        |facts| {
            let mut job = job(Operation::Create, active(Pods::Ran, 1));
            recorded(facts, &mut job);
            facts.jobs.push(job);
        },
    );
    section(text, "A backup-before-delete Job is at work", |facts| {
        facts.jobs.push(job(Operation::BackupBeforeDelete, active(Pods::Ran, 60)));
    });
    section(
        text,
        "Its namespace is terminating; a release Job is at work, in the operator's namespace",
        |facts| {
            facts.terminating = true;
            facts.jobs.push(job(Operation::Release, active(Pods::Ran, 60)));
        },
    );
    section(text, "Its namespace is terminating; a release Job failed a minute ago", |facts| {
        facts.terminating = true;
        facts.jobs.push(job(Operation::Release, failed(false, 60)));
    });
    section(text, "Its namespace is terminating; a create Job does not run, for 5 minutes", |facts| {
        facts.terminating = true;
        facts.jobs.push(job(Operation::Create, active(Pods::Starting, 300)));
    });
    section(
        text,
        "A Job of the needed operation is suspended",
        with_due_job(JobProgress::Suspended, unchanged),
    );
    section(
        text,
        "A Job of the needed operation has no pod, for 4 s",
        with_due_job(active(Pods::None, 4), unchanged),
    );
    section(
        text,
        "A Job of the needed operation has no pod, for 10 s",
        with_due_job(active(Pods::None, 10), unchanged),
    );
    section(
        text,
        "The pod of a Job of the needed operation does not run, for a minute",
        with_due_job(active(Pods::Starting, 60), unchanged),
    );
    section(
        text,
        "The same, and its Driver has changed since",
        with_due_job(active(Pods::Starting, 60), |_, job| job.outdated = true),
    );
    section(
        text,
        "The pod of a Job of the needed operation does not run, for 11 minutes",
        with_due_job(active(Pods::Starting, 660), unchanged),
    );
}

fn with_finished_jobs(text: &mut String) {
    section(text, "The needed operation failed 10 s ago", with_due_job(failed(false, 10), unchanged));
    section(text, "The needed operation failed 30 s ago", with_due_job(failed(false, 30), unchanged));
    section(
        text,
        "The needed operation failed 10 s ago, for the fourth time",
        with_due_job(failed(false, 10), |_, job| job.attempt = 4),
    );
    section(
        text,
        "The needed operation failed 10 s ago; since then db.isotoma.com/retry has a new value",
        with_due_job(failed(false, 10), |facts, _| {
            facts.wishes.retry = Some(Wish(1));
        }),
    );
    section(
        text,
        "The needed operation failed permanently (exit code 42) a minute ago",
        with_due_job(failed(true, 60), unchanged),
    );
    section(text, "The create that is needed failed permanently a minute ago, and a Backup waits", |facts| {
        facts.request.get_or_insert_with(|| request(Operation::Backup));
        if due(facts) == Some(Operation::Create) {
            facts.jobs.push(job(Operation::Create, failed(true, 60)));
        }
    });
    section(
        text,
        "The needed operation failed permanently half an hour ago",
        with_due_job(failed(true, 1800), unchanged),
    );
    section(
        text,
        "The needed operation failed permanently; since then db.isotoma.com/retry has a new value",
        with_due_job(failed(true, 60), |facts, _| {
            facts.wishes.retry = Some(Wish(1));
        }),
    );
    section(
        text,
        "The needed operation failed permanently on an older generation",
        with_due_job(failed(true, 60), |_, job| {
            job.generation = GENERATION - 1;
        }),
    );
    section(
        text,
        "A Job of the needed operation is complete, for 10 s, and the phase did not move",
        with_due_job(JobProgress::Complete { age: seconds(10) }, unchanged),
    );
    section(
        text,
        "A Job of the needed operation is complete, for 30 s, and the phase did not move: (!) is counted, and must never be",
        with_due_job(JobProgress::Complete { age: seconds(30) }, unchanged),
    );
    section(
        text,
        "A Job of the needed operation is complete and recorded, for 30 s, and it is needed again",
        with_due_job(JobProgress::Complete { age: seconds(30) }, recorded),
    );
}

/// What is done about a Backup that is being deleted, one line a case.
fn about_backups(text: &mut String) {
    use db_operator::backup::decide::decide;
    use db_operator::backup::facts::Facts;
    writeln!(text, "\n# A Backup that is being deleted\n").unwrap();
    let mut line = |case: &str, change: &dyn Fn(&mut Facts)| {
        let mut facts = Facts {
            guarded: true,
            generation: GENERATION,
            wishes: Wishes::default(),
            registered: true,
            terminating: false,
            jobs: Vec::new(),
            spent: Vec::new(),
        };
        change(&mut facts);
        writeln!(text, "{case:96} {}", cell(&decide(&facts))).unwrap();
    };
    let with = |operation, progress| move |facts: &mut Facts| facts.jobs.push(job(operation, progress));
    let deletion = |progress| with(Operation::DeleteBackup, progress);
    line("No Job", &|_| {});
    line("No Job; our finalizer is not set", &|facts| facts.guarded = false);
    line("No Job; no driver is registered", &|facts| facts.registered = false);
    line("No Job; its namespace is terminating", &|facts| facts.terminating = true);
    line("A Job that writes it is at work", &with(Operation::Backup, active(Pods::Ran, 60)));
    line(
        "The pod of a Job that writes it does not run, for 11 minutes",
        &with(Operation::Backup, active(Pods::Starting, 660)),
    );
    line("A delete-backup Job is at work", &deletion(active(Pods::Ran, 60)));
    line("A delete-backup Job is suspended", &deletion(JobProgress::Suspended));
    line("A delete-backup Job has no pod, for 10 s", &deletion(active(Pods::None, 10)));
    line("The pod of a delete-backup Job does not run, for a minute", &deletion(active(Pods::Starting, 60)));
    line("It failed 10 s ago", &deletion(failed(false, 10)));
    line("It failed 30 s ago", &deletion(failed(false, 30)));
    line("It failed permanently (exit code 42) a minute ago", &deletion(failed(true, 60)));
    line("It failed permanently; since then db.isotoma.com/retry has a new value", &|facts| {
        deletion(failed(true, 60))(facts);
        facts.wishes.retry = Some(Wish(1));
    });
    line("It failed permanently on an older generation, such as before the policy became Retain", &|facts| {
        deletion(failed(true, 60))(facts);
        facts.jobs.iter_mut().for_each(|job| job.generation = GENERATION - 1);
    });
    line(
        "A delete-backup Job is complete, for 30 s, and the Backup is there: (!) is counted",
        &deletion(JobProgress::Complete { age: seconds(30) }),
    );
    let ending = |progress| {
        move |facts: &mut Facts| {
            facts.terminating = true;
            facts.jobs.push(job(Operation::Release, progress));
        }
    };
    line("Its namespace is terminating; a release Job is at work", &ending(active(Pods::Ran, 60)));
    line("Its namespace is terminating; a release Job failed a minute ago", &ending(failed(false, 60)));
}

#[test]
fn decisions_are_what_the_reviewed_table_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/table.txt");
    expectorate::assert_contents(path, &table());
}
