//! Two operators on one API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{SOON, databases, served};
use crate::play::{Operator, in_paused_time};
use crate::server::Server;

/// How long it takes from now until the Job of a new Database is taken.
async fn until_a_launch(server: &Server, name: &str) -> Duration {
    let (begun, before) = (Instant::now(), server.state().posts.len());
    server.database("shop", name, &json!({}));
    assert!(server.until(Duration::from_mins(1), |state| state.posts.len() > before).await);
    begun.elapsed()
}

/// Two of them, of which the first holds the Lease, after things have settled.
async fn leader_and_standby(server: &Arc<Server>) -> (Operator, Operator) {
    let leader = Operator::start(server, "op-1", &[]);
    sleep(Duration::from_secs(5)).await;
    let standby = Operator::start(server, "op-2", &[]);
    sleep(Duration::from_secs(30)).await;
    (leader, standby)
}

#[test]
fn two_operators_that_both_act_launch_each_job_once() {
    in_paused_time(async {
        let server = served();
        let one = Operator::start(&server, "op-1", &[]);
        // Under the same name both hold the Lease.
        let other = Operator::start(&server, "op-1", &[]);
        sleep(Duration::from_secs(20)).await;
        databases(&server, "shop", 40);
        server.all_created("shop", Duration::from_mins(2)).await;
        let names: BTreeSet<_> = server.state().posts.iter().map(|post| post.name.clone()).collect();
        assert_eq!((names.len(), server.state().posts.len()), (40, 40));
        let taken = server.state().answers.get(&409).copied().unwrap_or_default();
        assert!(taken > 0, "both acted: {:?}", server.state().answers);
        one.end().await;
        other.end().await;
    });
}

#[test]
fn a_standby_asks_for_nothing_that_the_leader_does() {
    in_paused_time(async {
        let server = served();
        let (leader, standby) = leader_and_standby(&server).await;
        databases(&server, "shop", 40);
        server.all_created("shop", Duration::from_mins(2)).await;
        assert_eq!(server.state().answers, BTreeMap::from([(201, 40)]));
        leader.end().await;
        standby.end().await;
    });
}

#[test]
fn a_crashed_leader_is_replaced_in_three_seconds() {
    in_paused_time(async {
        let server = served();
        let (leader, standby) = leader_and_standby(&server).await;
        assert!(until_a_launch(&server, "before").await < Duration::from_millis(500));
        leader.crash();
        let took = until_a_launch(&server, "after").await;
        assert!(took <= Duration::from_secs(3), "{took:?}");
        standby.end().await;
    });
}

#[test]
fn a_leader_that_ends_is_replaced_in_half_a_second() {
    in_paused_time(async {
        let server = served();
        let (leader, standby) = leader_and_standby(&server).await;
        leader.end().await;
        let took = until_a_launch(&server, "after").await;
        assert!(took <= Duration::from_millis(500), "{took:?}");
        standby.end().await;
    });
}

#[test]
fn a_hundred_lost_leases_cost_no_job() {
    in_paused_time(async {
        let server = served();
        let operators = [Operator::start(&server, "op-1", &[]), Operator::start(&server, "op-2", &[])];
        let lease = ("leases", "system".to_owned(), "db-operator".to_owned());
        assert!(server.until(SOON, |state| state.store.get(&lease).is_some()).await);
        for index in 0..100 {
            // Somebody else takes it, and never acts.
            server.update(&lease, |lease| lease["spec"]["holderIdentity"] = json!(format!("thief-{index}")));
            server.database("shop", &format!("db-{index}"), &json!({}));
            sleep(Duration::from_secs(3)).await;
        }
        server.all_created("shop", SOON).await;
        assert_eq!(server.state().posts.len(), 100, "none is missing and none is made twice");
        for operator in operators {
            operator.end().await;
        }
    });
}
