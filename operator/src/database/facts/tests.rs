use serde_json::{Value, json};

use super::*;
use crate::job::build::Subject;

static NO_REQUESTS: std::sync::LazyLock<Requests> = std::sync::LazyLock::new(Requests::default);

const NOW: &str = "2026-01-02T00:00:00Z";

fn database(metadata: &Value, status: &Value) -> Database {
    let mut database: Database = serde_json::from_value(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "u-1", "generation": 4,
                     "finalizers": ["db.isotoma.com/database"]},
        "spec": {"driver": "engine", "connect": {"host": "h"},
                 "credentials": {"username": {"value": "u"}, "password": {"value": "p"}}},
        "status": status,
    }))
    .unwrap();
    if let Some(annotations) = metadata.get("annotations") {
        database.metadata.annotations = serde_json::from_value(annotations.clone()).unwrap();
    }
    if metadata.get("finalizers").is_some() {
        database.metadata.finalizers = None;
    }
    database
}

fn around(resync: Option<Duration>) -> Surroundings<'static> {
    Surroundings {
        now: NOW.parse().unwrap(),
        operator_namespace: "system",
        resync,
        driver: Registered::Named,
        requests: &NO_REQUESTS,
    }
}

fn ready(generation: i64) -> Value {
    json!({"phase": "Created", "verifiedAt": "2026-01-01T12:00:00Z", "lastHandledReconcile": "one",
           "conditions": [{"type": "Ready", "status": "True", "reason": "Created", "message": "",
                           "observedGeneration": generation, "lastTransitionTime": "2026-01-01T12:00:00Z"}]})
}

fn is_current(metadata: &Value, status: &Value) -> bool {
    Facts::of(&database(metadata, status), &[], &around(None)).current
}

#[test]
fn current_means_ready_for_this_generation_guarded_and_reconciled() {
    assert!(is_current(&json!({}), &ready(4)));
    assert!(is_current(&json!({"annotations": {"db.isotoma.com/reconcile": "one"}}), &ready(4)));
    assert!(!is_current(&json!({}), &ready(3)));
    assert!(!is_current(&json!({"finalizers": null}), &ready(4)));
    assert!(!is_current(&json!({"annotations": {"db.isotoma.com/reconcile": "two"}}), &ready(4)));
    assert!(!is_current(&json!({}), &json!({"phase": "Created"})));
}

#[test]
fn resync_falls_due_by_age_and_spreads_by_uid() {
    let verified = |hours: u64| {
        let resync = Some(Duration::from_secs(hours * 3600));
        Facts::of(&database(&json!({}), &ready(4)), &[], &around(resync))
    };
    assert!(!verified(10).current, "verified 12 h ago");
    assert!(verified(14).current);
    assert!(verified(14).verify_in.unwrap() > Duration::ZERO);

    let interval = Duration::from_secs(10_000);
    let spread: Vec<_> = (0..50).map(|n| jittered(interval, &format!("uid-{n}")).as_secs()).collect();
    assert!(spread.iter().all(|seconds| (9_000..=11_000).contains(seconds)), "{spread:?}");
    assert!(spread.iter().max().unwrap() - spread.iter().min().unwrap() > 1_000, "{spread:?}");
}

#[test]
fn a_job_in_a_strange_namespace_does_not_count() {
    let job = |namespace: &str, operation| KnownJob {
        name: "j".into(),
        namespace: namespace.into(),
        uid: "u-1".into(),
        database: "orders".into(),
        database_namespace: "shop".into(),
        operation,
        generation: 4,
        request: None,
        attempt: 1,
        retry: None,
        reconcile: None,
        source: None,
        image: String::new(),
        state: JobState::Suspended,
    };
    let count = |job| Facts::of(&database(&json!({}), &json!({})), &[job], &around(None)).jobs.len();
    assert_eq!(count(job("shop", Operation::Create)), 1);
    assert_eq!(count(job("system", Operation::Release)), 1);
    assert_eq!(count(job("elsewhere", Operation::Create)), 0);
    assert_eq!(
        count(job("shop", Operation::Release)),
        0,
        "a tenant could let go of a database that it may not"
    );
    let other = KnownJob { uid: "u-2".into(), ..job("shop", Operation::Create) };
    assert_eq!(count(other), 0);
}

#[test]
fn a_completed_job_counts_only_for_the_object_that_it_was_for() {
    let completed = |uid: &str| {
        let job = JobName { operation: Operation::Create, subject: Subject::Generation(4), attempt: 7 };
        let status = json!({"phase": "Created", "lastCompletedJob": job.with_uid(uid)});
        Facts::of(&database(&json!({}), &status), &[], &around(None)).completed.map(|job| job.attempt)
    };
    assert_eq!(completed("u-1"), Some(7));
    assert_eq!(completed("u-2"), None, "its status was restored from another");
}

#[test]
fn a_clock_that_is_behind_makes_nothing_old() {
    let now: Timestamp = NOW.parse().unwrap();
    assert_eq!(age("2026-01-02T00:00:30Z".parse().unwrap(), now), Duration::ZERO);
    assert_eq!(age("2026-01-01T23:59:30Z".parse().unwrap(), now), Duration::from_secs(30));
}

#[test]
fn only_a_new_value_is_a_wish() {
    let wishes = |retry: Option<&str>| Wishes { retry: retry.map(Into::into), ..Wishes::default() };
    assert!(wishes(Some("b")).is_new_since(&wishes(Some("a"))));
    assert!(wishes(Some("a")).is_new_since(&wishes(None)));
    assert!(!wishes(Some("a")).is_new_since(&wishes(Some("a"))));
    assert!(!wishes(None).is_new_since(&wishes(Some("a"))), "removing an annotation asks for nothing");
}

#[test]
fn a_backup_that_is_complete_is_a_wish_of_what_is_to_be_made_from_it() {
    let mut requests = Requests::default();
    let backup = crate::seen::requests::request("nightly", "other");
    requests.apply(backup.clone());
    let mut database = database(&json!({}), &json!({}));
    database.spec.restore_from = serde_json::from_value(json!({"backup": "nightly"})).unwrap();
    let source = |database: &Database, requests: &Requests| {
        Facts::of(database, &[], &Surroundings { requests, ..around(None) }).wishes.source
    };
    assert_eq!(source(&database, &requests), None);
    requests.apply(KnownRequest { completed: true, ..backup });
    assert_eq!(source(&database, &requests).as_deref(), Some("nightly"));
    database.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
    assert_eq!(source(&database, &requests), None, "nothing is loaded any more");
}
