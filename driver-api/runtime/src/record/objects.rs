//! Objects as they are read, and as `record/` writes them.
//!
//! kube's own `Api` logs an object that it cannot decode, with every password in its spec; and it decodes who wrote which
//! field, which is nested as deep as anybody's parameters. So an answer is text here, and that is left out of it.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{GetParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{Request, request};
use kube::{Client, Error, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use api::DRIVER_FIELD_MANAGER;

/// The objects of kind `K` in a namespace.
pub(crate) struct Objects<K> {
    client: Client,
    requests: Request,
    kind: PhantomData<fn() -> K>,
}

/// An object of which nothing but the metadata is read.
#[derive(Deserialize)]
struct Described {
    metadata: ObjectMeta,
}

impl<K> Objects<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
{
    /// Those in `namespace`.
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { client, requests: Request::new(K::url_path(&(), Some(namespace))), kind: PhantomData }
    }

    /// The object of that name, if there is one.
    pub(crate) async fn get(&self, name: &str) -> kube::Result<Option<K>> {
        if_any(self.ask(self.requests.get(name, &GetParams::default())).await)
    }

    /// The metadata of the object of that name, if there is one: it can be read whatever else the object says.
    pub(crate) async fn get_metadata(&self, name: &str) -> kube::Result<Option<ObjectMeta>> {
        let found = self.ask(self.requests.get_metadata(name, &GetParams::default())).await;
        if_any(found.map(|Described { metadata }| metadata))
    }

    /// Makes an object.
    #[expect(clippy::disallowed_methods, reason = "record/ makes the one Backup that a driver makes")]
    pub(super) async fn create(&self, object: &K) -> kube::Result<K>
    where
        K: Serialize,
    {
        let text = serde_json::to_vec(object).map_err(Error::SerdeError)?;
        self.ask(self.requests.create(&PostParams::default(), text)).await
    }

    /// Writes its status, by a merge patch.
    #[expect(clippy::disallowed_methods, reason = "record/ alone writes statuses")]
    pub(super) async fn patch_status(&self, name: &str, patch: &Value) -> kube::Result<K> {
        let parameters =
            PatchParams { field_manager: Some(DRIVER_FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.ask(self.requests.patch_subresource("status", name, &parameters, &Patch::Merge(patch))).await
    }

    /// Writes its metadata, by a merge patch.
    #[expect(clippy::disallowed_methods, reason = "record/ alone writes finalizers")]
    pub(super) async fn patch_metadata(&self, name: &str, patch: &Value) -> kube::Result<ObjectMeta> {
        // Of the answer no more is read than the metadata: what the object says besides may be from another release.
        let request = self.requests.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch));
        self.ask(request).await.map(|Described { metadata }| metadata)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Result<http::Request<Vec<u8>>, request::Error>,
    ) -> kube::Result<T> {
        let text = self.client.request_text(request.map_err(Error::BuildRequest)?).await?;
        read(&text).map_err(Error::SerdeError)
    }
}

fn if_any<T>(found: kube::Result<T>) -> kube::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The object in `text`, without who wrote which field.
fn read<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut object: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text)?;
    if let Some(metadata) = object.get_mut("metadata") {
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(metadata.get())?;
        fields.remove("managedFields");
        *metadata = to_raw_value(&fields)?;
    }
    serde_json::from_str(to_raw_value(&object)?.get())
}
