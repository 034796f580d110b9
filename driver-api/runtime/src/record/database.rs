//! The record of a Database in Kubernetes: the only module that writes its status and finalizer.
//!
//! Every write names the uid that the Job was launched for, and every status write the resource version that
//! was read. Where somebody else wrote in between, the object is read and judged anew before the next try.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tracing::{debug, info, warn};

use crate::env::{Assignment, RequestName};
use crate::failure::{Failure, Result};
use api::Operation;
use api::lifecycle::{Intent, may_follow, permits};
use api::{
    ActiveOperation, Binding, Conditions, DRIVER_FIELD_MANAGER, Database, DatabasePhase, DatabaseStatus,
    FINALIZER, READY, RECONCILE_ANNOTATION, STALLED,
};
use api::{Reason, Retry};

/// How often a status write is tried when others write the same object.
const CONFLICT_TRIES: usize = 5;

/// The live object, and what this run may write on it.
pub(crate) struct Record {
    api: Api<Database>,
    live: Database,
    operation: Operation,
    /// What the owner wanted when the object was loaded. A run serves one intent.
    intent: Intent,
    generation: i64,
    job: String,
    uid: String,
    request: Option<RequestName>,
}

/// What [`Record::load`] found.
pub(crate) enum Loaded {
    /// The object, on which this run may act.
    Due(Box<Record>),
    /// Nothing is left to do: the object is gone, or this very Job has done its work already.
    Done(&'static str),
}

impl Record {
    /// Reads the live object and checks that this run is due on it.
    pub(crate) async fn load(client: Client, assignment: &Assignment) -> Result<Loaded> {
        let api: Api<Database> = Api::namespaced(client, &assignment.namespace);
        let found = api.get_opt(&assignment.database).await;
        let Some(live) = found.map_err(|error| kubernetes("cannot read the Database", error))? else {
            return Ok(Loaded::Done("the Database is gone"));
        };
        if live.metadata.uid.as_deref() != Some(assignment.uid.as_str()) {
            return Ok(Loaded::Done("the Database was deleted, and another one has its name"));
        }
        let record = Self {
            api,
            intent: Intent::of(&live),
            live,
            operation: assignment.operation,
            generation: assignment.generation,
            job: assignment.job.clone(),
            uid: assignment.uid.clone(),
            request: assignment.request.clone(),
        };
        if record.status().last_completed_job.as_deref() == Some(record.job.as_str()) {
            return Ok(Loaded::Done("this Job has completed its operation already"));
        }
        if record.live.metadata.generation != Some(record.generation) {
            return Err(Failure::new(
                Reason::Superseded,
                format!(
                    "the Database has changed since generation {}: another run is due",
                    record.generation
                ),
            ));
        }
        record.check_due()?;
        Ok(Loaded::Due(Box::new(record)))
    }

    /// The object as it was last read or written.
    pub(crate) fn live(&self) -> &Database {
        &self.live
    }

    /// Its status; the default where there is none yet.
    pub(crate) fn status(&self) -> DatabaseStatus {
        self.live.status.clone().unwrap_or_default()
    }

    /// The status, if the work on a server has begun: only then it says where.
    pub(crate) fn begun(&self) -> Option<&DatabaseStatus> {
        self.live.status.as_ref().filter(|_| self.live.is_guarded())
    }

    /// Whether the database has been complete once, so that it may hold rows.
    pub(crate) fn was_created(&self) -> bool {
        self.live.status.as_ref().is_some_and(|status| status.created_at.is_some())
    }

    /// Sets our finalizer, which is the first effect of create.
    pub(crate) async fn guard(&mut self) -> Result<()> {
        if self.live.is_guarded() {
            return Ok(());
        }
        // Server-side apply merges the list, and refuses if the uid is another one.
        let patch = json!({
            "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
            "metadata": {"name": self.live.metadata.name, "uid": self.uid, "finalizers": [FINALIZER]},
        });
        match self.patch(&PatchParams::apply(DRIVER_FIELD_MANAGER).force(), &Patch::Apply(&patch)).await {
            Ok(live) => self.live = live,
            Err(error) => {
                // The API server takes no finalizer on an object that is being deleted, and no other uid.
                self.reload().await?;
                self.check_due()?;
                return Err(kubernetes("cannot set the finalizer on the Database", error));
            }
        }
        info!(finalizer = FINALIZER, "guarded the Database");
        self.check_due()
    }

