use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::clock::Moment;
use crate::seen::fixtures::{database, driver, job, request};

fn now() -> Now {
    Now { moment: Moment::after_start(Duration::from_secs(100)), time: Timestamp::UNIX_EPOCH }
}

fn orders(over: &Value) -> Object {
    Object::Database(Box::new(database("orders", over)))
}

fn nightly(over: &Value) -> Object {
    Object::Request(Box::new(request("Backup", "nightly", over)))
}

fn create_job() -> Object {
    Object::Job(Box::new(job("orders", Operation::Create, 1, &json!({}))))
}

fn take(world: &mut World, change: Change) -> Touched {
    let mut touched = world.take(change, &now());
    touched.woken.sort();
    touched
}

fn woken(world: &mut World, change: Change) -> Vec<String> {
    let Touched { woken, woken_later, .. } = take(world, change);
    woken.iter().chain(&woken_later).map(ToString::to_string).collect()
}

fn namespace(terminating: bool) -> Object {
    Object::Namespace(KnownNamespace { name: "shop".into(), uid: "ns".into(), terminating })
}

#[test]
fn a_job_wakes_what_it_works_on_and_nobody_else() {
    let mut world = World::default();
    take(&mut world, Change::Applied(orders(&json!({}))));
    take(&mut world, Change::Applied(Object::Database(Box::new(database("other", &json!({}))))));
    assert_eq!(woken(&mut world, Change::Applied(create_job())), ["orders"]);
    assert_eq!(woken(&mut world, Change::Gone(create_job())), ["orders"]);
    let stray = Object::Job(Box::new(job("unknown", Operation::Create, 1, &json!({}))));
    assert_eq!(woken(&mut world, Change::Applied(stray)), [""; 0]);
}

#[test]
fn a_relist_loses_no_wake_up_and_wakes_nobody_in_vain() {
    let mut world = World::default();
    take(&mut world, Change::Applied(orders(&json!({}))));
    take(&mut world, Change::Applied(nightly(&json!({}))));
    let mut relist = |objects: Vec<Object>, kind| {
        let mut all = Vec::new();
        all.extend(woken(&mut world, Change::Begin(kind)));
        for object in objects {
            all.extend(woken(&mut world, Change::Listed(object)));
        }
        all.extend(woken(&mut world, Change::Complete(kind)));
        all
    };
    assert_eq!(relist(vec![orders(&json!({}))], Kind::Database), [""; 0], "nothing has changed");
    let changed = json!({"metadata": {"generation": 2}});
    assert_eq!(relist(vec![orders(&changed)], Kind::Database), ["orders"]);
    // It was completed while nobody watched.
    let done = json!({"status": {"phase": "Completed"}});
    assert_eq!(relist(vec![nightly(&done)], Kind::Backup), ["nightly", "orders"]);
    assert_eq!(relist(Vec::new(), Kind::Backup), ["nightly", "orders"], "it is gone");
}

#[test]
fn who_is_told_of_while_all_is_listed_does_not_wait_behind_what_is_listed() {
    let mut world = World::default();
    take(&mut world, Change::Begin(Kind::Database));
    let listed = take(&mut world, Change::Listed(orders(&json!({}))));
    assert_eq!((listed.woken.len(), listed.woken_later.len()), (0, 1));
    let told = take(&mut world, Change::Applied(orders(&json!({"metadata": {"generation": 2}}))));
    assert_eq!((told.woken.len(), told.woken_later.len()), (1, 0));
}

#[test]
fn what_was_deleted_while_nobody_watched_is_forgotten() {
    let mut world = World::default();
    take(&mut world, Change::Applied(orders(&json!({}))));
    take(&mut world, Change::Begin(Kind::Database));
    let touched = take(&mut world, Change::Complete(Kind::Database));
    assert_eq!(touched.gone.iter().map(|uid| &**uid).collect::<Vec<_>>(), ["orders"]);
    assert!(world.databases.is_empty());
}

#[test]
fn one_that_was_created_again_takes_the_name_and_leaves_nothing_of_the_one_before() {
    let mut world = World::default();
    take(&mut world, Change::Applied(orders(&json!({}))));
    let again = json!({"metadata": {"uid": "orders-2"}});
    let touched = take(&mut world, Change::Applied(orders(&again)));
    assert_eq!(touched.gone.iter().map(|uid| &**uid).collect::<Vec<_>>(), ["orders"]);
    assert_eq!(world.databases.len(), 1);
    // The watch tells late that the first is gone.
    take(&mut world, Change::Gone(orders(&json!({}))));
    assert_eq!(&*world.databases.named(&("shop".into(), "orders".into())).unwrap().uid, "orders-2");
}

#[test]
fn a_backup_that_is_complete_wakes_those_that_wait_for_it() {
    let mut world = World::default();
    let made_from = json!({"spec": {"restoreFrom": {"backup": "nightly"}}});
    take(&mut world, Change::Applied(Object::Database(Box::new(database("clone", &made_from)))));
    take(&mut world, Change::Applied(Object::Database(Box::new(database("target", &json!({}))))));
    let back =
        request("Restore", "back", &json!({"spec": {"database": "target", "from": {"backup": "nightly"}}}));
    take(&mut world, Change::Applied(Object::Request(Box::new(back))));
    take(&mut world, Change::Applied(nightly(&json!({}))));
    let done = json!({"status": {"phase": "Completed"}});
    let touched = take(&mut world, Change::Applied(nightly(&done)));
    let woken: Vec<_> = touched.woken.iter().map(|uid| &**uid).collect();
    assert_eq!(woken, ["clone", "nightly", "target"]);
    assert_eq!(touched.completed.iter().map(|backup| &*backup.name).collect::<Vec<_>>(), ["nightly"]);
}

