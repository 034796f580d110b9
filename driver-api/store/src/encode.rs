//! From a stream's plain bytes to the parts of stored objects: compress, encrypt, hash, cut.
//!
//! It runs on a thread of its own, for it costs more time than all else. Two buffers go round between it and
//! the upload, and that bounds the memory of a stream.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::{Receiver, Sender};

use super::keys::Recipients;

/// How much is compressed: three is where more costs time and gains nothing.
const LEVEL: i32 = 3;

/// The plain length of a frame in bytes. zstd compresses what lies in one piece a fifth faster than what streams
/// in, and longer pieces are hardly faster, and not smaller. Whoever decompresses takes frames in a row.
const FRAME: usize = 1 << 20;

/// What a writer says to its encoder.
#[derive(Debug)]
pub(super) enum Plain {
    /// More of the stream.
    Chunk(Bytes),
    /// The stream is whole.
    End,
}

/// What an encoder says to its upload.
#[derive(Debug)]
pub(super) enum Piece {
    /// A full part of an object that has more.
    Part(Vec<u8>),
    /// The rest of an object, at most a part, and what the whole object is.
    Last { rest: Vec<u8>, bytes: u64, sha256: String },
    /// The stream is whole: its plain length and hash.
    Whole { bytes: u64, sha256: String },
}

/// How a stream is stored.
#[derive(Clone, Debug)]
pub(super) struct Encoding {
    /// Whom it is encrypted to.
    pub(super) recipients: Recipients,
    /// The length of a part in bytes.
    pub(super) part: usize,
    /// The stored length, in bytes, after which an object ends and the next begins, with the frame that
    /// reaches it.
    pub(super) segment: u64,
}

/// The encoder's ends of the channels to its upload.
#[derive(Debug)]
pub(super) struct Ends {
    /// Where what is encoded goes.
    pub(super) pieces: Sender<Piece>,
    /// Where buffers come from: empty ones, with room for a part.
    pub(super) spare: Receiver<Vec<u8>>,
}

/// Encodes a stream until its end, or until a side of it is gone.
///
/// # Errors
///
/// If the upload is gone, or the writer without having ended the stream. The upload says why.
pub(super) fn encode(encoding: &Encoding, mut plain: Receiver<Plain>, ends: Ends) -> io::Result<()> {
    let (mut bytes, mut hash) = (0, Sha256::new());
    let mut state = State::Between(ends);
    loop {
        let chunk = match plain.blocking_recv().ok_or_else(|| gone("the writer"))? {
            Plain::Chunk(chunk) => chunk,
            Plain::End => break,
        };
        bytes += chunk.len() as u64;
        hash.update(&chunk);
        let mut object = match state {
            State::Within(object) => object,
            State::Between(ends) => Box::new(Object::begin(encoding, ends)?),
        };
        object.write(&chunk)?;
        let full = object.stored.get() >= encoding.segment;
        state = if full { State::Between(object.finish()?) } else { State::Within(object) };
    }
    let ends = match state {
        State::Within(object) => object.finish()?,
        State::Between(ends) => ends,
    };
    let whole = Piece::Whole { bytes, sha256: hex(&hash.finalize()) };
    ends.pieces.blocking_send(whole).map_err(|_| gone("the upload"))
}

/// Where in a stream its encoder is.
enum State {
    /// Between two objects.
    Between(Ends),
    /// Within one.
    Within(Box<Object>),
}

/// An object that is being written.
struct Object {
    compressor: zstd::bulk::Compressor<'static>,
    /// What the present frame is to hold.
    plain: Vec<u8>,
    frame: Vec<u8>,
    sealing: Sealing,
    /// How many bytes of it are stored.
    stored: Rc<Cell<u64>>,
}

impl Object {
    fn begin(encoding: &Encoding, mut ends: Ends) -> io::Result<Self> {
        let buffer = ends.spare.blocking_recv().ok_or_else(|| gone("the upload"))?;
        let stored = Rc::new(Cell::new(0));
        let cutter =
            Cutter { part: encoding.part, buffer, ends, stored: Rc::clone(&stored), hash: Sha256::new() };
        let sealing = if encoding.recipients.is_empty() {
            Sealing::Open(cutter)
        } else {
            Sealing::Sealed(encoding.recipients.encryptor()?.wrap_output(cutter)?)
        };
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        let (plain, frame) = (Vec::with_capacity(FRAME), vec![0; zstd::zstd_safe::compress_bound(FRAME)]);
        Ok(Self { compressor, plain, frame, sealing, stored })
    }

    fn write(&mut self, mut chunk: &[u8]) -> io::Result<()> {
        while !chunk.is_empty() {
            let (taken, rest) = chunk.split_at(chunk.len().min(FRAME - self.plain.len()));
            self.plain.extend_from_slice(taken);
            chunk = rest;
            if self.plain.len() == FRAME {
                self.end_frame()?;
            }
        }
        Ok(())
    }

    /// Writes the frame of what has come since the last one.
    fn end_frame(&mut self) -> io::Result<()> {
        let length = self.compressor.compress_to_buffer(&self.plain, self.frame.as_mut_slice())?;
        self.plain.clear();
        self.sealing.write_all(self.frame.get(..length).unwrap_or_default())
    }

    /// Ends it: first compression, then encryption, then its last part.
    fn finish(mut self) -> io::Result<Ends> {
        if !self.plain.is_empty() {
            self.end_frame()?;
        }
        let cutter = match self.sealing {
            Sealing::Open(cutter) => cutter,
            Sealing::Sealed(writer) => writer.finish()?,
        };
        let Cutter { part: _, buffer, ends, stored, hash } = cutter;
        let last = Piece::Last { rest: buffer, bytes: stored.get(), sha256: hex(&hash.finalize()) };
        ends.pieces.blocking_send(last).map_err(|_| gone("the upload"))?;
        Ok(ends)
    }
}

/// Encryption, or none.
enum Sealing {
    Open(Cutter),
    Sealed(age::stream::StreamWriter<Cutter>),
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(cutter) => cutter.write(bytes),
            Self::Sealed(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Cuts what is written into parts.
struct Cutter {
    part: usize,
    buffer: Vec<u8>,
    ends: Ends,
    stored: Rc<Cell<u64>>,
    hash: Sha256,
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not before there is more, so that the last piece of an object is never empty.
        if self.buffer.len() >= self.part && !bytes.is_empty() {
            let full = std::mem::take(&mut self.buffer);
            self.ends.pieces.blocking_send(Piece::Part(full)).map_err(|_| gone("the upload"))?;
            self.buffer = self.ends.spare.blocking_recv().ok_or_else(|| gone("the upload"))?;
        }
        let (taken, _) = bytes.split_at(bytes.len().min(self.part - self.buffer.len()));
        self.hash.update(taken);
        self.buffer.extend_from_slice(taken);
        self.stored.set(self.stored.get() + taken.len() as u64);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error of a thread whose other side is gone.
fn gone(who: &str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, format!("{who} is gone"))
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
