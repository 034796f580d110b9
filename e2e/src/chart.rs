//! The chart that makes a namespace a tenant, as its users install it.

use anyhow::{Context as _, Result};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, discovery};
use tokio::sync::OnceCell;

use crate::cluster::helm;

/// A name that no test has, in place of which the test's own is written.
const PLACEHOLDER: &str = "e2e-placeholder";

static RENDERED: OnceCell<String> = OnceCell::const_new();

/// Applies the chart `db-operator-tenant` to a namespace. It is rendered once for all tests, since helm
/// costs a second of a core.
pub(crate) async fn make_tenant(client: &Client, namespace: &str) -> Result<()> {
    let rendered = RENDERED.get_or_try_init(|| {
        helm(&["template", "db-operator-tenant", "charts/db-operator-tenant", "--namespace", PLACEHOLDER])
    });
    for object in documents(&rendered.await?.replace(PLACEHOLDER, namespace))? {
        let mut object: DynamicObject = serde_json::from_value(object)?;
        let types = object.types.clone().context("an object of the chart has no kind")?;
        let kind = GroupVersionKind::try_from(&types)?;
        let (resource, _) = discovery::pinned_kind(client, &kind).await?;
        object.metadata.namespace = Some(namespace.to_owned());
        let name = object.metadata.name.clone().context("an object of the chart has no name")?;
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        api.patch(&name, &PatchParams::apply("db-operator-e2e").force(), &Patch::Apply(&object))
            .await
            .with_context(|| format!("cannot apply {} {name} of the tenant chart", kind.kind))?;
    }
    Ok(())
}

/// The objects in a stream of YAML documents; empty documents are left out.
pub(crate) fn documents(yaml: &str) -> Result<Vec<serde_json::Value>> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(yaml)?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}
