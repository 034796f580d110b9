//! What the store does with a real S3 server: `DB_OPERATOR_TEST_S3` is its address, `test` and `testsecret`
//! its login, and its region `eu-west-1`.

mod backup;
mod damage;
mod faults;
mod memory;
pub(crate) mod proxy;
mod refusals;

use std::time::Duration;

use bytes::Bytes;
use s3::bucket::Bucket;
use s3::bucket_ops::BucketConfiguration;
use s3::creds::Credentials;
use s3::region::Region;

pub(crate) use super::upload::random_attempt;

use super::client::Client;
use super::manifest::Manifest;
use super::{BackupIdentity, Download, Patience, Sizes, Store, StoreCredentials, StoreTarget, Upload};
use crate::dump::{Description, Reader, Sink, Source, StreamInfo, Writer};
use crate::error::Result;
use crate::secret::Secret;

/// The place of the backup that most tests make.
const LOCATION: &str = "shop/orders/6f1c";

/// The smallest parts that S3 takes, and an object that ends after the second.
const SMALL: Sizes = Sizes { part: 5 << 20, segment: 6 << 20 };

/// A real time of waiting, short enough for a test that waits it out.
const HASTY: Patience = Patience {
    total: Duration::from_secs(2),
    first: Duration::from_millis(20),
    longest: Duration::from_millis(200),
};

#[expect(clippy::disallowed_methods, reason = "a test's servers come from the environment")]
fn endpoint() -> String {
    std::env::var("DB_OPERATOR_TEST_S3").expect("DB_OPERATOR_TEST_S3 must be the address of an S3 server")
}

/// A bucket of one test's own.
pub(crate) async fn bucket() -> StoreTarget {
    let name = format!("test-{}", random_attempt().unwrap());
    let region = Region::Custom { region: "eu-west-1".to_owned(), endpoint: endpoint() };
    let login = Credentials::new(Some("test"), Some("testsecret"), None, None, None).unwrap();
    let made = Bucket::create_with_path_style(&name, region, login, BucketConfiguration::default()).await;
    assert!((200..300).contains(&made.unwrap().response_code));
    StoreTarget {
        endpoint: Some(endpoint()),
        region: "eu-west-1".to_owned(),
        bucket: name,
        prefix: Some("dumps/".to_owned()),
        path_style: true,
        credentials: StoreCredentials::Static {
            access_key_id: "test".to_owned(),
            secret_key: Secret::new("testsecret"),
            session_token: None,
        },
    }
}

pub(crate) fn store(target: &StoreTarget) -> Store {
    Store::with(target.clone(), HASTY, SMALL).unwrap()
}

fn client(target: &StoreTarget) -> Client {
    Client::new(target.clone(), HASTY).unwrap()
}

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

/// Bytes that no compression makes shorter, and that are the same for the same `seed`.
pub(crate) fn noise(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
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
    upload.complete(identity(), description()).await
}

/// Reads a stream whole.
pub(crate) async fn read(download: &Download, name: &str) -> Result<Bytes> {
    let mut reader = download.open(name).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.read().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

/// Changes an object behind everybody's back; without a content it is gone then.
pub(crate) async fn tamper(target: &StoreTarget, key: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let client = client(target);
    let content = client.get(key).await.unwrap().unwrap().to_vec();
    match change(content) {
        Some(content) => client.put(key, &content).await.unwrap(),
        None => client.delete(key).await.unwrap(),
    }
}

/// All keys and no upload: what a finished backup leaves.
pub(crate) async fn keys_and_no_uploads(target: &StoreTarget) -> Vec<String> {
    assert_eq!(client(target).list_uploads("").await.unwrap(), []);
    client(target).list("").await.unwrap().into_keys().collect()
}
