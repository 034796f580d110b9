use serde_json::{Value, json};

use super::*;
use crate::seen::change::Change;
use crate::seen::decode::{KnownNamespace, Object};
use crate::seen::fixtures::{database, driver, job, request};

fn terms() -> Terms {
    Terms { operator_namespace: "system".into(), tenant_chart: TenantChart::default(), resync: None }
}

fn at(second: u64) -> Now {
    let time = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    Now { moment: Moment::after_start(Duration::from_secs(second)), time }
}

fn world(objects: Vec<Object>) -> World {
    let mut world = World::default();
    for object in objects {
        let _ = world.take(Change::Applied(object), &at(0));
    }
    world
}

fn orders(over: &Value) -> Object {
    Object::Database(Box::new(database("orders", over)))
}

fn engine() -> Object {
    Object::Driver(driver(&json!({})))
}

fn create(over: &Value) -> Object {
    Object::Job(Box::new(job("orders", Operation::Create, 1, over)))
}

fn decision(world: &World, uid: &str) -> Decision {
    let Plan::Act { decision, .. } = plan(world, uid, &terms(), &at(0)) else { panic!("nothing is done") };
    decision
}

fn launched(world: &World, uid: &str) -> Option<(Operation, u32)> {
    match decision(world, uid) {
        Decision::Launch(launch) => Some((launch.operation, launch.attempt)),
        Decision::Wait(_) | Decision::Settled(_) | Decision::Stuck(_) => None,
    }
}

fn held(world: &World, uid: &str, second: u64) -> Option<bool> {
    hold(world, uid, &terms(), at(second).moment).map(|(held, _)| held.runs)
}

#[test]
fn a_job_in_a_strange_namespace_does_not_count() {
    let elsewhere = json!({"metadata": {"namespace": "elsewhere"}});
    let counts = |job| launched(&world(vec![orders(&json!({})), engine(), job]), "orders").is_none();
    assert!(counts(create(&json!({}))));
    assert!(!counts(create(&elsewhere)));
    let seen = world(vec![orders(&json!({})), create(&elsewhere)]);
    assert_eq!(held(&seen, "orders", 0), None, "nor does it take a slot");
    // A tenant could otherwise let go of a database that it may not, or raise another's attempts.
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["db.isotoma.com/database"]}});
    let terminating = KnownNamespace { name: "shop".into(), uid: "ns".into(), terminating: true };
    let release = |namespace: &str| {
        let over = json!({"metadata": {"namespace": namespace}});
        Object::Job(Box::new(job("orders", Operation::Release, 1, &over)))
    };
    let ending =
        |job| launched(&world(vec![orders(&deleted), Object::Namespace(terminating.clone()), job]), "orders");
    assert_eq!(ending(release("shop")), Some((Operation::Release, 1)));
    assert_eq!(ending(release("system")), None);
}

#[test]
fn a_forged_job_raises_nobody_elses_attempts_when_it_is_gone() {
    let forged = || {
        let over = json!({"metadata": {"namespace": "elsewhere"}});
        Object::Job(Box::new(job("orders", Operation::Create, 999, &over)))
    };
    let mut world = world(vec![orders(&json!({})), engine(), forged()]);
    let _ = world.take(Change::Gone(forged()), &at(0));
    assert_eq!(launched(&world, "orders"), Some((Operation::Create, 1)));
}

#[test]
fn a_job_holds_a_slot_while_it_is_young_or_runs_and_none_of_others_if_it_does_not() {
    let of = |status: &Value| world(vec![orders(&json!({})), create(&json!({"status": status}))]);
    let starting = of(&json!({"active": 1, "ready": 0}));
    assert_eq!(held(&starting, "orders", 9), Some(true));
    assert_eq!(held(&starting, "orders", 10), Some(false));
    let (_, until) = hold(&starting, "orders", &terms(), at(9).moment).unwrap();
    assert_eq!(until, Some(at(10).moment), "it is looked at again then");
    assert_eq!(held(&of(&json!({"active": 1, "ready": 1})), "orders", 999), Some(true));
    assert_eq!(
        held(&of(&json!({"conditions": [{"type": "Complete", "status": "True"}]})), "orders", 0),
        None
    );
    let suspended = world(vec![orders(&json!({})), create(&json!({"spec": {"suspend": true}}))]);
    assert_eq!(held(&suspended, "orders", 0), Some(false));
}

#[test]
fn recorded_work_frees_the_slot_while_kubernetes_still_shows_the_job_active() {
    let job = job("orders", Operation::Create, 1, &json!({"status": {"active": 1, "ready": 1}}));
    let with =
        |status: Value| world(vec![orders(&json!({"status": status})), Object::Job(Box::new(job.clone()))]);
    assert_eq!(held(&with(json!({"phase": "Creating"})), "orders", 0), Some(true));
    let recorded = json!({"phase": "Created", "lastCompletedJob": &*job.name});
    assert_eq!(held(&with(recorded), "orders", 0), None);
}

