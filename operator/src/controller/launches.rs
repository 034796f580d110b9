//! Launches what is due and has room, and takes what came of it.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ObjectReference;
use tracing::{debug, error, info, warn};

use super::look::lane_of;
use super::{Controller, Done, LAUNCHES, Parts, Underway};
use crate::clock::Now;
use crate::decision::{Decision, Launch};
use crate::error::{LaunchError, chain};
use crate::job::build::build;
use crate::launch::launch;
use crate::metrics::{OfOperation, Reason};
use crate::notice::Notice;
use crate::plan::{Plan, driver_for, plan, store_keys};
use crate::seen::job::KnownJob;
use crate::seen::metadata::Uid;
use crate::slots::Hold;
use crate::subject::Subject;
use crate::waiting::Scope;
use crate::{backup, database};

impl Controller {
    /// Launches what has room.
    pub(super) fn launch_what_is_due(&mut self, now: &Now) {
        let (slots, limits) = (&self.slots, self.parts.limits);
        let is_owed = !self.role.acts() && self.waiting.is_any_due(slots, limits, now.moment);
        self.role.owes(is_owed, now.moment);
        if is_owed && self.role.acts() {
            warn!("what is due was not done: acting in place of who holds the Lease");
        }
        while self.role.acts()
            && self.launching.len() < LAUNCHES
            && let Some(uid) = self.waiting.next(&self.slots, limits, now.moment)
        {
            self.begin(&uid, now);
        }
        if self.waiting.is_empty() && self.launching.is_empty() {
            self.waiting.nobody_waits();
        }
    }

    /// Launches one Job, if it is still due.
    fn begin(&mut self, uid: &Uid, now: &Now) {
        let Parts { terms, settings, voice, .. } = &self.parts;
        let Plan::Act { subject, decision: Decision::Launch(due), .. } = plan(&self.world, uid, terms, now)
        else {
            return self.queue.wake(uid);
        };
        let operation = due.operation;
        let (Some(worker), Some((lane, scope, unasked))) =
            (driver_for(&self.world, operation, subject), lane_of(&self.world, subject, &due, &self.parts))
        else {
            return self.queue.wake(uid);
        };
        let job = build(subject, worker, &due, &store_keys(&self.world, subject, &due), settings);
        // Before the launch, for the Job may end before it could be said, and then it is recorded nowhere else.
        let said_before = operation.row().in_operator_namespace.then(|| released(subject, &job));
        let (client, voice, of) = (self.client.clone(), voice.clone(), Arc::clone(uid));
        let task = self.tasks.spawn(async move {
            if let Some((about, notice)) = said_before {
                voice.say(&about, &notice).await;
            }
            Done::Launched(of, launch(client, &job).await.map(Box::new))
        });
        self.waiting.try_scope(&scope);
        self.slots.set(uid, Some(Hold { lane, runs: true, unasked }));
        let underway = Underway { scope, launch: due, task: task.id() };
        self.launching.insert(Arc::clone(uid), underway);
    }

    pub(super) fn launched(&mut self, uid: &Uid, result: Result<Box<KnownJob>, LaunchError>, now: &Now) {
        let Some(Underway { scope, launch, .. }) = self.launching.remove(uid) else { return };
        let tell_all = match result {
            Ok(job) => {
                self.say_launched(uid, &launch, &job);
                self.world.jobs.add(*job, now);
                self.waiting.accepted(&scope);
                self.refusals.accepted(uid, &scope)
            }
            Err(error) => {
                let is_first = self.waiting.refused(&scope, now.moment, error.is_answer());
                let Scope { namespace, driver } = &scope;
                if is_first {
                    warn!(%namespace, %driver, "{}", chain(&error));
                } else {
                    debug!(%namespace, %driver, "{}", chain(&error));
                }
                let reason = Reason { reason: error.category().to_owned() };
                self.parts.health.metrics.launch_failures.get_or_create(&reason).inc();
                self.refusals.add(uid, &scope, &error, now.moment)
            }
        };
        if tell_all {
            for uid in self.waiting.of_scope(&scope) {
                self.queue.wake_later(uid);
            }
        }
        self.count(uid, now);
        self.queue.wake(uid);
    }

    fn say_launched(&mut self, uid: &Uid, due: &Launch, job: &KnownJob) {
        let (operation, metrics) = (due.operation, &self.parts.health.metrics);
        info!(namespace = %job.namespace, job = %job.name, uid = %uid, %operation, attempt = due.attempt, "launched");
        metrics.jobs_launched.get_or_create(&OfOperation { operation: operation.to_string() }).inc();
        if due.after_lost_work {
            metrics.complete_without_phase.inc();
            error!(
                uid = %uid, %operation,
                "the Job before ended well, and yet the phase did not move: a driver broke its contract"
            );
        }
        if let Some(request) = &due.request
            && let Some(known) = self.world.requests.get(&request.uid)
        {
            let notice = backup::say::started(known, due.attempt, &job.name);
            self.standing.say_once(known.reference(), notice);
        }
        let plan = plan(&self.world, uid, &self.parts.terms, &self.parts.clock.now());
        let Plan::Act { subject, .. } = plan else { return };
        let notice = match subject {
            Subject::Database(database) => database::say::retained(database, operation),
            Subject::Backup(_) if operation == api::Operation::DeleteBackup => {
                Some(backup::say::deletion_started(due.attempt, &job.name))
            }
            Subject::Backup(_) => None,
        };
        if let Some(notice) = notice {
            self.standing.say_once(subject.reference(), notice);
        }
    }
}

/// What is said before a `release` is launched. The terminating namespace takes no Event, so it is about the Job, in ours.
fn released(subject: Subject<'_>, job: &Job) -> (ObjectReference, Notice) {
    let about = ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        name: job.metadata.name.clone(),
        namespace: job.metadata.namespace.clone(),
        ..ObjectReference::default()
    };
    let notice = match subject {
        Subject::Database(database) => database::say::left_in_place(database),
        Subject::Backup(backup) => backup::say::left_in_place(backup),
    };
    (about, notice)
}
