//! What the store does with a bucket: one in memory, or one on the real S3 server that `DB_OPERATOR_TEST_S3` names, with
//! `test` and `testsecret` as its login and `eu-west-1` as its region.

mod backup;
mod damage;
mod faults;
mod hostile;
mod limits;
mod memory;
mod refusals;

use bytes::Bytes;
use driver::dump::{Description, Reader, Sink, Source, StreamInfo, Writer};
use driver::error::Result;
use driver::secret::Secret;

use crate::client::Client;
use crate::manifest::Manifest;
use crate::testing::{
    HASTY, SMALL, bucket, client, endpoint, keys_and_no_uploads, noise, proxy, read, store, tamper,
};
use crate::{BackupIdentity, Patience, Sizes, Store, StoreCredentials, StoreTarget, Upload};

/// The place of the backup that most tests make.
const LOCATION: &str = "shop/orders/6f1c";

fn identity() -> BackupIdentity {
    BackupIdentity {
        namespace: "shop".to_owned(),
        database: "orders".to_owned(),
        database_uid: "11aa".to_owned(),
        backup_uid: "6f1c".to_owned(),
        server_database: "shop_orders".to_owned(),
        driver: "memory".to_owned(),
    }
}

fn description() -> Description {
    Description {
        server_version: "17.6".to_owned(),
        tool_version: "tool 1".to_owned(),
        snapshot: Some("0/16B3748".to_owned()),
        details: serde_json::json!({"schema": "public"}),
    }
}

fn info(name: &str) -> StreamInfo {
    StreamInfo { name: name.to_owned(), restore_with: format!("COPY {name} FROM STDIN") }
}

/// Writes a stream in chunks.
async fn write(upload: &Upload, name: &str, content: &Bytes) -> Result<()> {
    let mut writer = upload.open(info(name)).await?;
    for start in (0..content.len()).step_by(300_000) {
        writer.write(content.slice(start..content.len().min(start + 300_000))).await?;
    }
    writer.finish(Some(7)).await
}

/// Makes a backup of those streams.
async fn back_up(store: &Store, recipients: &[String], streams: &[(&str, Bytes)]) -> Result<Manifest> {
    let upload = store.begin(LOCATION, None, recipients).await?;
    for (name, content) in streams {
        write(&upload, name, content).await?;
    }
    Ok(upload.complete(identity(), description()).await?.either().manifest)
}
