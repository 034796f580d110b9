//! Whether a backup is what was written.

use super::Store;
use super::decode::Opening;
use super::download::Download;
use super::manifest::Manifest;
use crate::dump::{Reader, Source};
use crate::error::Result;
use crate::secret::Secret;

/// Reads the whole backup, one stream after the other.
pub(super) async fn verify(
    store: &Store,
    location: &str,
    manifest: &Manifest,
    identity: Option<&Secret>,
) -> Result<()> {
    let backup = if manifest.encryption.is_some() && identity.is_none() {
        let folder = store.folder(location)?;
        Download::opened(store.client.clone(), folder, manifest.clone(), Opening::Sealed, store.sizes)
    } else {
        store.open(location, manifest.clone(), identity)?
    };
    for stream in backup.streams() {
        let mut reader = backup.open(&stream.info.name).await?;
        while reader.read().await?.is_some() {}
    }
    Ok(())
}
