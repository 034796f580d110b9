//! A dump on its way into the bucket.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::{Client, Written};
use super::encode::{Encoding, Plain};
use super::keys::Recipients;
use super::leftovers::abort_uploads;
use super::lengths;
use super::manifest::{
    BackupIdentity, Encryption, FORMAT_VERSION, LONGEST_MANIFEST, MANIFEST_NAME, Manifest, Moment,
    StoredManifest, StoredStream, Totals,
};
use super::progress::Progress;
use super::sizes::Sizes;
use super::stream::{self, Destination, Entrance};
use driver::dump::{Description, Sink, Stream, StreamInfo, Writer};
use driver::error::{DriverError, ErrorKind, Result};
use driver::names::sha256;

/// The longest piece of a chunk that goes to the encoder at once.
const PIECE: usize = 256 * 1024;

/// One attempt at one backup: a sink for the driver, and what makes a backup of what it wrote.
///
/// Nothing of it is a backup before [`complete`](Upload::complete) has succeeded. Dropped before, it leaves
/// objects and uploads that the next attempt removes; [`abort`](Upload::abort) leaves no uploads.
#[derive(Debug)]
pub struct Upload {
    destination: Arc<Destination>,
    started: Moment,
    streams: Arc<Mutex<Vec<Opened>>>,
    work: Mutex<JoinSet<()>>,
}

/// What has become of an attempt that was whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Completed {
    /// It is the backup, and this is the manifest that it wrote.
    Ours(StoredManifest),
    /// Somebody else has written a manifest there first.
    Other(StoredManifest),
}

impl Completed {
    /// The manifest that is there, whoever wrote it.
    pub fn either(self) -> StoredManifest {
        match self {
            Self::Ours(stored) | Self::Other(stored) => stored,
        }
    }
}

/// A stream of the dump, and what is stored of it once it is whole.
#[derive(Debug)]
struct Opened {
    name: String,
    stored: Option<StoredStream>,
}

impl Upload {
    /// Begins an attempt at the backup in `folder`, which is a whole key without a slash at its end. `asking` is asked what
    /// is there, and `client` moves the data.
    pub(super) async fn begin(
        asking: &Client,
        client: Client,
        folder: String,
        attempt: String,
        recipients: Recipients,
        sizes: Sizes,
    ) -> Result<Self> {
        // What is under way there is another attempt's, whose pod is gone or about to be.
        abort_uploads(asking, &format!("{folder}/")).await?;
        let older = asking.list(&format!("{folder}/")).await?;
        if !older.is_empty() {
            tracing::info!(objects = older.len(), folder, "earlier attempts have left objects");
        }
        let destination = Destination {
            client,
            folder,
            attempt,
            encoding: Encoding { recipients, part: sizes.part, segment: sizes.segment },
            segments: 0.into(),
            progress: Arc::default(),
            given_up: watch::Sender::new(false),
        };
        Ok(Self {
            destination: Arc::new(destination),
            started: Moment::now(),
            streams: Arc::default(),
            work: Mutex::default(),
        })
    }

