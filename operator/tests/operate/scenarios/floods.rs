//! Many at once: nobody is slowed by another, and who waits costs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{SOON, databases, forge, forge_for, served, start};
use crate::play::in_paused_time;

/// What a Job says of itself that runs.
fn running() -> Value {
    json!({"status": {"active": 1, "ready": 1}})
}

#[test]
fn ten_thousand_jobs_with_the_name_and_uid_of_one_database_hold_up_nobody_else() {
    in_paused_time(async {
        let server = served();
        let key = server.database("shop", "orders", &json!({}));
        for attempt in 1..=10_000 {
            forge(&server, &key, attempt, &running());
        }
        let operator = start(&server);
        databases(&server, "other", 5);
        server.all_created("other", SOON).await;
        assert_eq!(server.state().posts_in("shop"), 0, "its own work seems to be under way");
        assert_eq!(server.state().told_about("orders"), [""; 0], "so there is nothing to tell its owner");
        operator.end().await;
    });
}

#[test]
fn ten_thousand_forged_jobs_hold_up_nobody() {
    in_paused_time(async {
        let server = served();
        for attempt in 0..10_000 {
            let (uid, name) = (format!("uid-{}", attempt % 7), format!("dbo-create-forged-{attempt}"));
            forge_for(&server, &uid, &name, attempt, &running());
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
        assert!(server.until(Duration::from_mins(30), |state| state.posts.len() >= 200).await);
        let mut shares: BTreeMap<String, usize> = BTreeMap::new();
        for post in &server.state().posts[..200] {
            *shares.entry(post.namespace.clone()).or_default() += 1;
        }
        // An equal share of 200 is 10.
        assert_eq!(shares.len(), 20);
        assert!(shares.values().all(|count| (9..=12).contains(count)), "{shares:?}");
        operator.end().await;
    });
}

#[test]
fn waiting_for_a_slot_asks_the_api_server_nothing_and_looks_at_nothing() {
    in_paused_time(async {
        let server = served();
        server.state().cluster.pods.work = Duration::from_hours(2);
        databases(&server, "shop", 500);
        let operator = start(&server);
        // All slots are taken, and the pods run.
        sleep(Duration::from_mins(5)).await;
        let launched = server.state().posts.len();
        let (before, looks) =
            (server.state().requests, operator.metric("db_operator_reconcile_seconds_count"));
        assert!((1..=8).contains(&launched), "{launched}");
        sleep(Duration::from_mins(10)).await;
        assert_eq!(server.state().posts.len(), launched);
        // Six watches are opened again each minute or so, and the Lease is renewed every five seconds.
        let asked = server.state().requests - before;
        assert!(asked < 60 + 120 + 30, "{asked} requests in ten minutes");
        let looked = operator.metric("db_operator_reconcile_seconds_count") - looks;
        assert_eq!(looked, 0, "who waits is told, and nobody looks whether anything has changed");
        operator.end().await;
    });
}
