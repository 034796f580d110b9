//! How a finalizer is set and taken off: by compare-and-swap, in a patch that holds nothing else.

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::info;

use super::objects::Objects;
use super::{Kind, Record, TRIES, is_conflict, is_unsure};
use crate::failure::{Failure, Result, kubernetes};
use api::Reason;

/// A kind whose objects a finalizer of ours guards.
pub(crate) trait Guarded: Kind {
    /// The finalizer.
    const FINALIZER: &'static str;

    /// Whether it is to be set on this object.
    fn is_to_be_guarded(&self) -> bool;
}

impl<K: Guarded> Record<K> {
    /// Sets our finalizer, if it is to be set. From then on something of the object may exist elsewhere.
    pub(crate) async fn guard(&mut self) -> Result<()> {
        for _ in 0..TRIES {
            let mut finalizers = self.live.meta().finalizers.clone().unwrap_or_default();
            if !self.live.is_to_be_guarded() || finalizers.iter().any(|name| name == K::FINALIZER) {
                return Ok(());
            }
            finalizers.push(K::FINALIZER.to_owned());
            match swap(&self.objects, self.live.meta(), &finalizers).await {
                Ok(metadata) => {
                    info!(finalizer = K::FINALIZER, "guarded {self}");
                    *self.live.meta_mut() = metadata;
                    return Ok(());
                }
                Err(error) if is_conflict(&error) || is_unsure(&error) => self.reload().await?,
                Err(kube::Error::Api(status)) if status.is_not_found() => return Err(self.gone()),
                Err(error) => return Err(kubernetes(&format!("cannot set the finalizer on {self}"), error)),
            }
        }
        Err(self.contended())
    }

    /// Takes our finalizer off, which is the last effect of a deletion.
    pub(crate) async fn let_go(&mut self) -> Result<()> {
        let_go(&self.objects, self.live.meta(), K::FINALIZER).await
    }
}

/// Takes `finalizer` off the object with that metadata. One that is gone is what was wanted.
pub(crate) async fn let_go<K>(objects: &Objects<K>, metadata: &ObjectMeta, finalizer: &str) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let name = metadata.name.as_deref().unwrap_or_default();
    let object = format!("{} {name}", K::kind(&()));
    let mut metadata = metadata.clone();
    for _ in 0..TRIES {
        let all = metadata.finalizers.iter().flatten();
        let rest: Vec<_> = all.filter(|name| *name != finalizer).cloned().collect();
        match swap(objects, &metadata, &rest).await {
            Ok(_) => {
                info!(finalizer, "let {object} go");
                return Ok(());
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            Err(error) if is_conflict(&error) || is_unsure(&error) => {}
            Err(error) => return Err(kubernetes(&format!("cannot take the finalizer off {object}"), error)),
        }
        let found = objects.get_metadata(name).await;
        let found = found.map_err(|error| kubernetes(&format!("cannot read {object}"), error))?;
        match found.filter(|found| found.uid == metadata.uid) {
            Some(found) => metadata = found,
            None => return Ok(()),
        }
    }
    Err(Failure::new(Reason::Internal, format!("others keep writing {object}; trying again later")))
}

/// Replaces the finalizers. The patch holds what says which object it is for, and nothing else.
async fn swap<K>(
    objects: &Objects<K>,
    metadata: &ObjectMeta,
    finalizers: &[String],
) -> kube::Result<ObjectMeta>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let patch = json!({"metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": finalizers,
    }});
    let name = metadata.name.as_deref().unwrap_or_default();
    objects.patch_metadata(name, &patch).await
}
