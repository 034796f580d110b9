//! One stream on its way into the bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use s3::serde_types::Part;
use tokio::sync::{mpsc, oneshot, watch};

use super::client::Client;
use super::encode::{Encoding, Ends, Piece, Plain, encode};
use super::manifest::Segment;
use super::multipart::OpenUpload;
use super::progress::Progress;
use driver::error::{DriverError, ErrorKind, Result};

/// How many buffers of a part's length a stream has: one is filled while the other is sent. The HTTP client
/// holds a copy of the latter, so a stream costs three parts.
const BUFFERS: usize = 2;

/// How many chunks may wait for the encoder.
const WAITING_CHUNKS: usize = 4;

/// Where streams go, shared by all of an attempt.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) client: Client,
    /// The backup's folder, as a whole key.
    pub(super) folder: String,
    /// The attempt's folder in it.
    pub(super) attempt: String,
    pub(super) encoding: Encoding,
    /// How many segments have been begun.
    pub(super) segments: AtomicU32,
    pub(super) progress: Arc<Progress>,
    /// Becomes true when the attempt is given up.
    pub(super) given_up: watch::Sender<bool>,
}

impl Destination {
    /// The key, seen from the backup's folder, of the next segment.
    fn next_segment(&self) -> String {
        let number = self.segments.fetch_add(1, Ordering::Relaxed) + 1;
        let suffix = if self.encoding.recipients.is_empty() { "" } else { ".age" };
        format!("{}/seg-{number:05}.zst{suffix}", self.attempt)
    }
}

/// What is stored of a stream.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) segments: Vec<Segment>,
}

/// The near end of a stream.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) plain: mpsc::Sender<Plain>,
    pub(super) outcome: oneshot::Receiver<Result<Stored>>,
}

/// Begins a stream: its entrance, and the work that must be done for it.
pub(super) fn begin(
    destination: Arc<Destination>,
    name: String,
) -> (Entrance, impl Future<Output = ()> + Send + use<>) {
    let (plain, from_writer) = mpsc::channel(WAITING_CHUNKS);
    let (tell, outcome) = oneshot::channel();
    let work = async move {
        let mut upload = StreamUpload {
            given_up: destination.given_up.subscribe(),
            destination,
            open: None,
            segments: Vec::new(),
        };
        let result = upload.run(&name, from_writer).await;
        let failed = result.is_err();
        // Cleaning up may take as long as the store is away; who writes need not wait for that.
        let _ = tell.send(result);
        if failed {
            upload.clean_up().await;
        }
    };
    (Entrance { plain, outcome }, work)
}

/// A multipart upload that is under way.
struct Open {
    upload: OpenUpload,
    key: String,
    parts: Vec<Part>,
}

struct StreamUpload {
    destination: Arc<Destination>,
    given_up: watch::Receiver<bool>,
    open: Option<Open>,
    segments: Vec<Segment>,
}

impl StreamUpload {
    /// Stores all that the writer gives.
    async fn run(&mut self, name: &str, from_writer: mpsc::Receiver<Plain>) -> Result<Stored> {
        let (pieces, mut from_encoder) = mpsc::channel(1);
        let (spare, buffers) = mpsc::channel(BUFFERS);
        for _ in 0..BUFFERS {
            let _ = spare.try_send(Vec::with_capacity(self.destination.encoding.part));
        }
        let encoding = self.destination.encoding.clone();
        let ends = Ends { pieces, spare: buffers };
        let encoder = tokio::task::spawn_blocking(move || encode(&encoding, from_writer, ends));
        loop {
            let mut given_up = self.given_up.clone();
            let piece = tokio::select! {
                biased;
                _ = given_up.wait_for(|given_up| *given_up) => return Err(self.ended(name)),
                piece = from_encoder.recv() => piece,
            };
            let mut buffer = match piece {
                Some(Piece::Part(part)) => {
                    self.put_part(name, &part).await?;
                    part
                }
                Some(Piece::Last { rest, bytes, sha256 }) => {
                    self.put_last(name, &rest, bytes, sha256).await?;
                    rest
                }
                Some(Piece::Whole { bytes, sha256 }) => {
                    return Ok(Stored { bytes, sha256, segments: std::mem::take(&mut self.segments) });
                }
                None => {
                    let why = encoder.await.map_or_else(
                        |error| error.to_string(),
                        |result| result.err().map_or_else(String::new, |error| error.to_string()),
                    );
                    let message = format!(
                        "stream {name:?} of the dump was not finished ({why}): the next run makes the dump again"
                    );
                    return Err(DriverError::new(ErrorKind::Internal, message));
                }
            };
            self.destination.progress.stored(buffer.len());
            buffer.clear();
            let _ = spare.try_send(buffer);
        }
    }

    /// Sends a part of an object that has more.
    async fn put_part(&mut self, name: &str, content: &[u8]) -> Result<()> {
        if self.open.is_none() {
            let key = self.destination.next_segment();
            let whole_key = format!("{}/{key}", self.destination.folder);
            // Not given up halfway: an upload whose name never arrives could not be ended.
            let upload = self.destination.client.begin_upload(&whole_key).await?;
            self.open = Some(Open { upload, key, parts: Vec::new() });
        }
        let mut given_up = self.given_up.clone();
        let Some(open) = &mut self.open else { return Ok(()) };
        let number = u32::try_from(open.parts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let part = tokio::select! {
            biased;
            _ = given_up.wait_for(|given_up| *given_up) => None,
            part = self.destination.client.put_part(&open.upload, number, content) => Some(part?),
        };
        open.parts.push(part.ok_or_else(|| ended(&self.destination, name))?);
        Ok(())
    }

    /// Sends the rest of an object, and makes it whole.
    async fn put_last(&mut self, name: &str, rest: &[u8], bytes: u64, sha256: String) -> Result<()> {
        let key = if self.open.is_some() {
            self.put_part(name, rest).await?;
            let Some(open) = &self.open else { return Ok(()) };
            self.destination.client.complete_upload(&open.upload, &open.parts, bytes).await?;
            self.open.take().map(|open| open.key).unwrap_or_default()
        } else {
            let key = self.destination.next_segment();
            self.destination.client.put(&format!("{}/{key}", self.destination.folder), rest).await?;
            key
        };
        self.segments.push(Segment { key, bytes, sha256 });
        Ok(())
    }

    /// Leaves no upload behind, as far as the store lets it.
    async fn clean_up(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = self.destination.client.abort_upload(&open.upload).await
        {
            tracing::warn!(error = error.chain(), "an upload is left: the next attempt ends it");
        }
    }

    fn ended(&self, name: &str) -> DriverError {
        ended(&self.destination, name)
    }
}

/// The error of what is under way when the attempt is given up.
fn ended(destination: &Destination, name: &str) -> DriverError {
    let message = format!(
        "attempt {} of the backup was given up before stream {name:?} was stored",
        destination.attempt
    );
    DriverError::new(ErrorKind::Internal, message)
}
