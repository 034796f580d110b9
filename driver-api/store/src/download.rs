//! A backup on its way back to a server.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::client::Client;
use super::decode::{Decoded, Decoding, Opening};
use super::fetch::fetch;
use super::keys::Identities;
use super::manifest::{Manifest, StoredStream};
use driver::dump::{Description, Reader, Source, Stream};
use driver::error::{DriverError, ErrorKind, Result};

/// How many decoded chunks may wait for the reader.
const WAITING_CHUNKS: usize = 4;

/// A source that checks what it reads: lengths and hashes, of what is stored and of what was dumped.
///
/// What is damaged is an error, at the latest in place of a stream's end; so a load MUST NOT make anything
/// final before that end.
#[derive(Debug)]
pub struct Download {
    client: Client,
    folder: String,
    manifest: Manifest,
    streams: Vec<Stream>,
    opening: Opening,
}

impl Download {
    /// The backup in `folder`. It asks the store nothing yet.
    pub(super) fn new(
        client: Client,
        folder: String,
        manifest: Manifest,
        identities: Option<Identities>,
    ) -> Result<Self> {
        let opening = match (&manifest.encryption, identities) {
            (None, _) => Opening::Plain,
            (Some(encryption), Some(keys)) if keys.open(&encryption.recipients) => {
                Opening::Keys(Arc::new(keys))
            }
            (Some(encryption), keys) => {
                let recipients = encryption.recipients.join(", ");
                let given =
                    if keys.is_some() { "the key that is given is another" } else { "no key is given" };
                let message = format!(
                    "the backup in s3://{}/{folder} is encrypted to {recipients}, and {given}: give the private half of one of them",
                    client.target().bucket
                );
                return Err(DriverError::new(ErrorKind::DecryptionFailed, message));
            }
        };
        Ok(Self::opened(client, folder, manifest, opening))
    }

    /// The backup in `folder`, opened that way.
    pub(super) fn opened(client: Client, folder: String, manifest: Manifest, opening: Opening) -> Self {
        let streams = manifest.streams.iter().map(|stored| stored.stream.clone()).collect();
        Self { client, folder, manifest, streams, opening }
    }

    /// Begins to read a stream, one range ahead of who decodes it.
    fn read(&self, stored: &StoredStream) -> DownloadReader {
        let (fetched, input) = mpsc::channel(1);
        let (decoded, output) = mpsc::channel(WAITING_CHUNKS);
        let (client, folder) = (self.client.clone(), self.folder.clone());
        tokio::spawn(fetch(client, folder, stored.segments.clone(), fetched));
        let decoding = Decoding {
            client: self.client.clone(),
            folder: self.folder.clone(),
            stored: stored.clone(),
            opening: self.opening.clone(),
        };
        tokio::task::spawn_blocking(move || decoding.run(input, &decoded));
        DownloadReader { name: stored.stream.info.name.clone(), output, ended: false }
    }
}

impl Source for Download {
    type Reader = DownloadReader;

    fn description(&self) -> &Description {
        &self.manifest.description
    }

    fn streams(&self) -> &[Stream] {
        &self.streams
    }

    async fn open(&self, name: &str) -> Result<DownloadReader> {
        let stored = self.manifest.stream(name).ok_or_else(|| {
            let message = format!(
                "the backup in s3://{}/{} has no stream {name:?}: restore with the release that wrote it",
                self.client.target().bucket,
                self.folder
            );
            DriverError::new(ErrorKind::BackupDamaged, message)
        })?;
        Ok(self.read(stored))
    }
}

/// A stream that is being read. Dropped early, it stops reading.
#[derive(Debug)]
pub struct DownloadReader {
    name: String,
    output: mpsc::Receiver<Decoded>,
    ended: bool,
}

impl Reader for DownloadReader {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        match self.output.recv().await {
            Some(Decoded::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Decoded::End) => {
                self.ended = true;
                Ok(None)
            }
            Some(Decoded::Failed(error)) => Err(error),
            None => Err(DriverError::new(
                ErrorKind::Internal,
                format!("stream {:?} of the backup cannot be read any further: load it again", self.name),
            )),
        }
    }
}
