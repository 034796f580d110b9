//! For tests of ours: a bucket, what is in it, and a way to it on which things go wrong.
//!
//! The bucket is in memory. If `DB_OPERATOR_TEST_S3` is the address of a real S3 server, it is there: with `test` and
//! `testsecret` as its login, in region `eu-west-1`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail on the spot"
)]
#![allow(missing_docs, clippy::missing_panics_doc, reason = "it is for tests of ours alone")]

pub mod proxy;

use std::time::Duration;

use bytes::Bytes;
use driver::Secret;
use driver::dump::{Reader, Source};
use driver::error::Result;
use s3::bucket::Bucket;
use s3::bucket_ops::BucketConfiguration;
use s3::creds::Credentials;
use s3::region::Region;

use crate::attempt::random_attempt;
use crate::client::Client;
use crate::download::Download;
use crate::memory;
use crate::retry::Patience;
use crate::sizes::Sizes;
use crate::store::Store;
use crate::target::{StoreCredentials, StoreTarget};

/// The smallest parts that S3 takes, and an object that ends after the second.
pub(crate) const SMALL: Sizes = Sizes { part: 5 << 20, segment: 6 << 20 };

/// A real time of waiting, short enough for a test that waits it out.
pub(crate) const HASTY: Patience = Patience {
    total: Duration::from_secs(2),
    first: Duration::from_millis(20),
    longest: Duration::from_millis(200),
    ..Patience::ASKING
};

#[expect(clippy::disallowed_methods, reason = "a test's servers come from the environment")]
pub(crate) fn endpoint() -> String {
    std::env::var("DB_OPERATOR_TEST_S3").unwrap_or_else(|_| memory::address().to_owned())
}

/// A bucket of one test's own.
pub async fn bucket() -> StoreTarget {
    let name = format!("test-{}", &random_attempt().unwrap()[..16]);
    let region = Region::Custom { region: memory::REGION.to_owned(), endpoint: endpoint() };
    let login =
        Credentials::new(Some(memory::ACCESS_KEY_ID), Some(memory::SECRET_KEY), None, None, None).unwrap();
    let made = Bucket::create_with_path_style(&name, region, login, BucketConfiguration::default()).await;
    assert!((200..300).contains(&made.unwrap().response_code));
    StoreTarget {
        endpoint: Some(endpoint()),
        region: memory::REGION.to_owned(),
        bucket: name,
        prefix: Some("dumps/".to_owned()),
        path_style: true,
        credentials: StoreCredentials::Static {
            access_key_id: memory::ACCESS_KEY_ID.to_owned(),
            secret_key: Secret::new(memory::SECRET_KEY),
            session_token: None,
        },
    }
}

pub fn store(target: &StoreTarget) -> Store {
    Store::with(target.clone(), HASTY, SMALL).unwrap()
}

pub(crate) fn client(target: &StoreTarget) -> Client {
    Client::new(target.clone(), HASTY).unwrap()
}

/// Bytes that no compression makes shorter, and that are the same for the same `seed`.
pub fn noise(seed: u64, length: usize) -> Bytes {
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

/// Reads a stream whole.
pub async fn read(download: &Download, name: &str) -> Result<Bytes> {
    let mut reader = download.open(name).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.read().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

/// Changes an object behind everybody's back; without a content it is gone then.
pub async fn tamper(target: &StoreTarget, key: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let client = client(target);
    let content = client.get(key, usize::MAX).await.unwrap().unwrap().to_vec();
    match change(content) {
        Some(content) => client.put(key, &content).await.unwrap(),
        None => client.delete(key).await.unwrap(),
    }
}

/// Writes an object behind everybody's back.
pub async fn put(target: &StoreTarget, key: &str, content: &[u8]) {
    client(target).put(key, content).await.unwrap();
}

/// All keys and no upload: what a finished backup leaves.
pub async fn keys_and_no_uploads(target: &StoreTarget) -> Vec<String> {
    assert_eq!(client(target).list_uploads("").await.unwrap(), []);
    client(target).list("").await.unwrap().into_keys().collect()
}
