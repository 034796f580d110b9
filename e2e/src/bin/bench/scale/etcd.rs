//! The store of the API server, written past it: what it would take long to be told.

use anyhow::{Context as _, Result};
use k8s_openapi::ByteString;
use kube::{Client, Config};
use serde_json::{Value, json};

/// Objects that etcd takes at once.
const BATCH: usize = 50;

/// A client of etcd.
pub(crate) struct Etcd(Client);

impl Etcd {
    /// A client of the etcd there.
    pub(crate) fn at(address: &str) -> Result<Self> {
        Ok(Self(Client::try_from(Config::new(address.parse()?))?))
    }

    /// Writes objects as the API server would store them.
    pub(crate) async fn store(&self, objects: impl IntoIterator<Item = (String, Value)>) -> Result<()> {
        let mut objects = objects.into_iter().peekable();
        while objects.peek().is_some() {
            let batch = objects.by_ref().take(BATCH).map(|(key, object)| {
                json!({"requestPut": {"key": bytes(&key), "value": bytes(&object.to_string())}})
            });
            self.ask("/v3/kv/txn", &json!({"success": batch.collect::<Vec<_>>()})).await?;
        }
        Ok(())
    }

    /// Removes every object under a prefix.
    pub(crate) async fn remove(&self, prefix: &str) -> Result<()> {
        let mut end = prefix.as_bytes().to_vec();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let range = json!({"key": bytes(prefix), "range_end": ByteString(end)});
        self.ask("/v3/kv/deleterange", &range).await?;
        Ok(())
    }

    async fn ask(&self, path: &str, body: &Value) -> Result<Value> {
        let request = http::Request::post(path).body(body.to_string().into_bytes())?;
        self.0.request(request).await.with_context(|| format!("etcd refuses {path}"))
    }
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}
