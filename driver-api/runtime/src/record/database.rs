//! The record of a Database.

use std::fmt::Display;

use kube::Client;
use tracing::warn;

use super::finalizer::Guarded;
use super::objects::Objects;
use super::{Kind, Record, Wish, now, set_failed, step, superseded};
use crate::env::{Assignment, RequestName};
use crate::failure::{Result, kubernetes};
use api::lifecycle::{Intent, deletion_policy, may_follow};
use api::permission::{Beginning, Live, Refusal, Running, begins, may_unclaim, restore_is_begun};
use api::{
    ActiveOperation, Binding, Conditions, Database, DatabasePhase, DatabaseStatus, FINALIZER, Operation,
    READY, RECONCILE_ANNOTATION, Reason, STALLED,
};
use driver::Target;

/// What makes a run due on a Database.
#[derive(Clone)]
pub(crate) struct Due {
    operation: Operation,
    /// What the owner wanted when the object was loaded. A run serves one intent.
    intent: Intent,
    generation: i64,
    job: String,
    request: Option<RequestName>,
    /// The Job that had claimed the object when it was loaded.
    found: Option<String>,
    /// Whether this run has claimed the object, and not given the claim back.
    claimed: bool,
}

impl Due {
    /// The run, as it is judged.
    fn running(&self) -> Running<&str> {
        let Self { operation, intent, job, claimed, .. } = self;
        Running { operation: *operation, job, intent: *intent, claimed: *claimed }
    }
}

impl Kind for Database {
    type Phase = DatabasePhase;
    type Status = DatabaseStatus;
    type Due = Due;

    fn status(&self) -> Option<&DatabaseStatus> {
        self.status.as_ref()
    }

    fn phase(status: &mut DatabaseStatus) -> &mut Option<DatabasePhase> {
        &mut status.phase
    }

    fn may_follow(from: Option<DatabasePhase>, to: DatabasePhase) -> bool {
        may_follow(from, to)
    }

    /// Whether the operation may still act on the object as it is now, and for the intent it began with.
    fn check(&self, due: &Due) -> Result<()> {
        let live = judged(self);
        let Err(refusal) = due.running().may_act(&live) else { return Ok(()) };
        Err(superseded(match refusal {
            Refusal::Claimed => "another run has claimed the Database since".to_owned(),
            Refusal::AnotherIsDue => format!(
                "{} may not act in phase {:?} with intent {:?}: another run is due",
                due.operation, live.phase, live.intent
            ),
        }))
    }
}

impl Guarded for Database {
    const FINALIZER: &'static str = FINALIZER;

    fn is_to_be_guarded(&self) -> bool {
        true
    }
}

/// What [`Record::load`] found.
pub(crate) enum Loaded {
    /// The object, on which this run may act.
    Due(Box<Record<Database>>),
    /// Nothing is left to do: the object is gone, or this very Job has done its work already.
    Done(&'static str),
}

impl Record<Database> {
    /// Reads the live object and checks that this run is due on it.
    pub(crate) async fn load(client: Client, assignment: &Assignment) -> Result<Loaded> {
        let objects = Objects::<Database>::new(client.clone(), &assignment.namespace);
        let found = objects.get(&assignment.database).await;
        let Some(live) = found.map_err(|error| kubernetes("cannot read the Database", error))? else {
            return Ok(Loaded::Done("the Database is gone"));
        };
        if live.metadata.uid.as_deref() != Some(assignment.uid.as_str()) {
            return Ok(Loaded::Done("the Database was deleted, and another one has its name"));
        }
        let (job, generation) = (assignment.job.as_str(), live.metadata.generation);
        let has_request = assignment.request.is_some();
        match begins(&job, judged(&live).completed.as_ref(), assignment.generation, generation, has_request) {
            Beginning::Due => {}
            Beginning::Done => return Ok(Loaded::Done("this Job has completed its operation already")),
            Beginning::Changed => {
                return Err(superseded(format!(
                    "the Database has changed since generation {}: another run is due",
                    assignment.generation
                )));
            }
        }
        let due = Due {
            operation: assignment.operation,
            intent: Intent::of(&live),
            generation: live.metadata.generation.unwrap_or(assignment.generation),
            job: assignment.job.clone(),
            request: assignment.request.clone(),
            found: claimant(&live).map(str::to_owned),
            claimed: false,
        };
        live.check(&due)?;
        Ok(Loaded::Due(Box::new(Self::of(client, &assignment.namespace, live, due))))
    }

