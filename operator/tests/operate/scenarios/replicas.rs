//! Two operators on one API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{SOON, databases, leader_and_standby, served};
use crate::play::{Operator, in_paused_time};
use crate::server::Server;

/// How long it takes from now until the Job of a new Database is taken.
async fn until_a_launch(server: &Server, name: &str) -> Duration {
    let (begun, before) = (Instant::now(), server.state().posts.len());
    server.database("shop", name, &json!({}));
    assert!(server.until(Duration::from_mins(1), |state| state.posts.len() > before).await);
    begun.elapsed()
}

/// Makes forty Databases, and waits until they are Created.
async fn forty_are_created(server: &Arc<Server>) {
    databases(server, "shop", 40);
    server.all_created("shop", Duration::from_mins(2)).await;
}

#[test]
fn two_operators_that_both_act_launch_each_job_once() {
    in_paused_time(async {
        let server = served();
        let one = Operator::start(&server, "op-1", &[]);
        // Under the same name both hold the Lease.
        let other = Operator::start(&server, "op-1", &[]);
        sleep(Duration::from_secs(20)).await;
        forty_are_created(&server).await;
        let names: BTreeSet<_> = server.state().posts.iter().map(|post| post.name.clone()).collect();
        assert_eq!((names.len(), server.state().posts.len()), (40, 40));
        let taken = server.state().answers.get(&("op-1".to_owned(), 409)).copied().unwrap_or_default();
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
        forty_are_created(&server).await;
        assert_eq!(server.state().answers, BTreeMap::from([(("op-1".to_owned(), 201), 40)]));
        leader.end().await;
        standby.end().await;
    });
}

#[test]
fn where_a_namespace_refuses_each_replica_tries_about_once_a_minute() {
    in_paused_time(async {
        let server = served();
        let (leader, standby) = leader_and_standby(&server).await;
        let quota = (403, "jobs.batch is forbidden: exceeded quota: no-jobs");
        server.state().refused.insert("shop", quota);
        databases(&server, "shop", 40);
        let refusals = || {
            let state = server.state();
            ["op-1", "op-2"].map(|pod| state.answers.get(&(pod.to_owned(), 403)).copied().unwrap_or_default())
        };
        sleep(Duration::from_mins(5)).await;
        let before = refusals();
        // At once as many as there are slots; then one each time, after pauses that double to a minute in six.
        assert!(before.iter().all(|tries| *tries <= 8 + 6 + 5), "{before:?} in the first five minutes");
        sleep(Duration::from_mins(10)).await;
        let after = refusals();
        for (pod, tries) in [("op-1", after[0] - before[0]), ("op-2", after[1] - before[1])] {
            assert!((9..=10).contains(&tries), "{pod} tries {tries} times in ten minutes");
        }
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
        // From the signal on.
        let ((), took) = tokio::join!(leader.end(), until_a_launch(&server, "after"));
        assert!(took <= Duration::from_millis(500), "{took:?}");
        assert_eq!(server.state().answers, BTreeMap::from([(("op-2".to_owned(), 201), 1)]));
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
