//! Where dumps are kept: an S3 bucket, and how a dump lies in it.
//!
//! A backup has a folder, its location. Each attempt at it has a folder in that, and writes every stream of
//! the dump as one or more objects: compressed, then encrypted where that is asked for. The manifest is
//! written last and only once; a backup exists where its manifest does.
//!
//! ```text
//! <prefix>/<location>/<attempt>/seg-00001.zst[.age]
//! <prefix>/<location>/manifest.json
//! ```

pub mod aws;
mod client;
mod decode;
mod download;
mod encode;
mod fault;
mod fetch;
mod keys;
mod login;
mod manifest;
#[cfg(any(test, feature = "testing"))]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a server for tests may fail on the spot"
)]
pub mod memory;
mod progress;
mod retry;
mod stream;
mod target;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail on the spot"
)]
mod tests;
mod upload;
mod verify;

pub use self::download::Download;
pub use self::manifest::{BackupIdentity, Manifest};
pub use self::retry::Patience;
pub use self::target::{StoreCredentials, StoreTarget};
pub use self::upload::Upload;

use self::client::Client;
use self::keys::{Identities, Recipients};
use self::manifest::{MANIFEST_NAME, Segment};
use driver::error::{DriverError, ErrorKind, Result};
use driver::secret::Secret;

/// How dumps are cut.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The length of a part of a multipart upload in bytes; S3 wants 5 MiB and more, all but the last alike.
    /// A stream that is written costs three of them in memory.
    pub part: usize,
    /// The stored length, in bytes, after which a stream goes on in another object. S3 takes 10,000 parts.
    pub segment: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { part: 5 << 20, segment: 48 << 30 }
    }
}

/// A place for backups.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    sizes: Sizes,
}

impl Store {
    /// The store of that target. It asks the store nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] where the target's words make no request.
    pub fn new(target: StoreTarget) -> Result<Self> {
        Self::with(target, Patience::default(), Sizes::default())
    }

    /// The same with other limits.
    pub fn with(target: StoreTarget, patience: Patience, sizes: Sizes) -> Result<Self> {
        Ok(Self { client: Client::new(target, patience)?, sizes })
    }

    /// The backup's folder for people, such as `s3://bucket/prefix/location`.
    pub fn url(&self, location: &str) -> String {
        self.client.target().url(location)
    }

    /// Begins an attempt at the backup at `location`, such as `<namespace>/<database>/<backup uid>`. It ends
    /// all multipart uploads of earlier attempts; an attempt that is still alive fails then.
    ///
    /// `attempt` is its name, of letters, digits and dashes; without one it gets a random name. `recipients`
    /// are age public keys; without any, nothing is encrypted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a location, an attempt or a recipient that cannot be, and the kinds of a
    /// store.
    pub async fn begin(
        &self,
        location: &str,
        attempt: Option<&str>,
        recipients: &[String],
    ) -> Result<Upload> {
        let folder = self.folder(location)?;
        let attempt = attempt.map_or_else(upload::random_attempt, |attempt| Ok(attempt.to_owned()))?;
        if attempt.is_empty() || !attempt.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            let message = format!("{attempt:?} cannot name an attempt: use letters, digits and dashes");
            return Err(DriverError::new(ErrorKind::Invalid, message));
        }
        let recipients = Recipients::parse(recipients)?;
        Upload::begin(self.client.clone(), folder, attempt, recipients, self.sizes).await
    }

    /// The manifest of the backup at `location`, or none where there is no backup.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] where a newer release wrote it, [`ErrorKind::BackupDamaged`] where it is
    /// something else, and the kinds of a store.
    pub async fn read_manifest(&self, location: &str) -> Result<Option<Manifest>> {
        let key = format!("{}/{MANIFEST_NAME}", self.folder(location)?);
        let found = self.client.get(&key).await?;
        let url = format!("{}/{MANIFEST_NAME}", self.url(location));
        found.map(|found| Manifest::parse(&found, &url)).transpose()
    }

    /// Opens the backup at `location` for a load. `identity` is the text of an age identity file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DecryptionFailed`] where the backup is encrypted, and not to a key of `identity`.
    pub fn open(&self, location: &str, manifest: Manifest, identity: Option<&Secret>) -> Result<Download> {
        let identities = identity.map(Identities::parse).transpose()?;
        Download::new(self.client.clone(), self.folder(location)?, manifest, identities)
    }

    /// Reads the whole backup at `location` back, and compares lengths and hashes: those of what is stored,
    /// and, where it is not encrypted or `identity` opens it, those of what was dumped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BackupDamaged`], which names the object, where something is missing, short or changed;
    /// [`ErrorKind::DecryptionFailed`] where `identity` is given and does not open it.
    pub async fn verify(&self, location: &str, manifest: &Manifest, identity: Option<&Secret>) -> Result<()> {
        verify::verify(self, location, manifest, identity).await
    }

    /// Asks the store whether everything that the manifest names is there, as long as it was written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BackupDamaged`], which names the object, where something is missing or short.
    pub async fn check_lengths(&self, location: &str, manifest: &Manifest) -> Result<()> {
        let folder = self.folder(location)?;
        let segments = manifest.streams.iter().flat_map(|stored| &stored.segments);
        check_lengths(&self.client, &folder, &manifest.attempt, segments).await
    }

    /// Deletes the backup at `location`: first its manifest, so that nothing is taken for a backup that is
    /// not whole, then everything in its folder. Where there is none, that is no error.
    pub async fn delete(&self, location: &str) -> Result<()> {
        let folder = self.folder(location)?;
        self.client.delete(&format!("{folder}/{MANIFEST_NAME}")).await?;
        for upload in self.client.list_uploads(&format!("{folder}/")).await? {
            self.client.abort_upload(&upload).await?;
        }
        for key in self.client.list(&format!("{folder}/")).await?.into_keys() {
            self.client.delete(&key).await?;
        }
        Ok(())
    }

    /// The whole key of a location's folder.
    fn folder(&self, location: &str) -> Result<String> {
        let trimmed = location.trim_matches('/');
        // An empty one would be the folder of all backups, and `..` one beside it.
        if trimmed.split('/').any(|name| matches!(name, "" | "." | "..")) {
            let message = format!("{location:?} is not a place for a backup: report this");
            return Err(DriverError::new(ErrorKind::Invalid, message));
        }
        Ok(self.client.target().key(trimmed))
    }
}

/// Compares what the store has of an attempt with what it was given.
async fn check_lengths(
    client: &Client,
    folder: &str,
    attempt: &str,
    segments: impl Iterator<Item = &Segment>,
) -> Result<()> {
    let found = client.list(&format!("{folder}/{attempt}/")).await?;
    for segment in segments {
        let key = format!("{folder}/{}", segment.key);
        let length = found.get(&key).copied();
        if length != Some(segment.bytes) {
            let is = length.map_or_else(|| "gone".to_owned(), |length| format!("{length} bytes long"));
            let message = format!(
                "{key:?} was stored with {} bytes and is {is}: see who else writes to bucket {:?}",
                segment.bytes,
                client.target().bucket
            );
            return Err(DriverError::new(ErrorKind::BackupDamaged, message));
        }
    }
    Ok(())
}
