//! A dump in memory, to write to and to load from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use crate::dump::{Description, Reader, Sink, Source, Stream, StreamInfo, Writer};
use crate::error::{DriverError, ErrorKind, Result};

/// Takes a dump into memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySink(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    expected: u64,
    opened: Vec<String>,
    whole: BTreeMap<String, (Stream, Bytes)>,
    room: Option<usize>,
}

impl MemorySink {
    /// A sink that fails as a broken store does, once it has taken `bytes`.
    pub fn that_breaks_after(bytes: usize) -> Self {
        let sink = Self::default();
        sink.written().room = Some(bytes);
        sink
    }

    /// About how many bytes the driver said that there will be.
    pub fn expected(&self) -> u64 {
        self.written().expected
    }

    /// The dump, if every stream that was opened is whole.
    pub fn complete(&self, description: Description) -> Result<MemoryDump> {
        let written = self.written();
        let streams = written.opened.iter().map(|name| {
            written.whole.get(name).cloned().ok_or_else(|| {
                DriverError::new(ErrorKind::Internal, format!("stream {name:?} was never finished"))
            })
        });
        let (streams, contents) = streams.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok(MemoryDump { description, streams, contents })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for MemorySink {
    type Writer = MemoryWriter;

    fn expect(&self, bytes: u64) {
        self.written().expected = bytes;
    }

    async fn open(&self, info: StreamInfo) -> Result<MemoryWriter> {
        let mut written = self.written();
        if written.opened.contains(&info.name) {
            let message = format!("stream {:?} is opened twice", info.name);
            return Err(DriverError::new(ErrorKind::Internal, message));
        }
        written.opened.push(info.name.clone());
        Ok(MemoryWriter { sink: self.clone(), info, bytes: BytesMut::new() })
    }
}

/// A stream that is being written.
#[derive(Debug)]
pub struct MemoryWriter {
    sink: MemorySink,
    info: StreamInfo,
    bytes: BytesMut,
}

impl Writer for MemoryWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let mut written = self.sink.written();
        if let Some(room) = &mut written.room {
            *room = room.checked_sub(chunk.len()).ok_or_else(|| {
                DriverError::new(ErrorKind::StorageUnreachable, "the store broke, as it was asked to")
            })?;
        }
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(self, rows: Option<u64>) -> Result<()> {
        let bytes = self.bytes.freeze();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let stream = Stream { info: self.info, bytes: length, rows };
        self.sink.written().whole.insert(stream.info.name.clone(), (stream, bytes));
        Ok(())
    }
}

/// A whole dump.
#[derive(Clone, Debug)]
pub struct MemoryDump {
    description: Description,
    streams: Vec<Stream>,
    contents: Vec<Bytes>,
}

impl MemoryDump {
    /// The bytes of the stream of that name.
    pub fn bytes(&self, name: &str) -> Option<Bytes> {
        let position = self.streams.iter().position(|stream| stream.info.name == name)?;
        self.contents.get(position).cloned()
    }
}

impl Source for MemoryDump {
    type Reader = MemoryReader;

    fn description(&self) -> &Description {
        &self.description
    }

    fn streams(&self) -> &[Stream] {
        &self.streams
    }

    async fn open(&self, name: &str) -> Result<MemoryReader> {
        let bytes = self.bytes(name).ok_or_else(|| {
            DriverError::new(ErrorKind::BackupDamaged, format!("the dump has no stream {name:?}"))
        })?;
        Ok(MemoryReader { left: bytes })
    }
}

/// A stream that is being read.
#[derive(Debug)]
pub struct MemoryReader {
    left: Bytes,
}

impl Reader for MemoryReader {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        // Small, so that what reads sees its statements and rows cut anywhere.
        let chunk = self.left.split_to(self.left.len().min(4093));
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}
