//! Somebody takes the Lease who has no right to it: what `docs/security.md` says of that.

use std::sync::Arc;
use std::time::Duration;

use driver::testkit::Logged;
use serde_json::json;
use tokio::time::sleep;
use tracing::Level;

use super::{SOON, databases, leader_and_standby, served};
use crate::play::in_paused_time;
use crate::server::Server;
use crate::store::Key;

fn lease() -> Key {
    ("leases", "system".to_owned(), "db-operator".to_owned())
}

/// Takes the Lease, or renews it, so often and so far apart.
async fn steal(server: &Server, times: u32, apart: Duration) {
    for time in 0..times {
        server.update(&lease(), |lease| {
            lease["spec"]["holderIdentity"] = json!("thief");
            lease["spec"]["renewTime"] = json!(format!("2026-01-01T00:00:00.{time:06}Z"));
        });
        sleep(apart).await;
    }
}

#[test]
fn a_thief_who_renews_the_lease_more_often_than_every_two_seconds_stops_all_launches_and_it_shows() {
    for apart in [1_500, 1_990].map(Duration::from_millis) {
        let logged = Logged::start(Level::INFO);
        in_paused_time(async {
            let server = served();
            let (one, other) = leader_and_standby(&server).await;
            steal(&server, 1, apart).await;
            databases(&server, "shop", 5);
            steal(&server, 40, apart).await;
            assert_eq!(server.state().posts.len(), 0, "every {apart:?}");
            for operator in [&one, &other] {
                assert_eq!(operator.metric("db_operator_leader"), 0);
                assert_eq!(operator.metric("db_operator_waiting_objects"), 5);
            }
            let holder = server.state().store.get(&lease()).unwrap()["spec"]["holderIdentity"].clone();
            assert_eq!(holder, json!("thief"));
            // Nobody renews it any more.
            server.all_created("shop", SOON).await;
            one.end().await;
            other.end().await;
        });
        let log = logged.text();
        let lost: Vec<_> =
            log.lines().filter(|line| line.contains("lost the Lease: launching late")).collect();
        assert!(lost.len() == 1 && lost[0].contains("op-1"), "{log}");
    }
}

#[test]
fn between_slower_renewals_of_a_thief_the_replicas_launch_late() {
    in_paused_time(async {
        let server = served();
        let (one, other) = leader_and_standby(&server).await;
        let thief = tokio::spawn({
            let server = Arc::clone(&server);
            async move { steal(&server, 40, Duration::from_secs(3)).await }
        });
        databases(&server, "shop", 5);
        server.all_created("shop", Duration::from_mins(1)).await;
        assert!(!thief.is_finished(), "all that while it has the Lease");
        thief.abort();
        one.end().await;
        other.end().await;
    });
}