    /// Claims the object for this run, in phase `to`.
    pub(crate) async fn claim(&mut self, to: DatabasePhase, server: &str, database: &str) -> Result<()> {
        let name_in = |operation| {
            let request = self.request.as_ref().filter(|_| self.operation == operation);
            request.map(|request| request.name.clone())
        };
        let active = ActiveOperation {
            operation: self.operation,
            job: self.job.clone(),
            backup: name_in(Operation::Backup),
            restore: name_in(Operation::Restore),
        };
        let (now, generation) = (now(), self.generation);
        self.write(to, |status| {
            status.server = Some(server.to_owned());
            status.database = Some(database.to_owned());
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
                _ => return,
            };
            status.observed_generation = Some(generation);
            status.conditions.set(READY, false, beginning.0, beginning.1, generation, &now);
        })
        .await
    }

    /// Says that the work has got to phase `to`.
    pub(crate) async fn advance(&mut self, to: DatabasePhase) -> Result<()> {
        self.write(to, |_| {}).await
    }

    /// Says that the database is what the spec asks for.
    pub(crate) async fn created(&mut self, secret: &str) -> Result<()> {
        let (now, generation, job) = (now(), self.generation, self.job.clone());
        let operation = self.operation;
        let reconcile = self.live.annotation(RECONCILE_ANNOTATION).map(str::to_owned);
        self.write(DatabasePhase::Created, |status| {
            status.binding = Some(Binding { name: secret.to_owned() });
            status.created_at.get_or_insert_with(|| now.clone());
            status.verified_at = Some(now.clone());
            status.active_operation = None;
            if operation == Operation::Create {
                // A Restore records its Job itself.
                status.last_handled_reconcile.clone_from(&reconcile);
                status.last_completed_job = Some(job.clone());
            }
            status.observed_generation = Some(generation);
            status.conditions.retain(|condition| condition.type_ != STALLED);
            let message = format!("the login is in Secret {secret}");
            status.conditions.set(READY, true, "Created", &message, generation, &now);
        })
        .await
    }

    /// Says that the login was handed out, though no run could say that the database was complete.
    pub(crate) async fn handed_out(&mut self) -> Result<()> {
        let (now, phase) = (now(), self.live.phase().unwrap_or(DatabasePhase::Creating));
        self.write(phase, |status| {
            status.created_at.get_or_insert_with(|| now.clone());
        })
        .await
    }

    /// Takes the claim of a backup, or of a restore that has changed nothing yet, off again.
    pub(crate) async fn unclaim(&mut self) -> Result<()> {
        match self.live.phase() {
            Some(
                DatabasePhase::BackupRequested
                | DatabasePhase::BackupInProgress
                | DatabasePhase::BackupCompleted
                | DatabasePhase::RestoreRequested,
            ) => self.write(DatabasePhase::Created, |status| status.active_operation = None).await,
            _ => Ok(()),
        }
    }

    /// Says why it does not go on. A failure to say so is logged: the run has failed already.
    pub(crate) async fn failed(&mut self, reason: Reason, message: &str, server: &str, database: &str) {
        let (now, generation) = (now(), self.generation);
        let phase = self.live.phase().unwrap_or(DatabasePhase::Creating);
        // Which Restore has given up what was there must stay known: it alone may say that all is loaded.
        let keeps_claim = matches!(phase, DatabasePhase::RestoreInProgress | DatabasePhase::RestoreCompleted);
        let unchanged = self.live.status.as_ref().is_some_and(|status| {
            status.observed_generation == Some(generation)
                && (status.active_operation.is_none() || keeps_claim)
                && Conditions::get(&status.conditions, READY)
                    .is_some_and(|ready| ready.reason == reason.as_str() && ready.message == message)
        });
        if unchanged {
            return;
        }
        let written = self
            .write(phase, |status| {
                status.server = Some(server.to_owned());
                status.database = Some(database.to_owned());
                if !keeps_claim {
                    status.active_operation = None;
                }
                status.observed_generation = Some(generation);
                status.conditions.set(READY, false, reason.as_str(), message, generation, &now);
                match reason.retry() {
                    Retry::Never => {
                        status.conditions.set(STALLED, true, reason.as_str(), message, generation, &now);
                    }
                    Retry::Later => status.conditions.retain(|condition| condition.type_ != STALLED),
                }
            })
            .await;
        if let Err(error) = written {
            warn!(error = error.chain(), "cannot write the condition");
        }
    }

