//! A place for backups.

use super::attempt::{is_attempt, random_attempt};
use super::client::Client;
use super::download::Download;
use super::keys::{Identities, Recipients};
use super::leftovers::abort_uploads;
use super::lengths;
use super::manifest::{LONGEST_MANIFEST, MANIFEST_NAME, Manifest, StoredManifest};
use super::retry::Patience;
use super::sizes::Sizes;
use super::target::StoreTarget;
use super::upload::Upload;
use super::verify;
use super::words::check_path;
use driver::error::{DriverError, ErrorKind, Result};
use driver::secret::Secret;

/// A place for backups.
#[derive(Clone, Debug)]
pub struct Store {
    /// For what asks.
    client: Client,
    /// For what moves data.
    mover: Client,
    sizes: Sizes,
}

impl Store {
    /// The store of that target. It asks the store nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the target's words make no request.
    pub fn new(target: StoreTarget) -> Result<Self> {
        let client = Client::new(target, Patience::ASKING)?;
        Ok(Self { mover: client.with_patience(Patience::MOVING), client, sizes: Sizes::default() })
    }

    /// The same with other limits.
    pub fn with(target: StoreTarget, patience: Patience, sizes: Sizes) -> Result<Self> {
        let client = Client::new(target, patience)?;
        Ok(Self { mover: client.clone(), client, sizes })
    }

    /// The backup's folder for people, such as `s3://bucket/prefix/path`.
    pub fn url(&self, path: &str) -> String {
        self.client.target().url(path)
    }

    /// Begins an attempt at the backup at `path`, such as `<namespace>/<database>/<backup uid>`. It ends
    /// all multipart uploads of earlier attempts; an attempt that is still alive fails then.
    ///
    /// `attempt` is its name, of letters, digits and dashes; without one it gets a random name. `recipients`
    /// are age public keys; without any, nothing is encrypted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a path, an attempt or a recipient that cannot be, and the kinds of a
    /// store.
    pub async fn begin(&self, path: &str, attempt: Option<&str>, recipients: &[String]) -> Result<Upload> {
        let folder = self.folder(path)?;
        let attempt = attempt.map_or_else(random_attempt, |attempt| Ok(attempt.to_owned()))?;
        if !is_attempt(&attempt) {
            let message = format!("{attempt:?} cannot name an attempt: use letters, digits and dashes");
            return Err(DriverError::new(ErrorKind::Invalid, message));
        }
        let recipients = Recipients::parse(recipients)?;
        Upload::begin(&self.client, self.mover.clone(), folder, attempt, recipients, self.sizes).await
    }

    /// The manifest of the backup at `path`, or none if there is no backup.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if a newer release wrote it, [`ErrorKind::BackupDamaged`] if it is
    /// something else, and the kinds of a store.
    pub async fn read_manifest(&self, path: &str) -> Result<Option<StoredManifest>> {
        let key = format!("{}/{MANIFEST_NAME}", self.folder(path)?);
        let found = self.client.get(&key, LONGEST_MANIFEST).await?;
        let url = format!("{}/{MANIFEST_NAME}", self.url(path));
        found.map(|found| StoredManifest::read(&found, &url)).transpose()
    }

    /// Opens the backup at `path` for a load. `identity` is the text of an age identity file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DecryptionFailed`] if the backup is encrypted, and not to a key of `identity`.
    pub fn open(&self, path: &str, manifest: Manifest, identity: Option<&Secret>) -> Result<Download> {
        let identities = identity.map(Identities::parse).transpose()?;
        Download::new(self.mover.clone(), self.folder(path)?, manifest, identities)
    }

    /// Reads the whole backup at `path` back, and compares lengths and hashes: those of what is stored,
    /// and, if it is not encrypted or `identity` opens it, those of what was dumped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BackupDamaged`], which names the object, if something is missing, short or changed;
    /// [`ErrorKind::DecryptionFailed`] if `identity` is given and does not open it.
    pub async fn verify(&self, path: &str, manifest: &Manifest, identity: Option<&Secret>) -> Result<()> {
        let identities = identity.map(Identities::parse).transpose()?;
        let folder = self.folder(path)?;
        verify::verify(self.mover.clone(), folder, manifest.clone(), identities).await
    }

    /// Asks the store whether everything that the manifest names is there, as long as it was written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BackupDamaged`], which names the object, if something is missing or short.
    pub async fn check_lengths(&self, path: &str, manifest: &Manifest) -> Result<()> {
        let folder = self.folder(path)?;
        let segments = manifest.streams.iter().flat_map(|stored| &stored.segments);
        lengths::check(&self.client, &folder, &manifest.attempt, segments).await
    }

    /// Deletes the backup at `path`: first its manifest, so that nothing is taken for a backup that is
    /// not whole, then everything in its folder. If there is none, that is no error.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let folder = self.folder(path)?;
        self.client.delete(&format!("{folder}/{MANIFEST_NAME}")).await?;
        abort_uploads(&self.client, &format!("{folder}/")).await?;
        for key in self.client.list(&format!("{folder}/")).await?.into_keys() {
            self.client.delete(&key).await?;
        }
        Ok(())
    }

    /// The whole key of a path's folder.
    fn folder(&self, path: &str) -> Result<String> {
        check_path(path)?;
        Ok(self.client.target().key(path))
    }
}
