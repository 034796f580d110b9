//! Whether a backup is what was written.

use std::sync::{Mutex, PoisonError};

use super::client::Client;
use super::decode::Opening;
use super::download::Download;
use super::keys::Identities;
use super::manifest::Manifest;
use driver::dump::{Reader, Source};
use driver::error::Result;

/// Reads the whole backup, two streams at a time, as a load does.
pub(super) async fn verify(
    client: Client,
    folder: String,
    manifest: Manifest,
    identities: Option<Identities>,
) -> Result<()> {
    let backup = if manifest.encryption.is_some() && identities.is_none() {
        Download::opened(client, folder, manifest, Opening::Sealed)
    } else {
        Download::new(client, folder, manifest, identities)?
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
