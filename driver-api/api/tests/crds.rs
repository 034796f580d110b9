//! The committed CRDs are what the Rust types say. `make generate` writes them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail on the spot")]

use std::path::PathBuf;

use serde_json::Value;

fn committed(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../charts/db-operator/charts/crds/crds")
        .join(format!("{name}.yaml"))
}

fn name_of(crd: &Value) -> &str {
    crd["metadata"]["name"].as_str().unwrap()
}

#[test]
fn committed_crds_are_generated_from_the_types() {
    for crd in api::crds() {
        let yaml = serde_saphyr::to_string(&crd).unwrap();
        let text = format!("# Generated from driver-api/api by `make generate`: do not edit.\n{yaml}");
        expectorate::assert_contents(committed(name_of(&crd)), &text);
    }
}

/// Calls `check` with the path and schema of every property.
fn walk(path: &str, schema: &Value, check: &mut dyn FnMut(&str, &Value)) {
    check(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, check);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], check);
    }
}

#[test]
fn every_field_is_explained_and_nothing_is_nullable_or_unsigned() {
    for crd in api::crds() {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut missing = Vec::new();
        walk(name_of(&crd), schema, &mut |path, property| {
            assert_eq!(property.get("nullable"), None, "{path} is nullable");
            let format = property["format"].as_str().unwrap_or_default();
            assert!(!format.starts_with("uint"), "{path} has a format that the API server does not know");
            // The fields of Kubernetes' own types explain themselves by reference.
            let explained = property["description"].is_string() || path.ends_with("[]");
            if !explained && !path.contains(".affinity.") {
                missing.push(path.to_owned());
            }
        });
        assert!(missing.is_empty(), "kubectl explain says nothing about {missing:?}");
    }
}

#[test]
fn every_kind_has_what_people_type_and_look_for() {
    for crd in api::crds() {
        let names = &crd["spec"]["names"];
        assert_eq!(names["categories"], serde_json::json!(["db-operator"]), "{}", name_of(&crd));
        assert!(names["shortNames"][0].as_str().unwrap().starts_with("dbo"));
        let columns: Vec<_> = crd["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        assert!(columns.contains(&"Age"), "{columns:?}");
    }
}

#[test]
fn every_status_field_is_optional() {
    for crd in api::crds() {
        let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
        assert!(status["required"].is_null(), "{}: {}", name_of(&crd), status["required"]);
    }
}
