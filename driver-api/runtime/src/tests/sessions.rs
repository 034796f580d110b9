//! How a session ends. The server's locks are leases here: without a word they outlive the session.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::objects::Kind;
use super::operator::settle;
use super::stored::Stored;
use super::{World, assert_failed};
use crate::outcome::Outcome;
use api::{Operation, Reason};

#[tokio::test]
async fn each_operation_closes_its_session_when_its_work_is_done() {
    let stored = Stored::alone(&["one"]).await;
    stored.server().lock_by_lease();
    stored.ask_backup("nightly");
    settle(&stored.world).await;
    assert_eq!(stored.status(Kind::Backup, "nightly")["phase"], json!("Completed"));
    stored.commit("two");
    stored.ask_restore("back", "nightly", true);
    settle(&stored.world).await;
    assert_eq!(stored.rows().unwrap(), ["one"]);
    stored.world.api.delete();
    // The final backup, and then the drop: each would be told that the lock is taken if the one before had kept it.
    settle(&stored.world).await;
    assert!(stored.world.api.database().is_none());
    assert_eq!(stored.dumped_final().await.unwrap(), ["one"]);
}

#[tokio::test]
async fn a_session_is_closed_when_its_work_fails() {
    let world = World::created().await;
    world.server.lock_by_lease();
    world.server.lose("orders");
    for _ in 0..2 {
        assert_failed(&world.run(Operation::Create).await, Reason::DatabaseMissing);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_done_if_the_session_cannot_be_closed() {
    let world = World::new();
    world.server.be_silent_at_close();
    let begin = Instant::now();
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert!(world.login_works() && begin.elapsed() < Duration::from_secs(11), "{:?}", begin.elapsed());
    world.server.lose("orders");
    assert_failed(&world.run(Operation::Create).await, Reason::DatabaseMissing);
}

#[tokio::test]
async fn a_session_of_a_run_that_dies_is_closed_by_nobody() {
    let world = World::new();
    world.server.lock_by_lease();
    world.api.fault_at(3, super::api_server::Fault::KilledBefore);
    assert_eq!(world.try_run(Operation::Create).await, None);
    assert_failed(&world.run(Operation::Create).await, Reason::Busy);
    // Its lease has run out.
    world.server.end_sessions();
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
}
