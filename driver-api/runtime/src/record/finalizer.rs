//! How a finalizer is set and taken off: by compare-and-swap, in a patch that holds nothing else.

use std::fmt::Debug;

use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::info;

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
            match swap(&self.api, self.live.meta(), &finalizers).await {
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
        let_go(&self.api, self.live.meta(), K::FINALIZER).await
    }
}

/// Takes `finalizer` off the object with that metadata. One that is gone is what was wanted.
pub(crate) async fn let_go<K>(api: &Api<K>, metadata: &ObjectMeta, finalizer: &str) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let name = metadata.name.as_deref().unwrap_or_default();
    let object = format!("{} {name}", K::kind(&()));
    let mut metadata = metadata.clone();
    for _ in 0..TRIES {
        let all = metadata.finalizers.iter().flatten();
        let rest: Vec<_> = all.filter(|name| *name != finalizer).cloned().collect();
        match swap(api, &metadata, &rest).await {
            Ok(_) => {
                info!(finalizer, "let {object} go");
                return Ok(());
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            Err(error) if is_conflict(&error) || is_unsure(&error) => {}
            Err(error) => return Err(kubernetes(&format!("cannot take the finalizer off {object}"), error)),
        }
        let found = api.get_metadata_opt(name).await;
        let found = found.map_err(|error| kubernetes(&format!("cannot read {object}"), error))?;
        match found.filter(|found| found.metadata.uid == metadata.uid) {
            Some(found) => metadata = found.metadata,
            None => return Ok(()),
        }
    }
    Err(Failure::new(Reason::Internal, format!("others keep writing {object}; trying again later")))
}

/// Replaces the finalizers. The patch holds what says which object it is for, and nothing else.
#[expect(clippy::disallowed_methods, reason = "this is the one module that writes finalizers")]
async fn swap<K>(api: &Api<K>, metadata: &ObjectMeta, finalizers: &[String]) -> kube::Result<ObjectMeta>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let patch = json!({"metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": finalizers,
    }});
    let name = metadata.name.as_deref().unwrap_or_default();
    // Of the answer no more is read than the metadata: what the object says besides may be from another release.
    let answer = api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(answer.metadata)
}