    /// Takes our finalizer off, which is the last effect of delete.
    pub(crate) async fn release(&mut self) -> Result<()> {
        for _ in 0..CONFLICT_TRIES {
            let rest: Vec<_> =
                self.live.metadata.finalizers.iter().flatten().filter(|name| *name != FINALIZER).collect();
            let patch = json!({"metadata": {
                "uid": self.uid, "resourceVersion": self.live.metadata.resource_version, "finalizers": rest,
            }});
            match self.patch(&PatchParams::default(), &Patch::Merge(&patch)).await {
                Ok(_) => {
                    info!(finalizer = FINALIZER, "released the Database");
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
                Err(kube::Error::Api(status)) if status.is_conflict() => {
                    if self.reload().await.is_err_and(|error| error.reason() == Reason::Superseded) {
                        // It is gone, which is what was wanted.
                        return Ok(());
                    }
                }
                Err(error) => return Err(kubernetes("cannot take the finalizer off the Database", error)),
            }
        }
        Err(contended())
    }

    /// Changes the status by compare-and-swap. `change` may run more than once.
    async fn write(&mut self, to: DatabasePhase, change: impl Fn(&mut DatabaseStatus)) -> Result<()> {
        for _ in 0..CONFLICT_TRIES {
            let from = self.live.phase();
            if !may_follow(from, to) {
                return Err(Failure::new(
                    Reason::Superseded,
                    format!("phase {to:?} cannot follow {from:?}: another run has worked on the Database"),
                ));
            }
            let mut status = self.status();
            status.phase = Some(to);
            change(&mut status);
            match self.swap_status(&status).await {
                Ok(live) => {
                    if from != Some(to) {
                        info!(phase = ?to, "wrote the phase");
                    }
                    self.live = live;
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_conflict() => {
                    debug!("somebody else wrote the Database: reading it again");
                    self.reload().await?;
                    self.check_due()?;
                }
                Err(error) => return Err(kubernetes("cannot write the Database's status", error)),
            }
        }
        Err(contended())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one module that writes status")]
    async fn swap_status(&self, status: &DatabaseStatus) -> kube::Result<Database> {
        let mut fields = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        if let Some(fields) = fields.as_object_mut() {
            // In a merge patch, what is to be removed must be named.
            for name in ["activeOperation", "lastHandledReconcile"] {
                fields.entry(name).or_insert(serde_json::Value::Null);
            }
            fields.entry("conditions").or_insert_with(|| json!([]));
            if let Some(active) = fields.get_mut("activeOperation").and_then(|active| active.as_object_mut())
            {
                for name in ["backup", "restore"] {
                    active.entry(name).or_insert(serde_json::Value::Null);
                }
            }
        }
        let patch = json!({
            "metadata": {"uid": self.uid, "resourceVersion": self.live.metadata.resource_version},
            "status": fields,
        });
        let parameters =
            PatchParams { field_manager: Some(DRIVER_FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.api.patch_status(self.name(), &parameters, &Patch::Merge(&patch)).await
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one module that writes finalizers")]
    async fn patch(
        &self,
        parameters: &PatchParams,
        patch: &Patch<&serde_json::Value>,
    ) -> kube::Result<Database> {
        self.api.patch(self.name(), parameters, patch).await
    }

    async fn reload(&mut self) -> Result<()> {
        let live = self.api.get_opt(self.name()).await;
        match live.map_err(|error| kubernetes("cannot read the Database", error))? {
            Some(live) if live.metadata.uid.as_deref() == Some(self.uid.as_str()) => {
                self.live = live;
                Ok(())
            }
            _ => Err(Failure::new(Reason::Superseded, "the Database is gone")),
        }
    }

    /// Whether the operation may still act on the object as it is now, and for the intent it began with.
    fn check_due(&self) -> Result<()> {
        let (phase, intent) = (self.live.phase(), Intent::of(&self.live));
        // A backup that has begun is finished, whatever the owner wants meanwhile.
        let same_intent = intent == self.intent || self.operation == Operation::Backup;
        if same_intent && permits(self.operation, phase, intent, self.was_created()) {
            return Ok(());
        }
        Err(Failure::new(
            Reason::Superseded,
            format!(
                "{} may not act in phase {phase:?} with intent {intent:?}: another run is due",
                self.operation
            ),
        ))
    }

    fn name(&self) -> &str {
        self.live.metadata.name.as_deref().unwrap_or_default()
    }
}

fn now() -> Time {
    Time(Timestamp::now())
}

fn contended() -> Failure {
    Failure::new(Reason::Internal, "others keep writing the Database; trying again later")
}

/// An error of the API server, as ours. Anything there may be repaired elsewhere, so it is tried again.
pub(crate) fn kubernetes(what: &str, error: kube::Error) -> Failure {
    Failure::new(Reason::Internal, what).with_source(error)
}
