//! Where a restore takes its backup from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kube::Api;
use tracing::info;

use crate::Run;
use crate::credentials;
use crate::failure::{Failure, Result};
use crate::operations::restore;
use crate::record::database::kubernetes;
use crate::target;
use api::Reason;
use api::{Backup, BackupLocation, BackupPhase, RestoreSource};
use driver::dump::{Description, Reader, Source, Stream};
use driver::secret::Secret;
use store::{Download, Manifest, Store};

/// A backup that is complete.
pub(crate) struct Found {
    store: Store,
    location: String,
    manifest: Manifest,
    key: Option<Secret>,
}

impl Found {
    /// Finds the backup that `source` names. Nothing of it is read but the manifest.
    pub(crate) async fn by(source: &RestoreSource, run: &mut Run<'_>) -> Result<Self> {
        let (location, field) = match (&source.backup, &source.location) {
            (Some(name), _) => (location_of(name, run).await?, format!("Backup {name}: status.location.s3")),
            (None, Some(location)) => (location.clone(), "from.location.s3".to_owned()),
            (None, None) => {
                let message = "from has neither backup nor location";
                return Err(Failure::new(Reason::Invalid, message));
            }
        };
        let store = target::open(&location.s3, run.assignment, &mut run.hidden, &field).await?;
        let mut key = None;
        if let Some(source) = &source.decryption_key {
            let injected = run.assignment.decryption_key.as_ref();
            let value = credentials::value(source, injected, "from.decryptionKey").await?;
            run.hide(&value);
            key = Some(value);
        }
        let found = store.read_manifest(&location.path).await?;
        let manifest = found.ok_or_else(|| {
            Failure::new(
                Reason::BackupMissing,
                format!(
                    "there is no manifest.json in {}: correct the location, or wait until the backup is complete",
                    store.url(&location.path)
                ),
            )
        })?;
        Ok(Self { store, location: location.path, manifest, key })
    }

    /// Where it is, for people.
    pub(crate) fn url(&self) -> String {
        self.store.url(&self.location)
    }

    /// What it is a dump of.
    pub(crate) fn description(&self) -> &Description {
        &self.manifest.description
    }

    /// Its length in bytes, uncompressed.
    pub(crate) fn bytes(&self) -> u64 {
        self.manifest.totals.bytes
    }

    /// Fails unless an engine of `driver`'s type wrote it.
    pub(crate) fn check_engine(&self, driver: &str) -> Result<()> {
        let wrote = &self.manifest.backup.driver;
        if wrote == driver {
            return Ok(());
        }
        Err(Failure::new(
            Reason::Unsupported,
            format!("the backup in {} is one of {wrote}, and this Database is {driver}", self.url()),
        ))
    }

    /// Reads all of it, and compares the hashes.
    pub(crate) async fn verify(&self) -> Result<()> {
        self.store.verify(&self.location, &self.manifest, self.key.as_ref()).await?;
        info!(source = self.url(), "the backup is what was written");
        Ok(())
    }

    /// Opens it for a load.
    /// `read` counts the bytes that have been read of it.
    pub(crate) fn open(&self, read: &Arc<AtomicU64>) -> Result<Counted<Download>> {
        let inner = self.store.open(&self.location, self.manifest.clone(), self.key.as_ref())?;
        Ok(Counted { inner, read: Arc::clone(read) })
    }
}

/// Where the Backup of that name is stored.
async fn location_of(name: &str, run: &Run<'_>) -> Result<BackupLocation> {
    let api: Api<Backup> = Api::namespaced(run.client.clone(), &run.assignment.namespace);
    let found = api.get_opt(name).await;
    let backup = found.map_err(|error| kubernetes(&format!("cannot read the Backup {name}"), error))?;
    // It may go at any moment, and with it what a restore has begun to load.
    if backup.as_ref().is_some_and(Backup::is_being_deleted) && !restore::is_begun(run) {
        return Err(Failure::new(
            Reason::BackupMissing,
            format!("Backup {name} is being deleted: name another one"),
        ));
    }
    let complete = backup.filter(|backup| backup.phase() == Some(BackupPhase::Completed));
    complete.and_then(|backup| backup.status?.location).ok_or_else(|| {
        Failure::new(
            Reason::BackupMissing,
            format!(
                "there is no Backup {name} in phase Completed in this namespace: wait for it, or name another"
            ),
        )
    })
}

/// A source that counts what is read of it.
pub(crate) struct Counted<S> {
    inner: S,
    read: Arc<AtomicU64>,
}

impl<S: Source> Source for Counted<S> {
    type Reader = CountedReader<S::Reader>;

    fn description(&self) -> &Description {
        self.inner.description()
    }

    fn streams(&self) -> &[Stream] {
        self.inner.streams()
    }

    async fn open(&self, name: &str) -> driver::Result<Self::Reader> {
        Ok(CountedReader { inner: self.inner.open(name).await?, read: Arc::clone(&self.read) })
    }
}

/// A stream that counts what is read of it.
pub(crate) struct CountedReader<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Reader> Reader for CountedReader<R> {
    async fn read(&mut self) -> driver::Result<Option<Bytes>> {
        let chunk = self.inner.read().await?;
        let length = chunk.as_ref().map_or(0, Bytes::len);
        self.read.fetch_add(u64::try_from(length).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(chunk)
    }
}
