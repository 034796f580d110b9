//! What the API server refuses by the rules in the CRDs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail on the spot")]

use kube_cel::{Validator, compile_schema};
use serde_json::{Value, json};

/// The schema of a kind.
fn schema(kind: &str) -> Value {
    let crds = api::crds();
    let crd = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == kind).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// What the rules say of a change from `old` to `new`.
fn refused(kind: &str, old: Option<&Value>, new: &Value) -> Vec<String> {
    let Err(errors) = Validator::new().validate(&schema(kind), new, old) else { return Vec::new() };
    errors.as_slice().iter().map(|error| error.message.clone()).collect()
}

fn database(fields: &Value) -> Value {
    let mut spec = json!({"driver": "postgresql", "connect": {"host": "h"},
        "credentials": {"username": {"value": "u"}, "password": {"value": "p"}}});
    for (name, value) in fields.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({"spec": spec})
}

#[test]
fn every_rule_is_one_that_is_understood() {
    for kind in ["Database", "Backup", "Restore", "Driver"] {
        let compiled = compile_schema(&schema(kind));
        assert!(!compiled.has_errors(), "{kind}: {:?}", compiled.compilation_errors());
    }
}

#[test]
fn what_decides_about_a_deletion_is_not_taken_away_without_a_word() {
    let place = json!({"s3": {"region": "r", "bucket": "dumps"}});
    let bare = database(&json!({}));
    let backed_up = database(&json!({"backupTo": place}));
    let said = |policy: &str| database(&json!({"deletionPolicy": policy}));
    let both = database(&json!({"backupTo": place, "deletionPolicy": "Retain"}));
    for (old, new, message) in [
        (&backed_up, &bare, "backupTo cannot be taken away without a word: set deletionPolicy"),
        (&said("Delete"), &bare, "deletionPolicy cannot be taken away once it is said: set it to"),
        (&both, &backed_up, "deletionPolicy cannot be taken away once it is said: set it to"),
    ] {
        let messages = refused("Database", Some(old), new);
        assert!(messages.iter().any(|said| said.contains(message)), "{messages:?}");
    }
    for (old, new) in [
        (&bare, &backed_up),
        (&bare, &said("Delete")),
        (&backed_up, &said("Retain")),
        (&backed_up, &said("Delete")),
        (&said("Delete"), &said("Retain")),
        (&both, &said("Retain")),
        (&bare, &bare),
    ] {
        assert_eq!(refused("Database", Some(old), new), Vec::<String>::new(), "{old} to {new}");
    }
    // Where there is no old object, nothing is taken away.
    assert_eq!(refused("Database", None, &bare), Vec::<String>::new());
}

/// The pattern and the rules of a field, in every place where it stands.
fn patterns(field: &str) -> Vec<String> {
    fn walk(schema: &Value, field: &str, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if name.eq_ignore_ascii_case(field) && property["type"] == "string" {
                found.push(property["pattern"].as_str().unwrap_or_default().to_owned());
            }
            walk(property, field, found);
        }
    }
    let mut found = Vec::new();
    for kind in ["Database", "Backup", "Restore"] {
        walk(&schema(kind), field, &mut found);
    }
    found
}

#[test]
fn what_becomes_part_of_a_request_to_a_store_is_nothing_but_a_name() {
    let long = "a".repeat(63);
    let cases: [(&str, usize, &[&str], &[&str]); 4] = [
        (
            "region",
            5,
            &["eu-west-1", "us-gov-east-1", "RegionOne", "gra", "my_region", "1"],
            &[
                "",
                "x.evil.example/",
                "x.evil.example",
                "eu west",
                "eu-west-1@evil",
                "a:1",
                "a#",
                "a?b",
                "-",
                "a/",
                "é",
            ],
        ),
        (
            "bucket",
            5,
            &["my-backup-bucket", "dumps", "a.b.c", "1-2", &long],
            &[
                "", "a/b", "a..b", ".a", "a.", "-a", "a-", "a.-b", "A", "a_b", "a?b", "a b", "a@b", "../a",
                "a:b",
            ],
        ),
        (
            "prefix",
            5,
            &["", "backups/", "backups", "/team-a/prod/", "a/.b/c..d", "env=prod", "team_a/(old)/x!*'", "/"],
            &[
                "team-a/../team-b",
                "..",
                ".",
                "a/./b",
                "a//b",
                "//",
                "../",
                "a/..",
                "a b",
                "a?b",
                "a#b",
                "a%2e%2e",
                "é",
                "a\\b",
                "...",
            ],
        ),
        (
            "path",
            3,
            &["shop/orders/6f1c", "shop/orders/final-6f1c-00", "a"],
            &[
                "",
                "/a",
                "a/",
                "../../other",
                "a/../b",
                "a//b",
                "a/.",
                "a b",
                "shop/orders/..",
                "a?versionId=1",
            ],
        ),
    ];
    for (field, places, good, bad) in cases {
        let found = patterns(field);
        assert_eq!(found.len(), places, "{field}: {found:?}");
        for pattern in found {
            let pattern = regex::Regex::new(&pattern).unwrap();
            for value in good {
                assert!(pattern.is_match(value), "{field} {value:?} is refused by {pattern}");
            }
            for value in bad {
                assert!(!pattern.is_match(value), "{field} {value:?} is taken by {pattern}");
            }
        }
    }
}

#[test]
fn a_bucket_is_no_address() {
    for (bucket, taken) in [("10.0.0.1", false), ("10.0.0.1.dumps", true), ("a10.0.0.1", true)] {
        for place in [
            json!({"s3": {"region": "r", "bucket": bucket}}),
            json!({"S3": {"Region": "r", "Bucket": bucket}}),
        ] {
            let messages = refused("Database", None, &database(&json!({"backupTo": place})));
            assert_eq!(messages.is_empty(), taken, "{bucket}: {messages:?}");
            assert!(messages.iter().all(|message| message.contains("cannot be formatted as an IP address")));
        }
    }
}

#[test]
fn every_object_is_born_with_a_status_that_nobody_takes_for_done() {
    for kind in ["Database", "Backup", "Restore"] {
        assert_eq!(
            schema(kind)["properties"]["status"]["default"],
            json!({"observedGeneration": -1}),
            "{kind}"
        );
    }
    assert!(schema("Driver")["properties"]["status"].is_null());
}

#[test]
fn the_policy_in_force_has_a_column() {
    let crds = api::crds();
    let crd = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == "Database").unwrap();
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let column = columns.iter().find(|column| column["name"] == "Deletion").unwrap();
    assert_eq!(
        (column["jsonPath"].as_str(), column["priority"].as_i64()),
        (Some(".status.deletionPolicy"), Some(1))
    );
}
