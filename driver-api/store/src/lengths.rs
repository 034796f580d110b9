//! Whether what a manifest names is in the store, as long as it was written.

use super::client::Client;
use super::manifest::Segment;
use driver::error::{DriverError, ErrorKind, Result};

/// Compares what the store has of an attempt with what it was given.
pub(super) async fn check(
    client: &Client,
    folder: &str,
    attempt: &str,
    segments: impl Iterator<Item = &Segment>,
) -> Result<()> {
    let found = client.list(&format!("{folder}/{attempt}/")).await?;
    for segment in segments {
        let key = format!("{folder}/{}", segment.key);
        let length = found.get(&key).copied();
        if length != Some(segment.bytes) {
            let is = length.map_or_else(|| "gone".to_owned(), |length| format!("{length} bytes long"));
            let message = format!(
                "{key:?} was stored with {} bytes and is {is}: see who else writes to bucket {:?}",
                segment.bytes,
                client.target().bucket
            );
            return Err(DriverError::new(ErrorKind::BackupDamaged, message));
        }
    }
    Ok(())
}
