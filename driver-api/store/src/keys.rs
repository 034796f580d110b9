//! The age keys that a backup is encrypted to and decrypted with.

use std::str::FromStr;

use age::x25519::{Identity, Recipient};

use driver::error::{DriverError, ErrorKind, Result};
use driver::secret::Secret;

/// Whom a backup is encrypted to. None means that it is not encrypted.
#[derive(Clone, Debug, Default)]
pub(super) struct Recipients(Vec<Recipient>);

impl Recipients {
    /// The keys of that text, such as `age1…`.
    pub(super) fn parse(texts: &[String]) -> Result<Self> {
        let keys = texts.iter().map(|text| {
            Recipient::from_str(text.trim()).map_err(|why| {
                let message =
                    format!("{text:?} is not an age X25519 recipient ({why}): make one with age-keygen");
                DriverError::new(ErrorKind::Invalid, message)
            })
        });
        Ok(Self(keys.collect::<Result<_>>()?))
    }

    /// Whether nothing is to be encrypted.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys' texts.
    pub(super) fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// What begins an encrypted file.
    pub(super) fn encryptor(&self) -> std::io::Result<age::Encryptor> {
        age::Encryptor::with_recipients(self.0.iter().map(|key| key as &dyn age::Recipient))
            .map_err(|error| std::io::Error::other(error.to_string()))
    }
}

/// The private keys that a backup may be decrypted with.
#[derive(Clone, Default)]
pub(super) struct Identities(Vec<Identity>);

impl Identities {
    /// The keys in the text of an age identity file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DecryptionFailed`] if it holds none, or something else. No message quotes it.
    pub(super) fn parse(file: &Secret) -> Result<Self> {
        let lines = file.expose().lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(|line| Identity::from_str(line).ok()).collect::<Option<Vec<_>>>();
        keys.filter(|keys| !keys.is_empty()).map(Self).ok_or_else(|| {
            DriverError::new(
                ErrorKind::DecryptionFailed,
                "the decryption key is not an age identity: give a key that begins with AGE-SECRET-KEY-1",
            )
        })
    }

    /// Whether one of them is the other half of one of `recipients`.
    pub(super) fn open(&self, recipients: &[String]) -> bool {
        self.0.iter().any(|key| recipients.contains(&key.to_public().to_string()))
    }

    /// The keys, as a decryptor takes them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|key| key as &dyn age::Identity)
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} identities", self.0.len())
    }
}