#[test]
fn what_was_complete_before_we_looked_is_not_said_again() {
    let mut world = World::default();
    let done = json!({"status": {"phase": "Completed"}});
    assert!(take(&mut world, Change::Listed(nightly(&done))).completed.is_empty());
}

#[test]
fn a_database_wakes_the_backups_that_waited_for_it() {
    let mut world = World::default();
    take(&mut world, Change::Applied(nightly(&json!({}))));
    assert_eq!(woken(&mut world, Change::Applied(orders(&json!({})))), ["nightly", "orders"]);
    assert_eq!(woken(&mut world, Change::Gone(orders(&json!({})))), ["nightly"]);
}

#[test]
fn a_namespace_that_ends_wakes_all_that_is_in_it_once() {
    let mut world = World::default();
    take(&mut world, Change::Applied(orders(&json!({}))));
    take(&mut world, Change::Applied(nightly(&json!({}))));
    let far = database("far", &json!({"metadata": {"namespace": "shop-2"}}));
    take(&mut world, Change::Applied(Object::Database(Box::new(far))));
    assert_eq!(woken(&mut world, Change::Applied(namespace(false))), [""; 0]);
    assert_eq!(woken(&mut world, Change::Applied(namespace(true))), ["nightly", "orders"]);
    assert!(world.is_terminating("shop") && !world.is_terminating("shop-2"));
    assert_eq!(woken(&mut world, Change::Applied(namespace(true))), [""; 0]);
    assert_eq!(
        woken(&mut world, Change::Gone(namespace(true))),
        ["nightly", "orders"],
        "it may be there again"
    );
    assert!(!world.is_terminating("shop"));
}

#[test]
fn a_driver_wakes_those_that_name_it_when_nothing_else_is_to_be_done() {
    let mut world = World::default();
    take(&mut world, Change::Applied(orders(&json!({}))));
    let other = database("other", &json!({"spec": {"driver": "another"}}));
    take(&mut world, Change::Applied(Object::Database(Box::new(other))));
    let later = |touched: Touched| touched.woken_later.iter().map(ToString::to_string).collect::<Vec<_>>();
    let engine = || Object::Driver(driver(&json!({})));
    assert_eq!(later(take(&mut world, Change::Applied(engine()))), ["orders"]);
    assert_eq!(later(take(&mut world, Change::Listed(engine()))), [""; 0], "it is the same");
    let changed = Object::Driver(driver(&json!({"metadata": {"generation": 2}})));
    assert_eq!(later(take(&mut world, Change::Applied(changed))), ["orders"]);
    assert_eq!(later(take(&mut world, Change::Gone(engine()))), ["orders"]);
}

#[test]
fn what_cannot_be_decoded_costs_itself_alone_and_comes_back() {
    let mut world = World::default();
    take(&mut world, Change::Applied(orders(&json!({}))));
    take(&mut world, Change::Applied(create_job()));
    let broken = Broken {
        kind: Kind::Database,
        uid: "orders".into(),
        namespace: "shop".into(),
        name: "orders".into(),
        why: "why".into(),
    };
    assert_eq!(woken(&mut world, Change::Broken(broken.clone())), ["orders"]);
    assert_eq!((world.broken_of(Kind::Database), world.databases.len()), (1, 0));
    assert_eq!(world.jobs.of("orders").count(), 1, "its Jobs are not forgotten");
    assert_eq!(woken(&mut world, Change::Applied(orders(&json!({})))), ["orders"]);
    assert_eq!((world.broken_of(Kind::Database), world.databases.len()), (0, 1));
    take(&mut world, Change::Broken(broken.clone()));
    let touched = take(&mut world, Change::BrokenGone(broken));
    assert_eq!((touched.gone.len(), world.broken_of(Kind::Database)), (1, 0));
}

#[test]
fn attempts_are_remembered_as_long_as_somebody_counts_on_them() {
    let mut world = World::default();
    take(&mut world, Change::Applied(orders(&json!({}))));
    take(&mut world, Change::Applied(create_job()));
    take(&mut world, Change::Gone(create_job()));
    let spent = |world: &World| world.jobs.spent("orders", "shop").first().map(|spent| spent.attempt);
    assert_eq!(spent(&world), Some(1));
    take(&mut world, Change::Applied(orders(&json!({"metadata": {"generation": 2}}))));
    let other = Object::Job(Box::new(job("orders", Operation::Delete, 9, &json!({}))));
    take(&mut world, Change::Applied(Object::Job(Box::new(job("orders", Operation::Delete, 9, &json!({}))))));
    take(&mut world, Change::Gone(other));
    assert_eq!(spent(&world), None, "they were about a generation that is past");
    assert_eq!(world.jobs.uids().count(), 0, "nothing is left of them");
}

#[test]
fn it_is_whole_when_every_kind_was_listed() {
    let mut world = World::default();
    for kind in Kind::ALL {
        assert!(!world.is_whole());
        take(&mut world, Change::Begin(kind));
        take(&mut world, Change::Complete(kind));
    }
    assert!(world.is_whole());
    take(&mut world, Change::Begin(Kind::Job));
    assert!(world.is_whole(), "a list of later hides nothing that is known");
}
