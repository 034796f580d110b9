//! A driver, as far as the operator can tell: it reads the live object, asks the lifecycle, and writes phases.

use std::sync::Arc;

use api::lifecycle::{Intent, permits};
use api::{Database, Operation};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::pods::Pods;
use crate::server::Server;
use crate::store::Key;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
}

/// A run of a driver.
pub(crate) struct Run<'a> {
    pub(crate) server: &'a Arc<Server>,
    pub(crate) job: &'a Value,
    pub(crate) chance: &'a mut Chance,
    pub(crate) pods: &'a Pods,
    /// The uid of the object that it works on.
    pub(crate) uid: &'a str,
}

/// The work is not permitted any more, or the run dies.
struct Ended(Exit);

pub(crate) async fn drive(run: &mut Run<'_>) -> Exit {
    let label = |name: &str| run.job["metadata"]["labels"][name].as_str().unwrap_or_default().to_owned();
    let operation: Operation = label("db.isotoma.com/operation").parse().unwrap();
    let request = label("db.isotoma.com/request");
    let ended = match operation {
        Operation::Create => run.create().await,
        Operation::Backup => run.request("backups", "Backup", &["Starting", "BackingUp"], &request).await,
        Operation::Restore => run.request("restores", "Restore", &["Starting", "Restoring"], &request).await,
        Operation::BackupBeforeDelete => {
            let phases =
                ["Requested", "InProgress", "Completed"].map(|end| format!("BackupBeforeDelete{end}"));
            run.phases(operation, &phases).await
        }
        Operation::Delete => run.delete().await,
        Operation::Release => run.release().await,
        Operation::Rotate | Operation::DeleteBackup => Ok(()),
    };
    match ended {
        Ok(()) => Exit::Done,
        Err(Ended(exit)) => exit,
    }
}

