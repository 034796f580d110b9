//! Whether a backup is what was written.

use std::sync::{Mutex, PoisonError};

use super::Store;
use super::decode::Opening;
use super::download::Download;
use super::manifest::Manifest;
use driver::dump::{Reader, Source};
use driver::error::Result;
use driver::secret::Secret;

/// Reads the whole backup, two streams at a time, as a load does.
pub(super) async fn verify(
    store: &Store,
    location: &str,
    manifest: &Manifest,
    identity: Option<&Secret>,
) -> Result<()> {
    let backup = if manifest.encryption.is_some() && identity.is_none() {
        let folder = store.folder(location)?;
        Download::opened(store.client.clone(), folder, manifest.clone(), Opening::Sealed)
    } else {
        store.open(location, manifest.clone(), identity)?
    };
    let streams = Mutex::new(backup.streams().iter());
    let next = || streams.lock().unwrap_or_else(PoisonError::into_inner).next();
    let read = async || {
        while let Some(stream) = next() {
            let mut reader = backup.open(&stream.info.name).await?;
            while reader.read().await?.is_some() {}
        }
        Ok(())
    };
    tokio::try_join!(read(), read()).map(drop)
}
