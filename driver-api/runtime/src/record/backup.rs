//! The record of a Backup: besides its progress, what becomes of what it stored; and the one Backup that is nobody's
//! wish.

use std::collections::BTreeMap;

use kube::Client;
use kube::api::ObjectMeta;
use tracing::info;

use super::finalizer::Guarded;
use super::objects::Objects;
use super::request::{Common, Requested, Wanted, common};
use super::{Kind, Record, now};
use crate::failure::{Result, kubernetes};
use api::lifecycle::backup_may_follow;
use api::{
    BACKUP_FINALIZER, Backup, BackupDeletionPolicy, BackupPhase, BackupSpec, BackupStatus, Conditions,
    MANAGED_BY, MANAGED_BY_LABEL, READY, STALLED, UID_LABEL,
};

impl Kind for Backup {
    type Phase = BackupPhase;
    type Status = BackupStatus;
    type Due = Wanted;

    fn status(&self) -> Option<&BackupStatus> {
        self.status.as_ref()
    }

    fn phase(status: &mut BackupStatus) -> &mut Option<BackupPhase> {
        &mut status.phase
    }

    fn may_follow(from: Option<BackupPhase>, to: BackupPhase) -> bool {
        backup_may_follow(from, to)
    }

    fn check(&self, due: &Wanted) -> Result<()> {
        due.check(self)
    }
}

impl Guarded for Backup {
    const FINALIZER: &'static str = BACKUP_FINALIZER;

    fn is_to_be_guarded(&self) -> bool {
        self.deletes_what_is_stored()
    }
}

impl Requested for Backup {
    const COMPLETED: BackupPhase = BackupPhase::Completed;

    fn common(status: &mut BackupStatus) -> Common<'_> {
        common!(status)
    }
}

impl Record<Backup> {
    /// Makes the Backup `name`, which records the final backup of the Database `database` with that uid.
    pub(crate) async fn make(
        client: Client,
        namespace: &str,
        name: &str,
        database: &str,
        uid: &str,
    ) -> Result<Self> {
        // By the uid, it is never taken for a wish of the next Database of that name.
        let labels = [(MANAGED_BY_LABEL, MANAGED_BY), (UID_LABEL, uid)];
        let backup = Backup {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned())))),
                ..ObjectMeta::default()
            },
            spec: BackupSpec {
                database: database.to_owned(),
                deletion_policy: Some(BackupDeletionPolicy::Retain),
            },
            status: None,
        };
        let made = Objects::new(client.clone(), namespace).create(&backup).await;
        let made = made.map_err(|error| kubernetes(&format!("cannot make the Backup {name}"), error))?;
        info!(backup = name, "made the Backup that records the final backup");
        Ok(Self::of(client, namespace, made, Wanted::Alive))
    }

    /// Says what becomes of what is stored.
    pub(crate) async fn deleting(&mut self, reason: &str, message: &str) -> Result<()> {
        let (now, generation) = (now(), self.generation());
        let phase = self.live.phase().unwrap_or(BackupPhase::Starting);
        self.advance(phase, |status| {
            status.observed_generation = Some(generation);
            status.conditions.retain(|condition| condition.type_ != STALLED);
            status.conditions.set(READY, false, reason, message, generation, &now);
        })
        .await
    }
}