    /// The status, if the work on a server has begun: only then it says where.
    pub(crate) fn begun(&self) -> Option<&DatabaseStatus> {
        self.live.status.as_ref().filter(|_| self.live.is_guarded())
    }

    /// Whether the database has been complete once, so that it may hold rows.
    pub(crate) fn was_created(&self) -> bool {
        was_created(&self.live)
    }

    /// Claims the object for this run, in phase `to`.
    pub(crate) async fn claim(
        &mut self,
        to: DatabasePhase,
        server: &impl Display,
        database: &Target,
    ) -> Result<()> {
        let Due { operation, generation, job, request, .. } = &self.due;
        let name_in = |of| {
            let request = request.as_ref().filter(|_| *operation == of);
            request.map(|request| request.name.clone())
        };
        let active = ActiveOperation {
            operation: *operation,
            job: job.clone(),
            backup: name_in(Operation::Backup),
            restore: name_in(Operation::Restore),
        };
        let (now, generation) = (now(), *generation);
        let object = self.to_string();
        self.swap(|live, status| {
            step::<Database>(status, to, &object)?;
            status.server = Some(server.to_string());
            status.database = Some(database.name.clone());
            status.cluster_id = Some(database.mark.cluster.clone());
            status.deletion_policy = Some(deletion_policy(live));
            status.active_operation = Some(active.clone());
            let beginning = match to {
                DatabasePhase::Creating => ("Creating", "a driver is making the database"),
                DatabasePhase::DeletionRequested => ("Deleting", "a driver is taking the database down"),
                DatabasePhase::BackupBeforeDeleteRequested => {
                    ("BackingUp", "a driver is writing the final backup; no login works any more")
                }
                DatabasePhase::RestoreInProgress => ("Restoring", "a driver is loading a backup"),
                // A repair, or a backup: Ready is about the generation before until it ends, and so is what
                // is observed.
                DatabasePhase::Created
                | DatabasePhase::BackupRequested
                | DatabasePhase::BackupInProgress
                | DatabasePhase::BackupCompleted
                | DatabasePhase::RestoreRequested
                | DatabasePhase::RestoreCompleted
                | DatabasePhase::BackupBeforeDeleteInProgress
                | DatabasePhase::BackupBeforeDeleteCompleted
                | DatabasePhase::DeletionInProgress
                | DatabasePhase::Deleted => return Ok(Wish::Write),
            };
            status.observed_generation = Some(generation);
            status.conditions.set(READY, false, beginning.0, beginning.1, generation, &now);
            Ok(Wish::Write)
        })
        .await?;
        self.due.claimed = true;
        Ok(())
    }

    /// Whether the object is Created, and is asked for as a run has found it or made it, so that most likely nothing is to
    /// be done. No claim is needed to look.
    pub(crate) fn is_observed(&self) -> bool {
        self.live.is_guarded()
            && self.live.status.as_ref().is_some_and(|status| {
                status.phase == Some(DatabasePhase::Created)
                    && status.observed_generation == Some(self.due.generation)
                    && status.created_at.is_some()
                    && status.binding.is_some()
                    && status.active_operation.is_none()
            })
    }

