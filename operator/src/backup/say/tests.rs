use serde_json::json;

use super::*;
use crate::seen::fixtures::request;

fn nightly(over: &serde_json::Value) -> KnownRequest {
    request("Backup", "nightly", over)
}

#[test]
fn a_request_without_its_database_is_told_so_and_a_record_is_left_alone() {
    let told = lost(&nightly(&json!({}))).unwrap();
    assert!(told.warning && told.note.contains("orders") && told.note.contains("shop"), "{told:?}");
    let record = json!({"metadata": {"labels": {"db.isotoma.com/uid": "gone"}}});
    assert_eq!(lost(&nightly(&record)), None, "nobody can create that Database again");
    assert_eq!(lost(&nightly(&json!({"status": {"phase": "Completed"}}))), None);
}

#[test]
fn what_is_stored_is_named_when_it_is_left_or_deleted() {
    let deleted = nightly(&json!({
        "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["db.isotoma.com/backup"]},
        "status": {"driver": "engine", "location": {"path": "shop/orders/b-1", "s3": {
            "region": "eu-west-1", "bucket": "dumps", "prefix": "backups/"}}},
    }));
    let url = "s3://dumps/backups/shop/orders/b-1";
    let left = left_in_place(deleted.deletion.as_deref().unwrap());
    assert!(left.note.contains(url) && left.note.contains("namespace shop is terminating"), "{}", left.note);
    assert!(erased(&deleted).note.contains(url));
}
