use serde_json::json;

use super::*;
use crate::seen::fixtures::{database, request};

fn uids<'a>(found: impl Iterator<Item = &'a KnownRequest>) -> Vec<String> {
    found.map(|request| request.uid.to_string()).collect()
}

#[test]
fn those_about_a_database_are_found_and_not_those_of_another_of_its_name() {
    let mut requests = Requests::default();
    requests.apply(request("Backup", "mine", &json!({})));
    requests.apply(request("Restore", "back", &json!({})));
    requests.apply(request("Backup", "elsewhere", &json!({"metadata": {"namespace": "other"}})));
    requests.apply(request(
        "Backup",
        "record",
        &json!({"metadata": {"labels": {"db.isotoma.com/uid": "gone"}}}),
    ));
    requests.apply(request(
        "Backup",
        "kept",
        &json!({"metadata": {"labels": {"db.isotoma.com/uid": "orders"}}}),
    ));
    let orders = database("orders", &json!({}));
    assert_eq!(uids(requests.about(&orders)), ["back", "kept", "mine"]);
    requests.remove("mine");
    assert_eq!(uids(requests.about(&orders)), ["back", "kept"]);
}

#[test]
fn a_backup_is_a_source_once_it_is_complete_and_until_it_is_deleted() {
    let mut requests = Requests::default();
    let from = SourceReferences { backup: Some("nightly".into()), ..SourceReferences::default() };
    let source = |requests: &Requests| requests.complete_source(&"shop".into(), Some(&from));
    requests.apply(request("Backup", "nightly", &json!({})));
    assert_eq!(source(&requests), None);
    requests.apply(request("Backup", "nightly", &json!({"status": {"phase": "Completed"}})));
    assert_eq!(source(&requests).as_deref(), Some("nightly"));
    let deleted =
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Completed"}});
    requests.apply(request("Backup", "nightly", &deleted));
    assert_eq!(source(&requests), None);
}

#[test]
fn those_that_wait_for_a_backup_are_found_by_its_name() {
    let mut requests = Requests::default();
    let loads = |name: &str, phase: serde_json::Value| {
        request(
            "Restore",
            name,
            &json!({"spec": {"from": {"backup": "nightly"}}, "status": {"phase": phase}}),
        )
    };
    requests.apply(loads("waits", json!(null)));
    requests.apply(loads("done", json!("Completed")));
    let backup = request("Backup", "nightly", &json!({}));
    assert_eq!(uids(requests.restores_of(&backup)), ["waits"]);
    requests.apply(loads("waits", json!("Completed")));
    assert_eq!(uids(requests.restores_of(&backup)), [""; 0]);
}

#[test]
fn what_a_list_does_not_have_is_gone_and_only_of_its_kind() {
    let mut requests = Requests::default();
    requests.apply(request("Backup", "stays", &json!({})));
    requests.apply(request("Backup", "goes", &json!({})));
    requests.apply(request("Restore", "other", &json!({})));
    requests.begin(Operation::Backup);
    requests.apply(request("Backup", "stays", &json!({})));
    let gone = requests.complete(Operation::Backup);
    assert_eq!(uids(gone.iter()), ["goes"]);
    assert_eq!(uids(requests.all()), ["other", "stays"]);
}
