use serde_json::{Value, json};

use super::*;
use crate::seen::fixtures::{database, request};

fn ready(generation: i64) -> Value {
    json!({"phase": "Created", "verifiedAt": "2026-01-01T12:00:00Z", "lastHandledReconcile": "one",
           "conditions": [{"type": "Ready", "status": "True", "reason": "Created", "message": "",
                           "observedGeneration": generation, "lastTransitionTime": "2026-01-01T12:00:00Z"}]})
}

fn known(metadata: &Value, spec: &Value, status: &Value) -> KnownDatabase {
    database("orders", &json!({"metadata": metadata, "spec": spec, "status": status}))
}

#[test]
fn current_means_ready_for_this_generation_guarded_and_reconciled() {
    let is_current = |metadata: Value, status: &Value| {
        let mut metadata = metadata;
        metadata["generation"] = json!(4);
        is_current(&known(&metadata, &json!({}), status))
    };
    let guarded = json!({"finalizers": ["db.isotoma.com/database"]});
    let reconcile = |value: &str| json!({"finalizers": ["db.isotoma.com/database"], "annotations": {"db.isotoma.com/reconcile": value}});
    assert!(is_current(guarded.clone(), &ready(4)));
    assert!(is_current(reconcile("one"), &ready(4)));
    assert!(!is_current(guarded.clone(), &ready(3)));
    assert!(!is_current(json!({"finalizers": []}), &ready(4)));
    assert!(!is_current(reconcile("two"), &ready(4)));
    assert!(!is_current(guarded, &json!({"phase": "Created"})));
}

#[test]
fn a_completed_job_counts_only_for_the_object_that_it_was_for() {
    let attempt_of = |uid: &str| {
        let job = JobName { operation: api::Operation::Create, series: Series::Generation(4), attempt: 7 };
        let status = json!({"phase": "Created", "lastCompletedJob": job.with_uid(uid)});
        completed(&known(&json!({}), &json!({}), &status)).map(|job| job.attempt)
    };
    assert_eq!(attempt_of("orders"), Some(7));
    assert_eq!(attempt_of("other"), None, "its status was restored from another");
}

#[test]
fn only_a_new_value_is_a_wish() {
    use crate::decision::Wish;
    let wishes = |retry: Option<u64>| Wishes { retry: retry.map(Wish), ..Wishes::default() };
    assert!(wishes(Some(2)).is_new_since(&wishes(Some(1))));
    assert!(wishes(Some(1)).is_new_since(&wishes(None)));
    assert!(!wishes(Some(1)).is_new_since(&wishes(Some(1))));
    assert!(!wishes(None).is_new_since(&wishes(Some(1))), "removing an annotation asks for nothing");
}

#[test]
fn what_is_being_deleted_is_not_loaded_any_more() {
    let spec = json!({"restoreFrom": {"backup": "nightly"}});
    let kept = known(&json!({}), &spec, &json!({}));
    assert_eq!(wishes(&kept, Some("b-1".into())).source.as_deref(), Some("b-1"));
    let deleted = known(&json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), &spec, &json!({}));
    assert_eq!(wishes(&deleted, Some("b-1".into())).source, None);
}

#[test]
fn what_is_begun_comes_first_then_the_oldest() {
    let backup = |name: &str, minute: u32, phase: &str| {
        request(
            "Backup",
            name,
            &json!({
                "metadata": {"creationTimestamp": format!("2026-01-01T00:{minute:02}:00Z")},
                "spec": {"database": "orders"}, "status": {"phase": phase},
            }),
        )
    };
    let all = [backup("b", 2, ""), backup("a", 1, ""), backup("c", 3, ""), backup("done", 0, "Completed")];
    let names = |status: &Value| {
        let database = known(&json!({}), &json!({}), status);
        let found = requests(&database, all.iter(), |_| None);
        found.iter().map(|request| request.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&json!({"phase": "Created"})), ["a", "b", "c"]);
    let begun = |name: &str| json!({"phase": "BackupInProgress", "activeOperation": {"backup": name}});
    assert_eq!(names(&begun("c")), ["c", "a", "b"]);
    assert_eq!(
        names(&begun("done")),
        ["done", "a", "b", "c"],
        "the Database does not know yet that it is done"
    );
}

#[test]
fn what_was_begun_for_an_object_that_is_gone_is_given_up() {
    let status = json!({"phase": "RestoreInProgress", "activeOperation": {"restore": "gone"}});
    let found = requests(&known(&json!({}), &json!({}), &status), std::iter::empty(), |_| None);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].operation, &*found[0].name), (api::Operation::Restore, "gone"));
    assert!(found[0].uid.starts_with("gone-"), "no object has that uid");
}
