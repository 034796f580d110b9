//! The CRDs as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::backup::Backup;
use super::database::Database;
use super::registration::DriverRegistration;
use super::restore::Restore;

/// The generation that a status is born with. No object has it, so that what waits for a new object to be ready (kstatus,
/// and by it Flux and Argo CD) does not take one that no run has looked at for one that is done.
const BORN: i64 = -1;

/// What keeps Helm and Argo CD from deleting a CRD, and with it every object of its kind and every database.
const KEPT: [(&str, &str); 2] =
    [("helm.sh/resource-policy", "keep"), ("argocd.argoproj.io/sync-options", "Prune=false")];

/// The CRDs of all kinds, ready to be applied.
pub fn crds() -> Vec<Value> {
    [Database::crd(), Backup::crd(), Restore::crd(), DriverRegistration::crd()]
        .iter()
        .map(installable)
        .collect()
}

fn installable(crd: &CustomResourceDefinition) -> Value {
    let mut value = serde_json::to_value(crd).unwrap_or_default();
    clean(&mut value);
    if let Some(metadata) = value.pointer_mut("/metadata") {
        metadata["annotations"] = KEPT.into_iter().collect();
    }
    let versions = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(status) = version.pointer_mut("/schema/openAPIV3Schema/properties/status") {
            status["default"] = json!({"observedGeneration": BORN});
        }
    }
    value
}

/// Drops what the API server does not know (unsigned formats) or the API conventions discourage
/// (`nullable`, which breaks merge patch and server-side apply round trips).
fn clean(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|key, value| match (key.as_str(), value) {
                ("nullable", Value::Bool(_)) => false,
                ("format", Value::String(format)) => !format.starts_with("uint"),
                _ => true,
            });
            object.values_mut().for_each(clean);
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
