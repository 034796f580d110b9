//! A sink that stops a dump in the middle.

use tokio::sync::Notify;

use crate::dump::{Description, Sink, StreamInfo};
use crate::error::Result;
use crate::testkit::dump::{MemoryDump, MemorySink, MemoryWriter};

/// Takes a dump into memory, and opens one of its streams only when it is told to: so a test can do something between
/// the snapshot and the rows.
#[derive(Debug)]
pub struct GatedSink {
    inner: MemorySink,
    stream: String,
    is_reached: Notify,
    is_open: Notify,
}

impl GatedSink {
    /// A sink that stops before it opens the stream of that name.
    pub fn before(stream: impl Into<String>) -> Self {
        let (is_reached, is_open) = (Notify::new(), Notify::new());
        Self { inner: MemorySink::default(), stream: stream.into(), is_reached, is_open }
    }

    /// Waits until the dump is stopped.
    pub async fn is_reached(&self) {
        self.is_reached.notified().await;
    }

    /// Lets the dump go on.
    pub fn let_through(&self) {
        self.is_open.notify_one();
    }

    /// The dump, if every stream that was opened is whole.
    pub fn complete(&self, description: Description) -> Result<MemoryDump> {
        self.inner.complete(description)
    }
}

impl Sink for GatedSink {
    type Writer = MemoryWriter;

    fn expect(&self, bytes: u64) {
        self.inner.expect(bytes);
    }

    async fn open(&self, stream: StreamInfo) -> Result<MemoryWriter> {
        if stream.name == self.stream {
            self.is_reached.notify_one();
            self.is_open.notified().await;
        }
        self.inner.open(stream).await
    }
}
