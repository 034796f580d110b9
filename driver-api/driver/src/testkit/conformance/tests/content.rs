//! Flaws on the way between an engine and a dump.

use crate::dump::{Bytes, Description, Reader, Sink, Source, Stream, StreamInfo, Writer};
use crate::error::{DriverError, ErrorKind, Result};
use crate::testkit::conformance::tests::flaw::Flaw;
use crate::testkit::memory_server::MemoryServer;

/// A dump of the rows that are there before, and the last of those that are there after its stream is open.
pub(super) async fn dump_torn(server: &MemoryServer, name: &str, sink: &impl Sink) -> Result<Description> {
    let rows = || server.database(name).unwrap().rows;
    let mut all = rows();
    let info = StreamInfo { name: "rows".to_owned(), restore_with: "one row a line".to_owned() };
    let mut writer = sink.open(info).await?;
    all.extend(rows().into_iter().skip(all.len()).next_back());
    let text = all.iter().fold(String::new(), |text, row| text + row + "\n");
    writer.write(Bytes::from(text)).await?;
    writer.finish(u64::try_from(all.len()).ok()).await?;
    let (server_version, tool_version) = ("1.0".to_owned(), "1.0".to_owned());
    Ok(Description { server_version, tool_version, snapshot: None, details: serde_json::Value::Null })
}

/// A sink as a driver with a flaw uses it.
pub(super) struct FlawedSink<'a, S> {
    pub(super) inner: &'a S,
    pub(super) flaw: Option<Flaw>,
}

impl<S: Sink> Sink for FlawedSink<'_, S> {
    type Writer = FlawedWriter<S::Writer>;

    fn expect(&self, bytes: u64) {
        self.inner.expect(bytes);
    }

    async fn open(&self, stream: StreamInfo) -> Result<Self::Writer> {
        Ok(FlawedWriter { inner: self.inner.open(stream).await?, flaw: self.flaw })
    }
}

pub(super) struct FlawedWriter<W> {
    inner: W,
    flaw: Option<Flaw>,
}

impl<W: Writer> Writer for FlawedWriter<W> {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        match self.inner.write(chunk).await {
            Err(_) if self.flaw == Some(Flaw::BrokenSinkIsFine) => Ok(()),
            Err(error) if self.flaw == Some(Flaw::BrokenSinkIsInternal) => {
                Err(DriverError::new(ErrorKind::Internal, error.chain()))
            }
            other => other,
        }
    }

    async fn finish(self, rows: Option<u64>) -> Result<()> {
        if self.flaw == Some(Flaw::StreamIsNotFinished) {
            return Ok(());
        }
        self.inner.finish(rows).await
    }
}

/// A source as a driver with a flaw uses it.
pub(super) struct FlawedSource<'a, S> {
    pub(super) inner: &'a S,
    pub(super) flaw: Option<Flaw>,
}

impl<S: Source> Source for FlawedSource<'_, S> {
    type Reader = FlawedReader<S::Reader>;

    fn description(&self) -> &Description {
        self.inner.description()
    }

    fn streams(&self) -> &[Stream] {
        self.inner.streams()
    }

    async fn open(&self, name: &str) -> Result<Self::Reader> {
        Ok(FlawedReader { inner: self.inner.open(name).await?, flaw: self.flaw })
    }
}

pub(super) struct FlawedReader<R> {
    inner: R,
    flaw: Option<Flaw>,
}

impl<R: Reader> Reader for FlawedReader<R> {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        match self.inner.read().await {
            Err(_) if self.flaw == Some(Flaw::DamageIsTheEnd) => Ok(None),
            Err(error) if self.flaw == Some(Flaw::DamageIsInternal) => {
                Err(DriverError::new(ErrorKind::Internal, error.chain()))
            }
            other => other,
        }
    }
}
