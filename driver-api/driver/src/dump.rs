//! What a dump is made of: named streams, which a driver writes and reads and the runtime stores.
//!
//! The runtime compresses, encrypts, hashes and uploads. A driver sees plain bytes, and may have several
//! streams open at once.

use std::future::Future;

pub use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;

/// What a dump is a dump of. It goes into the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Version of the server, as it says itself, such as `17.6`.
    pub server_version: String,
    /// What wrote the dump, such as `pg_dump 17.6`.
    pub tool_version: String,
    /// What identifies the snapshot, such as a log position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// What else the driver needs at a restore.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// What one stream of a dump is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamInfo {
    /// Its name, unique within the dump, such as `table public.orders`.
    pub name: String,
    /// What takes the stream at a restore by hand, such as `COPY public.orders (id, total) FROM STDIN`.
    pub restore_with: String,
}

/// A stream that a dump holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// What it is.
    #[serde(flatten)]
    pub info: StreamInfo,
    /// Its length in bytes, uncompressed.
    pub bytes: u64,
    /// How many rows it has, if it has rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// Where a dump goes.
pub trait Sink: Send + Sync {
    /// A stream that is being written.
    type Writer: Writer;

    /// Says about how many bytes the dump will have, for people who watch its progress.
    fn expect(&self, bytes: u64);

    /// Opens a stream. Several may be open at once; each costs memory, so a driver SHOULD have as many open
    /// as keep the server busy, which are two to four.
    ///
    /// # Errors
    ///
    /// The kind of error of a sink is the runtime's affair: a driver returns it as it is.
    fn open(&self, stream: StreamInfo) -> impl Future<Output = Result<Self::Writer>> + Send;
}

/// A stream that is being written.
///
/// One that is dropped without [`finish`](Writer::finish) makes the whole dump fail, for the end of a stream
/// must not look like the end of who writes it.
pub trait Writer: Send {
    /// Appends `chunk`; 64 KiB and more is fast. It waits while the store is slower than the server.
    fn write(&mut self, chunk: Bytes) -> impl Future<Output = Result<()>> + Send;

    /// Says that the stream is whole, and how many rows it has, if it has rows.
    fn finish(self, rows: Option<u64>) -> impl Future<Output = Result<()>> + Send;
}

/// Where a dump comes from.
pub trait Source: Send + Sync {
    /// A stream that is being read.
    type Reader: Reader;

    /// What the dump is a dump of.
    fn description(&self) -> &Description;

    /// The streams that it holds, in the order in which they were opened.
    fn streams(&self) -> &[Stream];

    /// Opens the stream of that name. Several may be open at once.
    fn open(&self, name: &str) -> impl Future<Output = Result<Self::Reader>> + Send;
}

/// A stream that is being read.
pub trait Reader: Send {
    /// The next bytes, or none at the end of a stream that is whole. What is damaged is an error, at the
    /// latest in place of the end.
    fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// What is in the way of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occupancy {
    /// Nothing: the database is as `ensure_present` made it.
    Empty,
    /// Something that somebody has made in it.
    Occupied {
        /// Some of it, such as `table public.orders and 11 more`.
        what: String,
    },
}
