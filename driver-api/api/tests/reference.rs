//! `docs/reference/api.md` is made from the CRDs. `make generate` writes it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail on the spot")]

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;

/// One row for a field and, below it, its own fields. Kubernetes' own types are named, not unfolded.
fn rows(path: &str, schema: &Value, text: &mut String) {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let need = if required.contains(&name.as_str()) { "yes" } else { "" };
        let description = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        writeln!(text, "| `{path}` | {} | {need} | {} |", kind(field), description.replace('|', "\\|"))
            .unwrap();
        if ["affinity", "tolerations", "resources", "imagePullSecrets", "conditions"].contains(&name.as_str())
        {
            continue;
        }
        rows(&path, field, text);
        if field["items"].is_object() {
            rows(&format!("{path}[]"), &field["items"], text);
        }
    }
}

fn kind(field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<_> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    if field["x-kubernetes-int-or-string"] == true {
        return "integer or string".to_owned();
    }
    field["type"].as_str().unwrap_or("object").to_owned()
}

#[test]
fn the_reference_is_generated_from_the_crds() {
    let mut text = String::from(
        "# API reference\n\nGenerated from the CRDs by `make generate`: do not edit. `kubectl explain` says the same.\n",
    );
    for crd in api::crds() {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let names = &crd["spec"]["names"];
        writeln!(
            text,
            "\n## {}\n\n{}\n\n{}, short name `{}`.\n",
            names["kind"].as_str().unwrap(),
            schema["description"].as_str().unwrap(),
            crd["spec"]["scope"].as_str().unwrap(),
            names["shortNames"][0].as_str().unwrap(),
        )
        .unwrap();
        for part in ["spec", "status"] {
            if schema["properties"][part].is_object() {
                writeln!(text, "| Field | Type | Required | What it is |\n|---|---|---|---|").unwrap();
                rows(part, &schema["properties"][part], &mut text);
                writeln!(text).unwrap();
            }
        }
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/api.md");
    expectorate::assert_contents(path, &(text.trim_end().to_owned() + "\n"));
}