    /// Says that the database is what the spec asks for.
    pub(crate) async fn created(&mut self, secret: &str, database: &Target) -> Result<()> {
        let (now, generation, job) = (now(), self.due.generation, self.due.job.clone());
        let operation = self.due.operation;
        let reconcile = self.live.annotation(RECONCILE_ANNOTATION).map(str::to_owned);
        let object = self.to_string();
        self.swap(|live, status| {
            step::<Database>(status, DatabasePhase::Created, &object)?;
            status.binding = Some(Binding { name: secret.to_owned() });
            status.created_at.get_or_insert_with(|| now.clone());
            status.verified_at = Some(now.clone());
            status.active_operation = None;
            status.cluster_id = Some(database.mark.cluster.clone());
            status.deletion_policy = Some(deletion_policy(live));
            if operation == Operation::Create {
                // A Restore records its Job itself.
                status.last_handled_reconcile.clone_from(&reconcile);
                status.last_completed_job = Some(job.clone());
            }
            status.observed_generation = Some(generation);
            status.conditions.retain(|condition| condition.type_ != STALLED);
            let message = format!("the login is in Secret {secret}");
            status.conditions.set(READY, true, "Created", &message, generation, &now);
            Ok(Wish::Write)
        })
        .await?;
        self.due.claimed = false;
        Ok(())
    }

    /// Says that the login was handed out, though no run could say that the database was complete.
    pub(crate) async fn handed_out(&mut self) -> Result<()> {
        let (now, phase) = (now(), self.live.phase().unwrap_or(DatabasePhase::Creating));
        self.advance(phase, |status| {
            status.created_at.get_or_insert_with(|| now.clone());
        })
        .await
    }

    /// Takes the claim of a backup, or of a restore that has changed nothing yet, off again: this run's own, or the one
    /// that it has found. Another's, which came since, stays.
    pub(crate) async fn unclaim(&mut self) -> Result<()> {
        let (own, found) = (self.due.job.clone(), self.due.found.clone());
        let unclaimed = self
            .swap(|live, status| {
                let claim = claimant(live);
                if !may_unclaim(status.phase, claim.as_ref(), &own.as_str(), found.as_deref().as_ref()) {
                    return Ok(Wish::Leave);
                }
                status.phase = Some(DatabasePhase::Created);
                status.active_operation = None;
                Ok(Wish::Write)
            })
            .await;
        self.due.claimed = false;
        unclaimed
    }

    /// Says why it does not go on, unless this run has no say any more: its work is done, or another run has claimed the
    /// object. A failure to say so is logged: the run has failed already.
    pub(crate) async fn failed(&mut self, reason: Reason, message: &str, server: &str, database: &str) {
        let (now, generation) = (now(), self.due.generation);
        let as_it_was = self.due.clone();
        // What is written may be judged by what is there alone: the claim is given back by the same write.
        self.due.claimed = false;
        let written = self
            .swap(|live, status| {
                if !as_it_was.running().has_a_say(&judged(live)) {
                    return Ok(Wish::Leave);
                }
                let phase = *status.phase.get_or_insert(DatabasePhase::Creating);
                // Which Restore has given up what was there must stay known: it alone may say that all is loaded.
                let keeps_claim = restore_is_begun(Some(phase));
                let is_said = status.observed_generation == Some(generation)
                    && (status.active_operation.is_none() || keeps_claim)
                    && Conditions::get(&status.conditions, READY)
                        .is_some_and(|ready| ready.reason == reason.as_str() && ready.message == message);
                if is_said {
                    return Ok(Wish::Leave);
                }
                status.server = Some(server.to_owned());
                status.database = Some(database.to_owned());
                if !keeps_claim {
                    status.active_operation = None;
                }
                status.observed_generation = Some(generation);
                set_failed(&mut status.conditions, reason, message, generation, &now);
                Ok(Wish::Write)
            })
            .await;
        if let Err(error) = written {
            warn!(error = error.chain(), "cannot write the condition");
        }
    }
}

/// The object, as a run is judged by it.
fn judged(live: &Database) -> Live<&str> {
    Live {
        phase: live.phase(),
        intent: Intent::of(live),
        was_created: was_created(live),
        claim: claimant(live),
        completed: live.status.as_ref().and_then(|status| status.last_completed_job.as_deref()),
    }
}

/// The Job that has claimed the object.
fn claimant(live: &Database) -> Option<&str> {
    let active = live.status.as_ref()?.active_operation.as_ref()?;
    Some(&active.job)
}

/// Whether the database has been complete once.
fn was_created(live: &Database) -> bool {
    live.status.as_ref().is_some_and(|status| status.created_at.is_some())
}
