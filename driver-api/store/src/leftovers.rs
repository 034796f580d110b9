//! What attempts leave in a bucket that never became a backup.

use super::client::Client;
use driver::error::Result;

/// Ends all uploads below `prefix`.
pub(super) async fn abort_uploads(client: &Client, prefix: &str) -> Result<()> {
    for upload in client.list_uploads(prefix).await? {
        tracing::info!(key = upload.key, "ending an upload that was left");
        client.abort_upload(&upload).await?;
    }
    Ok(())
}
