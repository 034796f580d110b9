use serde_json::{Value, json};

use super::*;

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn minimal() -> Value {
    json!({
        "metadata": {"name": "orders", "namespace": "shop", "uid": "u-1"},
        "spec": {"driver": "engine", "connect": {"host": "h"}, "credentials": {}},
    })
}

fn broken(value: &Value) -> Broken {
    match object(Kind::Database, &raw(value)) {
        Err(Undecodable::Broken(broken)) => broken,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_object_with_a_word_that_we_do_not_know_is_broken_and_says_where() {
    let mut database = minimal();
    database["status"] = json!({"phase": "FromTheFuture"});
    let broken = broken(&database);
    assert_eq!((&*broken.uid, &*broken.namespace, &*broken.name), ("u-1", "shop", "orders"));
    assert!(broken.why.contains("unknown variant") && broken.why.contains("`Created`"), "{}", broken.why);
    assert!(!broken.why.contains("FromTheFuture"), "a value may be secret: {}", broken.why);
}

#[test]
fn what_is_missing_is_named() {
    let mut database = minimal();
    database["spec"].as_object_mut().unwrap().remove("driver");
    assert!(broken(&database).why.contains("missing field `driver`"));
}

#[test]
fn nesting_of_any_depth_and_any_length_is_skipped() {
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let text = serde_json::to_string(&minimal()).unwrap();
    let text = text.replace(
        "\"driver\":",
        &format!("\"parameters\":{deep},\"more\":\"{}\",\"driver\":", "x".repeat(1 << 20)),
    );
    let raw = RawValue::from_string(text).unwrap();
    match object(Kind::Database, &raw) {
        Ok(Object::Database(database)) => assert_eq!(&*database.driver, "engine"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn annotations_and_labels_that_nobody_reads_are_not_kept() {
    let mut database = minimal();
    let long = "x".repeat(256 << 10);
    database["metadata"]["annotations"] =
        json!({"other": long, "db.isotoma.com/retry": long, "db.isotoma.com/reconcile": "now"});
    database["metadata"]["labels"] = json!({"other": long});
    let Ok(Object::Database(known)) = object(Kind::Database, &raw(&database)) else { panic!("decodes") };
    assert!(format!("{known:?}").len() < 2_000, "{known:?}");
    assert!(known.retry.is_some() && known.retry != known.reconcile);
}

/// Whoever may create pods beside a driver's account may write a status.
#[test]
fn texts_in_a_status_are_kept_only_as_long_as_a_driver_writes_them() {
    let long = "x".repeat(1 << 20);
    let mut database = minimal();
    database["status"] = json!({
        "phase": "Created", "server": long, "database": long, "lastCompletedJob": long,
        "lastHandledReconcile": long, "activeOperation": {"operation": "backup", "backup": long, "restore": long},
        "conditions": [{"type": long, "status": long, "reason": long, "message": long}],
    });
    let Ok(Object::Database(known)) = object(Kind::Database, &raw(&database)) else { panic!("decodes") };
    assert!(format!("{known:?}").len() < 2_000);
    let metadata = json!({"name": "nightly", "namespace": "shop", "uid": "b-1", "deletionTimestamp": "2026-11-26T00:00:00Z"});
    for (kind, spec) in
        [(Kind::Backup, json!({"database": "orders"})), (Kind::Restore, json!({"database": "orders"}))]
    {
        let request = json!({
            "metadata": metadata, "spec": spec,
            "status": {"phase": "Completed", "driver": long, "job": long, "destination": long, "toolVersion": long},
        });
        let Ok(Object::Request(known)) = object(kind, &raw(&request)) else { panic!("decodes") };
        assert!(known.completed && format!("{known:?}").len() < 2_000, "{kind:?}");
    }
}

#[test]
fn values_that_stand_in_a_spec_are_not_kept() {
    let mut database = minimal();
    database["spec"]["credentials"] = json!({
        "username": {"value": "admin"}, "password": {"value": "hunter2"},
    });
    let Ok(Object::Database(known)) = object(Kind::Database, &raw(&database)) else { panic!("decodes") };
    assert!(!format!("{known:?}").contains("hunter2"));
    assert_eq!(known.login.password, None);
}

#[test]
fn what_has_no_name_is_no_affair_of_ours() {
    for value in [json!({}), json!([]), json!({"metadata": {"name": "x"}})] {
        assert!(matches!(object(Kind::Database, &raw(&value)), Err(Undecodable::Strange)), "{value}");
    }
    let foreign = json!({"metadata": {"name": "x", "namespace": "y", "uid": "z"}});
    assert!(matches!(object(Kind::Job, &raw(&foreign)), Err(Undecodable::Strange)));
}

#[test]
fn what_our_own_types_write_is_decoded() {
    use api::{Database, DatabasePhase};
    let mut database: Database = serde_json::from_value(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "u-1", "generation": 7,
                     "finalizers": ["other", "db.isotoma.com/database"]},
        "spec": {"driver": "engine", "connect": {"host": "Db.Example"},
                 "credentials": {"username": {"value": "u"},
                                 "password": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}}},
    }))
    .unwrap();
    for phase in DatabasePhase::ALL {
        database.status.get_or_insert_default().phase = Some(phase);
        let Ok(Object::Database(known)) = object(Kind::Database, &raw(&json!(database))) else {
            panic!("{phase:?} decodes")
        };
        assert_eq!((known.phase, known.guarded, known.generation), (Some(phase), true, 7));
        assert_eq!(&*known.server, "db.example");
        assert_eq!(known.login.password.as_ref().map(|key| &*key.key), Some("k"));
    }
}
