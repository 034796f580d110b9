//! What the derived schemas lack.

use schemars::{Schema, SchemaGenerator, json_schema};

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
