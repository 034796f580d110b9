//! A dump that is not what was written.

use crate::dump::{Bytes, Description, Reader, Source, Stream};
use crate::error::{DriverError, ErrorKind, Result};
use crate::testkit::dump::{MemoryDump, MemoryReader};

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The dump says that it has one row more than it has.
    OneRowMore,
    /// It breaks off in its middle, as a stored object does that is changed.
    BreaksOff,
    /// It is damaged only in place of its end.
    NoEnd,
    /// It is not there when it is opened.
    Gone,
}

/// A dump in which one stream is damaged.
#[derive(Clone, Debug)]
pub struct DamagedDump {
    inner: MemoryDump,
    streams: Vec<Stream>,
    stream: String,
    damage: Damage,
}

impl DamagedDump {
    /// The dump with that damage in that stream.
    pub fn new(inner: &MemoryDump, stream: &str, damage: Damage) -> Self {
        let mut streams = inner.streams().to_vec();
        for changed in streams.iter_mut().filter(|it| it.info.name == stream) {
            changed.rows = changed.rows.map(|rows| rows + u64::from(damage == Damage::OneRowMore));
        }
        Self { inner: inner.clone(), streams, stream: stream.to_owned(), damage }
    }
}

impl Source for DamagedDump {
    type Reader = DamagedReader;

    fn description(&self) -> &Description {
        self.inner.description()
    }

    fn streams(&self) -> &[Stream] {
        &self.streams
    }

    async fn open(&self, name: &str) -> Result<DamagedReader> {
        let damage = Some(self.damage).filter(|_| self.stream == name);
        let bytes = self.inner.bytes(name).map_or(0, |bytes| bytes.len());
        if damage == Some(Damage::Gone) {
            return Err(damaged());
        }
        let left = match damage {
            Some(Damage::BreaksOff) => Some(bytes / 2),
            Some(Damage::NoEnd) => Some(bytes),
            _ => None,
        };
        Ok(DamagedReader { inner: self.inner.open(name).await?, left })
    }
}

/// A stream that may break off.
#[derive(Debug)]
pub struct DamagedReader {
    inner: MemoryReader,
    // How many bytes come before the damage.
    left: Option<usize>,
}

impl Reader for DamagedReader {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.inner.read().await?;
        let Some(left) = &mut self.left else { return Ok(chunk) };
        let chunk = chunk.map(|chunk| chunk.slice(..chunk.len().min(*left)));
        let Some(chunk) = chunk.filter(|chunk| !chunk.is_empty()) else { return Err(damaged()) };
        *left -= chunk.len();
        Ok(Some(chunk))
    }
}

fn damaged() -> DriverError {
    DriverError::new(ErrorKind::BackupDamaged, "the stream is damaged, as it was asked to be")
}