#[test]
fn a_backup_that_is_written_or_loaded_is_not_deleted_yet() {
    let deleted = |policy: &str| {
        let backup = request(
            "Backup",
            "nightly",
            &json!({
                "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["db.isotoma.com/backup"]},
                "spec": {"deletionPolicy": policy},
            }),
        );
        Object::Request(Box::new(backup))
    };
    let at_work = |operation, labels: Value, annotations: Value, namespace: &str| {
        let over = json!({
            "metadata": {"labels": labels, "annotations": annotations, "namespace": namespace},
            "status": {"active": 1, "ready": 1},
        });
        Object::Job(Box::new(job("orders", operation, 1, &over)))
    };
    let writer = |namespace: &str| {
        // Counted on a Backup, its name has the Backup's hash.
        let Object::Job(mut job) =
            at_work(Operation::Backup, json!({"db.isotoma.com/request": "nightly"}), json!({}), namespace)
        else {
            unreachable!()
        };
        job.request = Some("nightly".into());
        Object::Job(job)
    };
    let reader = at_work(Operation::Create, json!({}), json!({"db.isotoma.com/source": "nightly"}), "shop");
    let decided =
        |policy, job| launched(&world(vec![orders(&json!({})), engine(), deleted(policy), job]), "nightly");
    let deletion = Some((Operation::DeleteBackup, 1));
    assert_eq!(decided("Delete", writer("shop")), None);
    assert_eq!(decided("Delete", reader), None);
    assert_eq!(decided("Retain", writer("shop")), deletion, "whoever retains what is stored need not wait");
    assert_eq!(decided("Delete", writer("elsewhere")), deletion);
}

#[test]
fn any_driver_can_do_what_takes_no_engine_and_ours_alone_lets_go() {
    let world = world(vec![orders(&json!({"spec": {"driver": "gone"}})), engine()]);
    let database = Subject::Database(world.databases.get("orders").unwrap());
    assert!(driver_for(&world, Operation::Create, database).is_none());
    assert!(matches!(driver_for(&world, Operation::DeleteBackup, database), Some(Worker::Driver(_))));
    assert!(matches!(driver_for(&world, Operation::Release, database), Some(Worker::Release)));
}

#[test]
fn a_run_is_given_the_keys_of_the_bucket_that_it_needs() {
    let s3 = |secret: &str| {
        json!({"s3": {"region": "r", "bucket": "b", "credentials": {
            "accessKeyId": {"valueFrom": {"secretKeyRef": {"name": secret, "key": "id"}}},
            "secretAccessKey": {"valueFrom": {"secretKeyRef": {"name": secret, "key": "secret"}}}}}})
    };
    let mut stored = s3("of-the-backup");
    stored["path"] = json!("p");
    let backup = request("Backup", "nightly", &json!({"status": {"phase": "Completed", "location": stored}}));
    let restore = request("Restore", "back", &json!({"spec": {"from": {"backup": "nightly"}}}));
    let objects = vec![
        orders(&json!({"spec": {"backupTo": s3("of-the-database")}})),
        Object::Request(Box::new(backup)),
        Object::Request(Box::new(restore)),
    ];
    let world = world(objects);
    let database = Subject::Database(world.databases.get("orders").unwrap());
    let keys = |operation, uid: Option<&str>| {
        let request = uid.map(|uid| crate::decision::Request {
            operation,
            name: uid.into(),
            uid: uid.into(),
            retry: None,
            source: None,
        });
        let launch =
            Launch { operation, request, source: None, attempt: 1, after_lost_work: false, unasked: false };
        store_keys(&world, database, &launch).store.access_key_id.map(|key| key.name.to_string())
    };
    assert_eq!(keys(Operation::Backup, Some("nightly")).as_deref(), Some("of-the-database"));
    assert_eq!(keys(Operation::Restore, Some("back")).as_deref(), Some("of-the-backup"));
    assert_eq!(keys(Operation::Create, None), None);
}

#[test]
fn what_is_lost_or_broken_is_told_and_waits_for_nothing() {
    let lost = world(vec![Object::Request(Box::new(request("Backup", "nightly", &json!({}))))]);
    let told = |world: &World, uid: &str| {
        let Plan::Say(about, notice) = plan(world, uid, &terms(), &at(0)) else { panic!("nothing is said") };
        (about.kind.unwrap(), notice.map(|notice| notice.reason))
    };
    assert_eq!(told(&lost, "nightly"), ("Backup".into(), Some("DatabaseNotFound")));
    let found =
        world(vec![Object::Request(Box::new(request("Backup", "nightly", &json!({})))), orders(&json!({}))]);
    assert_eq!(told(&found, "nightly"), ("Backup".into(), None));
    assert!(matches!(plan(&found, "nobody", &terms(), &at(0)), Plan::Nothing));
}
