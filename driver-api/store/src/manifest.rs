//! What a backup says about itself.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::attempt::is_attempt;
use super::keys::Recipients;
use driver::dump::{Description, Stream};
use driver::error::{DriverError, ErrorKind, Result};
use driver::names::sha256;

/// The newest form of a manifest that is read, and the one that is written.
pub(crate) const FORMAT_VERSION: u64 = 1;

/// The longest manifest in bytes: it is read whole.
pub(crate) const LONGEST_MANIFEST: usize = 64 << 20;

/// The name of a manifest's object, in the folder of its backup.
pub(crate) const MANIFEST_NAME: &str = "manifest.json";

/// Everything that a restore needs to know: a backup exists if its manifest does.
///
/// A restore by hand takes it, an S3 client, `age` if it is encrypted, and `zstd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The form of this document.
    pub format_version: u64,
    /// What it is a backup of.
    pub backup: BackupIdentity,
    /// What the driver says of the dump.
    pub description: Description,
    /// When the dump began, in RFC 3339.
    pub started: Moment,
    /// When it was whole, in RFC 3339.
    pub completed: Moment,
    /// The attempt that won; its segments are in the folder of that name.
    pub attempt: String,
    /// How every segment is compressed: `zstd`.
    pub compression: String,
    /// How every segment is encrypted after that, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The streams, in the order in which they were opened.
    pub streams: Vec<StoredStream>,
    /// Sums over all streams.
    pub totals: Totals,
}

/// A manifest as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// What it says.
    pub manifest: Manifest,
    /// The SHA-256 of its bytes as they are stored, in hexadecimal digits.
    pub sha256: String,
}

impl StoredManifest {
    /// Reads the bytes of the manifest at `url`.
    pub(super) fn read(json: &[u8], url: &str) -> Result<Self> {
        Ok(Self { manifest: Manifest::parse(json, url)?, sha256: sha256(json) })
    }
}

/// What a backup is a backup of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupIdentity {
    /// The namespace of the Database and the Backup.
    pub namespace: String,
    /// The Database's name.
    pub database: String,
    /// The Database's uid.
    pub database_uid: String,
    /// The Backup's uid.
    pub backup_uid: String,
    /// The database's name on the server.
    pub server_database: String,
    /// The driver's type, such as `postgresql`.
    pub driver: String,
}

/// How segments are encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// `age`.
    pub method: String,
    /// The public keys: the private half of any of them opens the backup.
    pub recipients: Vec<String>,
}

/// A stream, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredStream {
    /// The stream: its name, what takes it, its rows, and its length uncompressed.
    #[serde(flatten)]
    pub stream: Stream,
    /// The SHA-256 of its bytes, uncompressed, in hexadecimal.
    pub sha256: String,
    /// The objects that hold it. Each is decrypted and uncompressed by itself; one after the other they are
    /// the stream.
    pub segments: Vec<Segment>,
}

/// An object that holds a stream, or a piece of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// Its key, seen from the manifest's folder.
    pub key: String,
    /// Its length in bytes, as it is stored.
    pub bytes: u64,
    /// The SHA-256 of its bytes, as it is stored, in hexadecimal.
    pub sha256: String,
}

/// Sums over all streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Bytes, uncompressed.
    pub bytes: u64,
    /// Bytes, as they are stored.
    pub stored_bytes: u64,
}

impl Manifest {
    /// Reads the manifest at `url`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if a newer release wrote it, [`ErrorKind::BackupDamaged`] if it is not
    /// a manifest.
    fn parse(json: &[u8], url: &str) -> Result<Self> {
        let damaged = |why: &dyn fmt::Display| {
            DriverError::new(
                ErrorKind::BackupDamaged,
                format!("{url} is not the manifest of a backup: {why}; restore from another backup"),
            )
        };
        let value: Value = serde_json::from_slice(json).map_err(|error| damaged(&error))?;
        match value.get("formatVersion").and_then(Value::as_u64) {
            Some(version) if version > FORMAT_VERSION => Err(DriverError::new(
                ErrorKind::Unsupported,
                format!(
                    "{url} has format version {version}, and this release reads up to {FORMAT_VERSION}: restore with the release that wrote it, or a newer one"
                ),
            )),
            Some(FORMAT_VERSION) => {
                let manifest: Self = serde_json::from_value(value).map_err(|error| damaged(&error))?;
                manifest.check_keys().map_err(|why| damaged(&why))?;
                Ok(manifest)
            }
            _ => Err(damaged(&"it has no format version that is known")),
        }
    }

    /// Whether it names nothing but segments of its own attempt: whoever may write a manifest must not have us read what
    /// lies elsewhere.
    fn check_keys(&self) -> Result<(), String> {
        if !is_attempt(&self.attempt) {
            return Err(format!("{:?} cannot name an attempt", self.attempt));
        }
        let suffix = if self.encryption.is_some() { ".zst.age" } else { ".zst" };
        for Segment { key, .. } in self.streams.iter().flat_map(|stored| &stored.segments) {
            let number = key
                .strip_prefix(&self.attempt)
                .and_then(|rest| rest.strip_prefix("/seg-"))
                .and_then(|rest| rest.strip_suffix(suffix));
            if !number.is_some_and(|number| number.len() >= 5 && number.chars().all(|c| c.is_ascii_digit())) {
                return Err(format!(
                    "it names the object {key:?}, which is not a segment of its attempt {}",
                    self.attempt
                ));
            }
        }
        Ok(())
    }

    /// The document, for people too.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| {
            DriverError::new(ErrorKind::Internal, "cannot write the manifest: report this").with_source(error)
        })?;
        if json.len() > LONGEST_MANIFEST {
            let message = format!(
                "the dump has {} streams, and its manifest would be longer than {} MiB: back up fewer tables at once, in databases of their own",
                self.streams.len(),
                LONGEST_MANIFEST >> 20
            );
            return Err(DriverError::new(ErrorKind::Unsupported, message));
        }
        Ok(json)
    }

    /// Whether it is encrypted to just those `recipients`; to none of them means not at all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a recipient that cannot be.
    pub fn is_encrypted_to(&self, recipients: &[String]) -> Result<bool> {
        let wanted = Recipients::parse(recipients)?.texts();
        let is = self.encryption.iter().flat_map(|encryption| &encryption.recipients);
        Ok(is.collect::<BTreeSet<_>>() == wanted.iter().collect())
    }

    /// The stream of that name.
    pub(super) fn stream(&self, name: &str) -> Option<&StoredStream> {
        self.streams.iter().find(|stored| stored.stream.info.name == name)
    }
}

/// A moment, which is RFC 3339 in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl Moment {
    /// This moment, to the second.
    pub(super) fn now() -> Self {
        let now = Timestamp::now();
        Self(Timestamp::from_second(now.as_second()).unwrap_or(now))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}
