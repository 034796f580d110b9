//! Many at once: nobody is slowed by another, and who waits costs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{SOON, databases, served, start};
use crate::play::in_paused_time;

#[test]
fn ten_thousand_forged_jobs_hold_up_nobody() {
    in_paused_time(async {
        let server = served();
        for index in 0..10_000 {
            let labels = json!({
                "app.kubernetes.io/managed-by": "db-operator", "db.isotoma.com/uid": format!("uid-{}", index % 7),
                "db.isotoma.com/operation": "create", "db.isotoma.com/generation": "1",
                "db.isotoma.com/attempt": "1",
            });
            let metadata =
                json!({"name": format!("dbo-create-forged-{index}"), "namespace": "shop", "labels": labels});
            server.create(
                "jobs",
                json!({"metadata": metadata, "spec": {}, "status": {"active": 1, "ready": 1}}),
            );
        }
        let operator = start(&server);
        databases(&server, "other", 5);
        databases(&server, "shop", 1);
        server.all_created("other", SOON).await;
        server.all_created("shop", SOON).await;
        operator.end().await;
    });
}

#[test]
fn twenty_namespaces_are_served_alike_whatever_each_asks_for() {
    in_paused_time(async {
        let server = served();
        server.state().cluster.pods.work = Duration::from_secs(20);
        for team in 0..20 {
            server.namespace(&format!("team-{team}"));
            for index in 0..if team == 0 { 200 } else { 20 } {
                let host = json!({"connect": {"host": format!("db-{team}-{index}")}});
                server.database(&format!("team-{team}"), &format!("db-{index}"), &host);
            }
        }
        let operator = start(&server);
        // The first slots go to whom it has looked at first.
        assert!(server.until(Duration::from_mins(30), |state| state.posts.len() >= 50 + 200).await);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for post in &server.state().posts[50..250] {
            *counts.entry(post.namespace.clone()).or_default() += 1;
        }
        // An equal share of 200 is 10.
        assert_eq!(counts.len(), 20);
        assert!(counts.values().all(|count| (9..=12).contains(count)), "{counts:?}");
        operator.end().await;
    });
}

#[test]
fn waiting_for_a_slot_asks_the_api_server_nothing() {
    in_paused_time(async {
        let server = served();
        server.state().cluster.pods.work = Duration::from_hours(2);
        databases(&server, "shop", 500);
        let operator = start(&server);
        // All slots are taken, and the pods run.
        sleep(Duration::from_mins(5)).await;
        let launched = server.state().posts.len();
        let before = server.state().requests;
        assert!((1..=8).contains(&launched), "{launched}");
        sleep(Duration::from_mins(10)).await;
        assert_eq!(server.state().posts.len(), launched);
        // Six watches are opened again each minute or so, and the Lease is renewed every five seconds.
        let asked = server.state().requests - before;
        assert!(asked < 60 + 120 + 30, "{asked} requests in ten minutes");
        operator.end().await;
    });
}
