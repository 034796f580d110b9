//! A bucket of the cluster's object store, as its owner sees it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::ListParams;
use s3::BucketConfiguration;
use s3::creds::Credentials;
use s3::region::Region;
use serde_json::{Value, json};

use crate::context::Context;
use crate::server::{SERVERS_NAMESPACE, address, texts};
use crate::wait::PATIENCE;

/// The object store, as pods resolve it.
const HOST: &str = "s3.servers.svc.cluster.local";
/// Its port.
const PORT: u16 = 7070;
/// What every key of a backup begins with.
const PREFIX: &str = "backups/";

/// A bucket of a test's own. Its access key is in the Secret `bucket` of the test's namespace.
#[derive(Debug)]
pub struct Bucket {
    inner: Box<s3::Bucket>,
}

impl Bucket {
    /// Makes a bucket with the name of the test's namespace.
    pub async fn make(test: &Context) -> Result<Self> {
        let secrets: Api<Secret> = Api::namespaced(test.client.clone(), SERVERS_NAMESPACE);
        let secret = secrets.get("s3-admin").await.context("no object store is up: run `make cluster`")?;
        let login = texts(&secret)?;
        let of = |key: &str| login.get(key).with_context(|| format!("the Secret has no key {key:?}"));
        let (id, key) = (of("username")?, of("password")?);
        test.put_secret("bucket", json!({"id": id, "key": key})).await?;
        let endpoint = format!("http://{}:{PORT}", address(&test.client, HOST).await?);
        let region = Region::Custom { region: "eu-west-1".to_owned(), endpoint };
        let credentials = Credentials::new(Some(id), Some(key), None, None, None)?;
        let configuration = BucketConfiguration::default();
        s3::Bucket::create_with_path_style(
            &test.namespace,
            region.clone(),
            credentials.clone(),
            configuration,
        )
        .await?;
        let inner = s3::Bucket::new(&test.namespace, region, credentials)?.with_path_style();
        Ok(Self { inner })
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.inner.name()
    }

    /// The store's address, for this machine and for pods.
    pub fn endpoint(&self) -> String {
        self.inner.region().endpoint()
    }

    /// The address of the pod that serves it.
    pub async fn address(&self, test: &Context) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(test.client.clone(), SERVERS_NAMESPACE);
        let found = pods.list(&ListParams::default().labels("server=s3")).await?;
        let status = found.items.into_iter().next().and_then(|pod| pod.status);
        status.and_then(|status| status.pod_ip).context("no object store is up: run `make cluster`")
    }

    /// It as `spec.backupTo.s3` names it.
    pub fn target(&self) -> Value {
        let key = |key: &str| json!({"valueFrom": {"secretKeyRef": {"name": "bucket", "key": key}}});
        json!({
            "region": "eu-west-1", "bucket": self.inner.name, "prefix": PREFIX,
            "endpoint": format!("http://{HOST}:{PORT}"),
            "credentials": {"accessKeyId": key("id"), "secretAccessKey": key("key")},
        })
    }

    /// The keys in it, in order.
    pub async fn keys(&self) -> Result<Vec<String>> {
        let pages = self.inner.list(String::new(), None).await?;
        let mut keys: Vec<_> =
            pages.into_iter().flat_map(|page| page.contents).map(|object| object.key).collect();
        keys.sort();
        Ok(keys)
    }

    /// How many multipart uploads are under way or left.
    pub async fn uploads(&self) -> Result<usize> {
        let pages = self.inner.list_multiparts_uploads(None, None).await?;
        Ok(pages.iter().map(|page| page.uploads.len()).sum())
    }

    /// Waits until a multipart upload is under way. A store has no watch.
    pub async fn until_uploading(&self) -> Result<()> {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        let begun = async {
            while self.uploads().await? == 0 {
                look.tick().await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, begun).await.context("no upload has begun")?
    }

    /// What is stored under a key.
    pub async fn read(&self, key: &str) -> Result<Vec<u8>> {
        Ok(self.inner.get_object(key).await?.to_vec())
    }

    /// Stores something under a key.
    pub async fn write(&self, key: &str, content: &[u8]) -> Result<()> {
        self.inner.put_object(key, content).await?;
        Ok(())
    }

    /// Deletes the bucket and all that is in it.
    pub async fn remove(&self) -> Result<()> {
        for key in self.keys().await? {
            self.delete(&key).await?;
        }
        self.inner.delete().await?;
        Ok(())
    }

    /// Deletes what is under a key.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.inner.delete_object(key).await?;
        Ok(())
    }
}
