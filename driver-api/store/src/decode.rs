//! From stored objects back to a stream's plain bytes: hash, decrypt, decompress, hash.
//!
//! As the encoder, it runs on a thread of its own.

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::{Receiver, Sender};

use super::client::Client;
use super::encode::hex;
use super::fetch::{Fetched, damaged};
use super::keys::Identities;
use super::manifest::{Segment, StoredStream};
use driver::error::{DriverError, ErrorKind, Result};

/// How much is decoded at once.
const CHUNK: usize = 256 * 1024;

/// How stored bytes are opened.
#[derive(Clone, Debug)]
pub(super) enum Opening {
    /// They are compressed only.
    Plain,
    /// They are encrypted, and these keys open them.
    Keys(Arc<Identities>),
    /// They are encrypted, and stay so: only what is stored is checked.
    Sealed,
}

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Decoded {
    /// More of the stream.
    Bytes(Bytes),
    /// The stream is whole, and is what was written.
    End,
    /// The stream is damaged, or cannot be read.
    Failed(DriverError),
}

/// A stream that is decoded.
#[derive(Debug)]
pub(super) struct Decoding {
    pub(super) client: Client,
    pub(super) folder: String,
    pub(super) stored: StoredStream,
    pub(super) opening: Opening,
}

impl Decoding {
    /// Decodes the stream until its end, or until `out` is gone.
    pub(super) fn run(&self, mut input: Receiver<Fetched>, out: &Sender<Decoded>) {
        let last = match self.stream(&mut input, out) {
            Ok(()) => Decoded::End,
            Err(error) => Decoded::Failed(error),
        };
        let _ = out.blocking_send(last);
    }

    fn stream(&self, input: &mut Receiver<Fetched>, out: &Sender<Decoded>) -> Result<()> {
        let mut plain = PlainSide { bytes: 0, hash: Sha256::new(), out };
        for segment in &self.stored.segments {
            let key = format!("{}/{}", self.folder, segment.key);
            let mut stored = StoredSide::new(input);
            let result = self.segment(&mut stored, &mut plain);
            // Whatever came of it, the store's own error or the stored hash says more.
            if let Err(error) = result {
                return Err(match stored.failure.take() {
                    Some(failure) => failure,
                    None if plain.out.is_closed() => DriverError::new(ErrorKind::Internal, "nobody reads"),
                    None => damaged(&self.client, &key, &format!("cannot be opened ({error})")),
                });
            }
            self.check_stored(&mut stored, segment, &key)?;
        }
        let name = &self.stored.stream.info.name;
        let right =
            plain.bytes == self.stored.stream.bytes && hex(&plain.hash.finalize()) == self.stored.sha256;
        if right || matches!(self.opening, Opening::Sealed) {
            return Ok(());
        }
        let first = self.stored.segments.first().map(|segment| format!("{}/{}", self.folder, segment.key));
        let what = format!(
            "and what follows it do not give the {} bytes of stream {name:?}",
            self.stored.stream.bytes
        );
        Err(damaged(&self.client, first.as_deref().unwrap_or(&self.folder), &what))
    }

    /// Opens one segment.
    fn segment(&self, stored: &mut StoredSide<'_>, plain: &mut PlainSide<'_>) -> io::Result<()> {
        match &self.opening {
            Opening::Sealed => Ok(()),
            Opening::Plain => plain.take(zstd::Decoder::new(stored)?),
            Opening::Keys(keys) => {
                let file = age::Decryptor::new_buffered(BufReader::with_capacity(CHUNK, stored));
                let open = file.and_then(|file| file.decrypt(keys.iter()));
                plain.take(zstd::Decoder::new(open.map_err(|error| io::Error::other(error.to_string()))?)?)
            }
        }
    }

    /// Reads what is left of a segment, and compares it with what was stored.
    fn check_stored(&self, stored: &mut StoredSide<'_>, segment: &Segment, key: &str) -> Result<()> {
        let rest = io::copy(stored, &mut io::sink());
        if let Some(failure) = stored.failure.take() {
            return Err(failure);
        }
        let hash = hex(&std::mem::take(&mut stored.hash).finalize());
        if rest.is_ok() && stored.bytes == segment.bytes && hash == segment.sha256 {
            return Ok(());
        }
        Err(damaged(&self.client, key, "is not what was stored: its SHA-256 differs"))
    }
}

/// The stored bytes of one segment.
struct StoredSide<'a> {
    input: &'a mut Receiver<Fetched>,
    current: Bytes,
    ended: bool,
    bytes: u64,
    hash: Sha256,
    failure: Option<DriverError>,
}

impl<'a> StoredSide<'a> {
    fn new(input: &'a mut Receiver<Fetched>) -> Self {
        Self { input, current: Bytes::new(), ended: false, bytes: 0, hash: Sha256::new(), failure: None }
    }
}

impl Read for StoredSide<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.input.blocking_recv() {
                Some(Fetched::Bytes(bytes)) => self.current = bytes,
                Some(Fetched::End) => self.ended = true,
                Some(Fetched::Failed(error)) => {
                    self.failure = Some(error);
                    return Err(io::Error::other("the store failed"));
                }
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download has ended")),
            }
        }
        let taken = self.current.split_to(self.current.len().min(buffer.len()));
        let (target, _) = buffer.split_at_mut(taken.len());
        target.copy_from_slice(&taken);
        self.hash.update(&taken);
        self.bytes += taken.len() as u64;
        Ok(taken.len())
    }
}

/// The plain bytes of one stream.
struct PlainSide<'a> {
    bytes: u64,
    hash: Sha256,
    out: &'a Sender<Decoded>,
}

impl PlainSide<'_> {
    /// Takes all that `from` gives.
    fn take(&mut self, mut from: impl Read) -> io::Result<()> {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            if (&mut from).take(CHUNK as u64).read_to_end(&mut chunk)? == 0 {
                return Ok(());
            }
            self.hash.update(&chunk);
            self.bytes += chunk.len() as u64;
            let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads");
            self.out.blocking_send(Decoded::Bytes(chunk.into())).map_err(gone)?;
        }
    }
}