impl Run<'_> {
    /// A step, at whose end the run may die.
    async fn step(&mut self) -> Result<(), Ended> {
        sleep(self.chance.time(self.pods.step.0, self.pods.step.1)).await;
        let failing = self.server.state().cluster.pods.failing;
        if self.chance.thousandth(failing) { Err(Ended(Exit::Failed)) } else { Ok(()) }
    }

    /// The Database as it is now.
    fn database(&self) -> Result<(Key, Database), Ended> {
        let state = self.server.state();
        let found = state.store.with_uid("databases", self.uid);
        let (key, value) = found.ok_or(Ended(Exit::Done))?;
        Ok((key.clone(), serde_json::from_value(value.clone()).unwrap()))
    }

    /// The Database, if the operation is permitted on it now.
    fn permitted(&self, operation: Operation) -> Result<Key, Ended> {
        let (key, database) = self.database()?;
        let was_created = database.status.as_ref().is_some_and(|status| status.created_at.is_some());
        let is_permitted = permits(operation, database.phase(), Intent::of(&database), was_created);
        if is_permitted { Ok(key) } else { Err(Ended(Exit::Done)) }
    }

    fn job_name(&self) -> Value {
        self.job["metadata"]["name"].clone()
    }

    async fn phases(&mut self, operation: Operation, phases: &[String]) -> Result<(), Ended> {
        for phase in phases {
            self.step().await?;
            let key = self.permitted(operation)?;
            let (job, is_last) = (self.job_name(), Some(phase) == phases.last());
            self.server.update(&key, |database| {
                database["status"]["phase"] = json!(phase);
                if is_last {
                    database["status"]["lastCompletedJob"] = job;
                }
            });
        }
        Ok(())
    }

    async fn create(&mut self) -> Result<(), Ended> {
        self.step().await?;
        let key = self.permitted(Operation::Create)?;
        self.server.update(&key, |database| {
            database["metadata"]["finalizers"] = json!([api::FINALIZER]);
            if database["status"]["phase"].is_null() {
                database["status"] = json!({"phase": "Creating"});
            }
        });
        self.step().await?;
        self.permitted(Operation::Create)?;
        self.server.state().cluster.on_the_server.insert(self.uid.to_owned());
        self.step().await?;
        let key = self.permitted(Operation::Create)?;
        let (job, now) = (self.job_name(), self.server.now());
        self.server.update(&key, |database| {
            let generation = database["metadata"]["generation"].clone();
            let wish = database["metadata"]["annotations"][api::RECONCILE_ANNOTATION].clone();
            let policy = match (&database["spec"]["deletionPolicy"], &database["spec"]["backupTo"]) {
                (Value::Null, Value::Null) => json!("Retain"),
                (Value::Null, _) => json!("BackupThenDelete"),
                (said, _) => said.clone(),
            };
            database["status"] = json!({
                "phase": "Created", "createdAt": now, "verifiedAt": now, "lastCompletedJob": job,
                "deletionPolicy": policy, "observedGeneration": generation,
                "conditions": [{"type": "Ready", "status": "True", "reason": "Created", "message": "",
                                "observedGeneration": generation, "lastTransitionTime": now}],
            });
            if !wish.is_null() {
                database["status"]["lastHandledReconcile"] = wish;
            }
        });
        Ok(())
    }

    /// A Backup or a Restore of the Database.
    async fn request(
        &mut self,
        resource: &'static str,
        word: &str,
        phases: &[&str],
        uid: &str,
    ) -> Result<(), Ended> {
        let operation = if resource == "backups" { Operation::Backup } else { Operation::Restore };
        let active = if resource == "backups" { "backup" } else { "restore" };
        let job = self.job_name();
        let found = {
            let state = self.server.state();
            let found = state.store.with_uid(resource, uid).map(|(key, value)| (key.clone(), value.clone()));
            found.filter(|(_, value)| value["metadata"]["deletionTimestamp"].is_null())
        };
        let Some((of, _)) = found else {
            // What was begun for it is given up.
            self.step().await?;
            let key = self.permitted(operation)?;
            self.server.update(&key, |database| {
                database["status"]["phase"] = json!("Created");
                database["status"]["activeOperation"] = Value::Null;
            });
            return Ok(());
        };
        for (own, phase) in phases.iter().copied().zip(["Requested", "InProgress"]) {
            self.step().await?;
            let key = self.permitted(operation)?;
            self.server.update(&key, |database| {
                database["status"]["phase"] = json!(format!("{word}{phase}"));
                database["status"]["activeOperation"] =
                    json!({"operation": operation.as_str(), active: of.2, "job": job});
            });
            self.step().await?;
            self.server.update(&of, |request| {
                if request["status"]["phase"] != json!("Completed") {
                    request["status"]["phase"] = json!(own);
                }
            });
        }
        self.step().await?;
        let key = self.permitted(operation)?;
        self.server.update(&of, |request| {
            request["status"]["phase"] = json!("Completed");
            request["status"]["job"] = job.clone();
        });
        self.step().await?;
        self.server.update(&key, |database| database["status"]["phase"] = json!(format!("{word}Completed")));
        self.step().await?;
        let key = self.permitted(operation)?;
        self.server.update(&key, |database| {
            database["status"]["phase"] = json!("Created");
            database["status"]["activeOperation"] = Value::Null;
            database["status"]["lastCompletedJob"] = job;
        });
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), Ended> {
        let begin = ["DeletionRequested", "DeletionInProgress"].map(str::to_owned);
        self.phases(Operation::Delete, &begin).await?;
        let (_, database) = self.database()?;
        if Intent::of(&database) != Intent::Retain {
            self.server.state().cluster.on_the_server.remove(self.uid);
        }
        self.phases(Operation::Delete, &["Deleted".to_owned()]).await?;
        self.step().await?;
        let key = self.permitted(Operation::Delete)?;
        self.server.update(&key, |database| database["metadata"]["finalizers"] = json!([]));
        Ok(())
    }

    async fn release(&mut self) -> Result<(), Ended> {
        self.step().await?;
        let key = self.permitted(Operation::Release)?;
        self.server.update(&key, |database| database["metadata"]["finalizers"] = json!([]));
        Ok(())
    }
}
