//! What the derived schemas lack, and the CRDs as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// The CRDs of all kinds, ready to be applied.
pub fn crds() -> Vec<Value> {
    [super::Database::crd(), super::Backup::crd(), super::Restore::crd(), super::DriverRegistration::crd()]
        .iter()
        .map(installable)
        .collect()
}

fn installable(crd: &CustomResourceDefinition) -> Value {
    let mut value = serde_json::to_value(crd).unwrap_or_default();
    clean(&mut value);
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

/// An object whose fields the driver checks.
pub(super) fn free_form_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Conditions as `metav1.Condition` documents them, merged by type.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "description": "Ready or Stalled."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "Why, in one word."},
                "message": {"type": "string", "maxLength": 32768, "description": "What happened, and what to do next."},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation it is about."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Since when the status is what it is."},
            },
        },
    })
}