    /// Counters to watch while the driver writes.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.destination.progress)
    }

    /// Makes what was written a backup, unless another attempt at the same one has become it first. Then it removes what
    /// other attempts have left.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if a stream was not finished, [`ErrorKind::BackupDamaged`] if the store
    /// has lost something, and the kinds of a store. There is no backup then: [`abort`](Upload::abort) it.
    pub async fn complete(&self, backup: BackupIdentity, description: Description) -> Result<Completed> {
        let streams = self.whole_streams()?;
        if *self.destination.given_up.borrow() {
            let message =
                format!("attempt {} of the backup was given up: begin another", self.destination.attempt);
            return Err(DriverError::new(ErrorKind::Internal, message));
        }
        if let Some(found) = self.manifest().await? {
            return Ok(Completed::Other(found));
        }
        let segments = streams.iter().flat_map(|stored| &stored.segments);
        let Destination { client, folder, attempt, .. } = &*self.destination;
        if let Err(error) = lengths::check(client, folder, attempt, segments).await {
            // Another attempt that has won since has removed what we wrote.
            return self.manifest().await?.map(Completed::Other).ok_or(error);
        }
        let manifest = self.describe(backup, description, streams);
        let (key, content) = (self.manifest_key(), manifest.to_json()?);
        match self.destination.client.put_if_absent(&key, &content).await? {
            Written::Ours => {
                if let Err(error) = self.remove_others(&manifest).await {
                    tracing::warn!(
                        error = error.chain(),
                        "objects of other attempts are left beside the backup"
                    );
                }
                Ok(Completed::Ours(StoredManifest { manifest, sha256: sha256(&content) }))
            }
            Written::Other(found) => StoredManifest::read(&found, &self.manifest_url()).map(Completed::Other),
        }
    }

    /// Gives the attempt up: what is under way ends, and no multipart upload of it is left. Objects of it may
    /// be left; the attempt that succeeds removes them.
    pub async fn abort(&self) -> Result<()> {
        self.destination.given_up.send_replace(true);
        let mut work = std::mem::take(&mut *lock(&self.work));
        while work.join_next().await.is_some() {}
        let attempt = format!("{}/{}/", self.destination.folder, self.destination.attempt);
        abort_uploads(&self.destination.client, &attempt).await
    }

    /// All streams, if each is whole.
    fn whole_streams(&self) -> Result<Vec<StoredStream>> {
        let streams = lock(&self.streams);
        let whole = streams.iter().map(|opened| {
            opened.stored.clone().ok_or_else(|| {
                let message = format!(
                    "stream {:?} of the dump was not finished, so there is no backup: the next run makes it again",
                    opened.name
                );
                DriverError::new(ErrorKind::Internal, message)
            })
        });
        whole.collect()
    }

    fn describe(
        &self,
        backup: BackupIdentity,
        description: Description,
        streams: Vec<StoredStream>,
    ) -> Manifest {
        let recipients = self.destination.encoding.recipients.texts();
        let encryption =
            (!recipients.is_empty()).then(|| Encryption { method: "age".to_owned(), recipients });
        let totals = Totals {
            bytes: streams.iter().map(|stored| stored.stream.bytes).sum(),
            stored_bytes: streams
                .iter()
                .flat_map(|stored| &stored.segments)
                .map(|segment| segment.bytes)
                .sum(),
        };
        Manifest {
            format_version: FORMAT_VERSION,
            backup,
            description,
            started: self.started,
            completed: Moment::now(),
            attempt: self.destination.attempt.clone(),
            compression: "zstd".to_owned(),
            encryption,
            streams,
            totals,
        }
    }

    /// Removes everything in the backup's folder that is not of the backup.
    async fn remove_others(&self, manifest: &Manifest) -> Result<()> {
        let Destination { client, folder, .. } = &*self.destination;
        abort_uploads(client, &format!("{folder}/")).await?;
        let segments = manifest.streams.iter().flat_map(|stored| &stored.segments);
        let mut ours: BTreeSet<String> =
            segments.map(|segment| format!("{folder}/{}", segment.key)).collect();
        ours.insert(self.manifest_key());
        for key in client.list(&format!("{folder}/")).await?.into_keys() {
            if !ours.contains(&key) {
                client.delete(&key).await?;
            }
        }
        Ok(())
    }

    async fn manifest(&self) -> Result<Option<StoredManifest>> {
        let found = self.destination.client.get(&self.manifest_key(), LONGEST_MANIFEST).await?;
        found.map(|found| StoredManifest::read(&found, &self.manifest_url())).transpose()
    }

    fn manifest_key(&self) -> String {
        format!("{}/{MANIFEST_NAME}", self.destination.folder)
    }

    fn manifest_url(&self) -> String {
        format!("s3://{}/{}", self.destination.client.target().bucket, self.manifest_key())
    }
}

impl Sink for Upload {
    type Writer = UploadWriter;

    fn expect(&self, bytes: u64) {
        self.destination.progress.expect(bytes);
    }

    async fn open(&self, info: StreamInfo) -> Result<UploadWriter> {
        let mut streams = lock(&self.streams);
        if streams.iter().any(|opened| opened.name == info.name) {
            let message = format!("stream {:?} of the dump is opened twice: report this", info.name);
            return Err(DriverError::new(ErrorKind::Internal, message));
        }
        streams.push(Opened { name: info.name.clone(), stored: None });
        let (entrance, work) = stream::begin(Arc::clone(&self.destination), info.name.clone());
        let mut tasks = lock(&self.work);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
        let progress = Arc::clone(&self.destination.progress);
        Ok(UploadWriter { info, entrance, streams: Arc::clone(&self.streams), progress })
    }
}

/// A stream that is being stored.
#[derive(Debug)]
pub struct UploadWriter {
    info: StreamInfo,
    entrance: Entrance,
    streams: Arc<Mutex<Vec<Opened>>>,
    progress: Arc<Progress>,
}

impl UploadWriter {
    async fn send(&mut self, plain: Plain) -> Result<()> {
        if self.entrance.plain.send(plain).await.is_ok() {
            return Ok(());
        }
        // Who takes the chunks is gone, and has left word.
        match (&mut self.entrance.outcome).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Err(self.failed()),
        }
    }

    fn failed(&self) -> DriverError {
        let message =
            format!("stream {:?} of the dump has failed: the next run makes the dump again", self.info.name);
        DriverError::new(ErrorKind::Internal, message)
    }
}

impl Writer for UploadWriter {
    async fn write(&mut self, mut chunk: Bytes) -> Result<()> {
        self.progress.written(chunk.len());
        while !chunk.is_empty() {
            let piece = chunk.split_to(chunk.len().min(PIECE));
            self.send(Plain::Chunk(piece)).await?;
        }
        Ok(())
    }

    async fn finish(mut self, rows: Option<u64>) -> Result<()> {
        self.send(Plain::End).await?;
        let stored = (&mut self.entrance.outcome).await.unwrap_or_else(|_| Err(self.failed()))?;
        let stream = Stream { info: self.info.clone(), bytes: stored.bytes, rows };
        let stored = StoredStream { stream, sha256: stored.sha256, segments: stored.segments };
        let mut streams = lock(&self.streams);
        if let Some(opened) = streams.iter_mut().find(|opened| opened.name == self.info.name) {
            opened.stored = Some(stored);
        }
        Ok(())
    }
}

/// A lock whose content is whole whatever a thread that held it did.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
