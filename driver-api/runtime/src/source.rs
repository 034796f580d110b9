//! Where a restore takes its backup from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tracing::info;

use crate::credentials;
use crate::failure::{Failure, Result, kubernetes};
use crate::folder;
use crate::record::objects::Objects;
use crate::run::Run;
use api::{Backup, BackupLocation, BackupPhase, Reason, RestoreSource, TlsCaSource, env};
use driver::dump::{Description, Reader, Source, Stream};
use driver::secret::Secret;
use store::{Download, Manifest, Store};

const DECRYPTION_KEY: &str = "from.decryptionKey";

/// Where a backup is to be taken from.
pub(crate) struct SourceLocation {
    location: BackupLocation,
    /// What a message calls it.
    field: String,
    /// The Backup that names it, and the SHA-256 of the manifest that it has recorded.
    recorded: Option<(String, String)>,
}

impl SourceLocation {
    /// Where `source` says. The store is not asked.
    pub(crate) async fn of(source: &RestoreSource, run: &Run<'_>) -> Result<Self> {
        let found = match (&source.backup, &source.location) {
            (Some(name), _) => {
                let (location, checksum) = recorded(name, run).await?;
                let field = format!("Backup {name}: status.location.s3");
                Self { location, field, recorded: Some((name.clone(), checksum)) }
            }
            (None, Some(location)) => {
                let field = "from.location.s3".to_owned();
                Self { location: location.clone(), field, recorded: None }
            }
            (None, None) => {
                return Err(Failure::new(Reason::Invalid, "from has neither backup nor location"));
            }
        };
        Ok(found)
    }

    /// Fails if the run was given keys for it that are not from where the live object says.
    pub(crate) fn check_given(&self, source: &RestoreSource, run: &Run<'_>) -> Result<()> {
        let injected = &run.assignment.injected;
        folder::check(&self.location.s3, injected, &self.field)?;
        match &source.decryption_key {
            Some(key) => credentials::check_value(key, env::DECRYPTION_KEY, injected, DECRYPTION_KEY),
            None => Ok(()),
        }
    }
}

/// A backup that is complete.
pub(crate) struct SourceBackup {
    store: Store,
    path: String,
    manifest: Manifest,
    key: Option<Secret>,
}

impl SourceBackup {
    /// The backup at that location, which `source` has named. Nothing of it is read but the manifest.
    pub(crate) async fn at(from: SourceLocation, source: &RestoreSource, run: &mut Run<'_>) -> Result<Self> {
        let SourceLocation { location, field, recorded } = from;
        let store = folder::open(&location.s3, &run.assignment.injected, &mut run.hidden, &field).await?;
        let mut key = None;
        if let Some(source) = &source.decryption_key {
            let injected = &run.assignment.injected;
            let value = credentials::value(source, env::DECRYPTION_KEY, injected, DECRYPTION_KEY).await?;
            run.hidden.hide(&value);
            key = Some(value);
        }
        let found = store.read_manifest(&location.path).await?;
        let url = store.url(&location.path);
        let stored = found.ok_or_else(|| {
            Failure::new(
                Reason::BackupMissing,
                format!(
                    "there is no manifest.json in {url}: correct the location, or wait until the backup is complete"
                ),
            )
        })?;
        if let Some((name, checksum)) = recorded
            && stored.sha256 != checksum
        {
            return Err(Failure::new(
                Reason::BackupDamaged,
                format!(
                    "the manifest in {url} is not the one that Backup {name} has recorded: restore from another backup, and see who writes to that bucket"
                ),
            ));
        }
        Ok(Self { store, path: location.path, manifest: stored.manifest, key })
    }

    /// Where it is, for people.
    pub(crate) fn url(&self) -> String {
        self.store.url(&self.path)
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
        self.store.verify(&self.path, &self.manifest, self.key.as_ref()).await?;
        info!(source = self.url(), "the backup is what was written");
        Ok(())
    }

    /// Opens it for a load.
    /// `read` counts the bytes that have been read of it.
    pub(crate) fn open(&self, read: &Arc<AtomicU64>) -> Result<Counted<Download>> {
        let inner = self.store.open(&self.path, self.manifest.clone(), self.key.as_ref())?;
        Ok(Counted { inner, read: Arc::clone(read) })
    }
}

/// The authorities that `source` names for its object store, whatever has become of the backup.
pub(crate) async fn named_authorities(source: &RestoreSource, run: &Run<'_>) -> Result<Option<TlsCaSource>> {
    let location = match &source.backup {
        Some(name) => find(name, run).await?.and_then(|backup| backup.status?.location),
        None => source.location.clone(),
    };
    Ok(location.and_then(|location| location.s3.ca))
}

/// The Backup of that name.
async fn find(name: &str, run: &Run<'_>) -> Result<Option<Backup>> {
    let found = Objects::<Backup>::new(run.client.clone(), &run.assignment.namespace).get(name).await;
    found.map_err(|error| kubernetes(&format!("cannot read the Backup {name}"), error))
}

/// Where the Backup of that name is stored, and the SHA-256 of its manifest.
async fn recorded(name: &str, run: &Run<'_>) -> Result<(BackupLocation, String)> {
    let backup = find(name, run).await?;
    let missing = |why: String| Failure::new(Reason::BackupMissing, why);
    // It may go at any moment, and with it what a restore has begun to load.
    if backup.as_ref().is_some_and(Backup::is_being_deleted) && !run.restore_is_begun() {
        return Err(missing(format!("Backup {name} is being deleted: name another one")));
    }
    let complete = backup.filter(|backup| backup.phase() == Some(BackupPhase::Completed));
    let status = complete.and_then(|backup| backup.status).unwrap_or_default();
    let location = status.location.ok_or_else(|| {
        missing(format!(
            "there is no Backup {name} in phase Completed in this namespace: wait for it, or name another"
        ))
    })?;
    let checksum = status.checksum.ok_or_else(|| {
        missing(format!(
            "Backup {name} has recorded no checksum to compare what is stored with: wait until it is Ready, or name its status.location in place of it"
        ))
    })?;
    Ok((location, checksum))
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
