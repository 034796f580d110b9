//! What is written on a Backup besides its progress: its finalizer, and what becomes of what it stored.

use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tracing::info;

use super::database::kubernetes;
use super::{CONFLICT_TRIES, Request, cannot, contended, is_wanted, now};
use crate::failure::Result;
use api::Reason;
use api::{BACKUP_FINALIZER, Backup, BackupPhase, Conditions, READY, STALLED};

impl Request<Backup> {
    /// Reads the live Backup, which somebody deletes. None where it is gone, or another one has its name.
    pub(crate) async fn load_deleted(
        client: Client,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<Option<Self>> {
        let api: Api<Backup> = Api::namespaced(client, namespace);
        let found = api.get_opt(name).await;
        let found = found.map_err(|error| kubernetes(&cannot::<Backup>("read", name), error))?;
        Ok(found.filter(|live| is_wanted(live, Some(uid), true)).map(|live| Self {
            api,
            live,
            deleted: true,
        }))
    }

    /// Sets our finalizer, where what is stored is to be deleted with the object. From then on something may be.
    pub(crate) async fn guard(&mut self) -> Result<()> {
        for _ in 0..CONFLICT_TRIES {
            if self.live.is_guarded() || !self.live.deletes_what_is_stored() {
                return Ok(());
            }
            let mut finalizers = self.live.metadata.finalizers.clone().unwrap_or_default();
            finalizers.push(BACKUP_FINALIZER.to_owned());
            match self.swap_finalizers(&finalizers).await {
                Ok(live) => {
                    info!(finalizer = BACKUP_FINALIZER, name = self.name(), "guarded the Backup");
                    self.live = live;
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_conflict() => self.reload().await?,
                Err(kube::Error::Api(status)) if status.is_not_found() => return Err(self.gone()),
                Err(error) => {
                    return Err(kubernetes(&cannot::<Backup>("set the finalizer on", self.name()), error));
                }
            }
        }
        Err(contended())
    }

    /// Takes our finalizer off, which is the last effect of its deletion.
    pub(crate) async fn release(&mut self) -> Result<()> {
        for _ in 0..CONFLICT_TRIES {
            let all = self.live.metadata.finalizers.iter().flatten();
            let rest: Vec<_> = all.filter(|name| *name != BACKUP_FINALIZER).cloned().collect();
            match self.swap_finalizers(&rest).await {
                Ok(_) => {
                    info!(finalizer = BACKUP_FINALIZER, name = self.name(), "released the Backup");
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
                Err(kube::Error::Api(status)) if status.is_conflict() => {
                    if self.reload().await.is_err_and(|error| error.reason() == Reason::Superseded) {
                        // It is gone, which is what was wanted.
                        return Ok(());
                    }
                }
                Err(error) => {
                    return Err(kubernetes(&cannot::<Backup>("take the finalizer off", self.name()), error));
                }
            }
        }
        Err(contended())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one module that writes this finalizer")]
    async fn swap_finalizers(&self, finalizers: &[String]) -> kube::Result<Backup> {
        let metadata = &self.live.metadata;
        let patch = json!({"metadata": {
            "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": finalizers,
        }});
        self.api.patch(self.name(), &PatchParams::default(), &Patch::Merge(&patch)).await
    }

    /// Says what becomes of what is stored.
    pub(crate) async fn deleting(&mut self, reason: &str, message: &str) -> Result<()> {
        let (now, generation) = (now(), self.generation());
        let phase = self.live.phase().unwrap_or(BackupPhase::Starting);
        self.write(phase, |status| {
            status.observed_generation = Some(generation);
            status.conditions.retain(|condition| condition.type_ != STALLED);
            status.conditions.set(READY, false, reason, message, generation, &now);
        })
        .await
    }
}
