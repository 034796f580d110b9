//! What the run promises that lets an object go whose namespace is terminating.

use serde_json::{Value, json};

use super::api_server::Fault;
use super::objects::Kind;
use super::operator::settle;
use super::stored::Stored;
use super::{World, assert_failed};
use crate::env::{Assignment, RequestName};
use crate::outcome::Outcome;
use api::{Operation, Reason};

/// One run of the program that lets go.
async fn release(world: &World, backup: Option<(&str, &str)>) -> Outcome {
    let request = backup.map(|(name, uid)| RequestName { name: name.to_owned(), uid: uid.to_owned() });
    let assignment = Assignment { request, ..world.assignment(Operation::Release) };
    world.api.until_killed(crate::release::perform(world.api.client(), &assignment)).await.expect("no fault")
}

#[tokio::test]
async fn a_database_is_let_go_and_nothing_else_is_touched() {
    let world = World::created().await;
    world.api.delete();
    world.api.change();
    assert_eq!(release(&world, None).await, Outcome::Done);
    assert_eq!(world.api.requests(), ["GET database", "PATCH database finalizers []"]);
    assert_eq!((world.api.database(), world.server.counts()), (None, (1, 1)));
    // Another run finds nothing to do.
    assert_eq!(release(&world, None).await, Outcome::Done);
}

#[tokio::test]
async fn a_backup_is_let_go_and_what_it_stored_stays() {
    let stored = Stored::alone(&["one"]).await;
    stored.ask_deletable_backup("nightly");
    settle(&stored.world).await;
    stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
    stored.forget_requests();
    let nightly = || stored.world.api.objects(|objects| objects.get(Kind::Backup, "nightly"));
    assert_eq!(release(&stored.world, Some(("nightly", "another"))).await, Outcome::Done);
    assert!(nightly().is_some(), "it is another one");
    assert_eq!(release(&stored.world, Some(("nightly", "backup-1"))).await, Outcome::Done);
    assert_eq!(stored.world.api.requests()[1..], ["GET backup", "PATCH backup finalizers []"]);
    assert_eq!((nightly(), stored.keys().await.len()), (None, 2));
    assert!(stored.world.api.database().is_some());
}

#[tokio::test]
async fn what_nobody_deletes_and_what_is_another_object_is_not_let_go() {
    let world = World::created().await;
    let before = world.api.database();
    assert_failed(&release(&world, None).await, Reason::Superseded);
    assert_eq!(world.api.database(), before);
    world.api.delete();
    let late = world.assignment(Operation::Release);
    world.api.edit(|database| database["metadata"]["uid"] = json!("u-2"));
    assert_eq!(crate::release::perform(world.api.client(), &late).await, Outcome::Done);
    assert!(world.api.database().is_some());
}

#[tokio::test]
async fn finalizers_of_others_stay_and_what_is_not_guarded_is_left_alone() {
    let world = World::created().await;
    world.api.edit(|database| {
        database["metadata"]["finalizers"].as_array_mut().unwrap().push(json!("example.com/theirs"));
    });
    world.api.delete();
    for _ in 0..2 {
        assert_eq!(release(&world, None).await, Outcome::Done);
        assert_eq!(world.api.database().unwrap()["metadata"]["finalizers"], json!(["example.com/theirs"]));
    }
    assert_eq!(world.api.requests().iter().filter(|line| line.starts_with("PATCH")).count(), 1);
}

/// A namespace must end though an object in it is from another release, or hostile.
#[tokio::test]
async fn an_object_that_cannot_be_decoded_is_let_go() {
    // serde_json gives up at 128.
    let deep = (0..140).fold(json!({}), |inner, _| json!({"a": inner}));
    let changes: [fn(&mut Value, &Value); 4] = [
        |database, _| database["status"]["phase"] = json!("Unheard"),
        |database, _| database["spec"]["connect"] = json!(7),
        |database, deep| database["spec"]["parameters"] = deep.clone(),
        |database, deep| database["metadata"]["managedFields"] = json!([{"fieldsV1": deep}]),
    ];
    for change in changes {
        let world = World::created().await;
        world.api.delete();
        world.api.edit(|database| change(database, &deep));
        assert_eq!(release(&world, None).await, Outcome::Done);
        assert_eq!((world.api.database(), world.server.counts()), (None, (1, 1)));
    }
}

#[tokio::test]
async fn it_ends_right_after_a_fault_at_every_request() {
    let mut met = 0;
    for fault in [Fault::KilledBefore, Fault::KilledAfter, Fault::AnswerLost, Fault::GoesAway, Fault::Written]
    {
        for index in 0..3 {
            let world = World::created().await;
            world.api.delete();
            world.api.fault_at(index, fault);
            let assignment = world.assignment(Operation::Release);
            world.api.until_killed(crate::release::perform(world.api.client(), &assignment)).await;
            met += usize::from(world.api.requests().len() > index);
            world.api.heal();
            assert_eq!(release(&world, None).await, Outcome::Done, "{fault:?} at {index}");
            assert_eq!((world.api.database(), world.server.counts()), (None, (1, 1)), "{fault:?} at {index}");
        }
    }
    assert!(met >= 10, "only {met} faults were met");
}

#[tokio::test]
async fn a_driver_lets_nothing_go_and_the_program_that_does_can_do_nothing_else() {
    let world = World::created().await;
    world.api.delete();
    let outcome = world.run(Operation::Release).await;
    assert!(assert_failed(&outcome, Reason::Unsupported).contains("db-operator's own image"));
    for operation in [Operation::Create, Operation::Delete, Operation::BackupBeforeDelete] {
        let assignment = world.assignment(operation);
        let outcome = crate::release::perform(world.api.client(), &assignment).await;
        assert_failed(&outcome, Reason::Unsupported);
    }
    assert_eq!(world.api.requests(), Vec::<String>::new());
}
