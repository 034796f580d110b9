//! Stored bytes on their way back.

use bytes::Bytes;
use tokio::sync::mpsc::Sender;

use super::client::Client;
use super::manifest::Segment;
use driver::error::{DriverError, ErrorKind, Result};

/// What a decoder gets.
#[derive(Debug)]
pub(super) enum Fetched {
    /// More of a segment.
    Bytes(Bytes),
    /// The segment has its full length.
    End,
    /// The segment cannot be read.
    Failed(DriverError),
}

/// How much is asked for at once: enough that a store's delay matters little, and a stream that is read has three
/// of them in memory. The whole of a long answer would have to arrive within one timeout.
const RANGE: u64 = 2 << 20;

/// Reads the segments in `folder`, one after the other, until `out` is gone.
pub(super) async fn fetch(client: Client, folder: String, segments: Vec<Segment>, out: Sender<Fetched>) {
    for segment in &segments {
        let key = format!("{folder}/{}", segment.key);
        let mut start = 0;
        while start < segment.bytes {
            let next = piece(&client, &key, start, RANGE.min(segment.bytes - start), segment.bytes).await;
            let fetched = match next {
                Ok(bytes) => {
                    start += bytes.len() as u64;
                    Fetched::Bytes(bytes)
                }
                Err(error) => Fetched::Failed(error),
            };
            let failed = matches!(fetched, Fetched::Failed(_));
            if out.send(fetched).await.is_err() || failed {
                return;
            }
        }
        if out.send(Fetched::End).await.is_err() {
            return;
        }
    }
}

/// The `length` bytes from `start` of an object that has `whole`.
async fn piece(client: &Client, key: &str, start: u64, length: u64, whole: u64) -> Result<Bytes> {
    match client.get_range(key, start, length).await? {
        Some((bytes, found)) if found == whole && bytes.len() as u64 == length => Ok(bytes),
        Some((_, found)) if found != whole => {
            Err(damaged(client, key, &format!("has {found} bytes, and had {whole} when it was stored")))
        }
        Some((bytes, _)) => {
            Err(damaged(client, key, &format!("gives {} bytes where {length} were asked for", bytes.len())))
        }
        None => Err(damaged(client, key, "is missing, or cut short")),
    }
}

/// The error of an object that is not what was stored.
pub(super) fn damaged(client: &Client, key: &str, what: &str) -> DriverError {
    let bucket = &client.target().bucket;
    let message =
        format!("s3://{bucket}/{key} {what}: restore from another backup, and find out what changed it");
    DriverError::new(ErrorKind::BackupDamaged, message)
}
