//! The API server is away, restarted, compacted, or has another idea of the time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{SOON, databases, served, start};
use crate::chance::Chance;
use crate::play::{Operator, in_paused_time};
use crate::server::Server;
use crate::store::RESOURCES;

#[test]
fn an_api_server_that_is_away_for_a_minute_costs_no_more_than_that() {
    in_paused_time(async {
        let server = served();
        let operator = start(&server);
        databases(&server, "shop", 5);
        server.all_created("shop", SOON).await;
        let away = tokio::spawn({
            let server = Arc::clone(&server);
            async move { server.go_away(Duration::from_mins(1), false).await }
        });
        sleep(Duration::from_secs(30)).await;
        server.database("shop", "meanwhile", &json!({}));
        assert_eq!(operator.health.pulse.complaint(), None, "a restart would not bring it back");
        away.await.unwrap();
        server.all_created("shop", Duration::from_secs(40)).await;
        operator.end().await;
    });
}

/// Of that, a watch waits for two at most after a connection that broke, and the Lease for one.
#[test]
fn when_the_api_server_is_back_a_new_database_has_its_job_within_three_seconds() {
    for away in (40..50).map(Duration::from_secs) {
        in_paused_time(async {
            let server = served();
            let operator = start(&server);
            // It is due again after half a minute: then its namespace is left alone, for nobody answers.
            server.state().cluster.pods.failing = 1_000;
            server.database("shop", "failed", &json!({}));
            assert!(server.until(SOON, |state| state.posts_in("shop") == 1).await);
            sleep(Duration::from_secs(10)).await;
            server.go_away(away, true).await;
            assert!(operator.metric("db_operator_launch_failures_total{reason=\"Create\"}") > 0);
            server.database("shop", "after", &json!({}));
            let launched = server.until(Duration::from_secs(3), |state| state.posts_in("shop") == 3).await;
            assert!(launched, "away for {away:?}: {} of 3 Jobs", server.state().posts_in("shop"));
            operator.end().await;
        });
    }
}

#[test]
fn an_api_server_that_forgets_what_it_has_just_listed_is_not_asked_without_a_pause() {
    in_paused_time(async {
        let server = served();
        let operator = start(&server);
        databases(&server, "shop", 5);
        server.all_created("shop", SOON).await;
        server.state().too_old_after = Some(Duration::from_millis(100));
        server.restart();
        sleep(Duration::from_mins(1)).await;
        let before = server.state().requests;
        sleep(Duration::from_mins(1)).await;
        // Six kinds, each of which asks three things every two seconds, and the Lease.
        let asked = server.state().requests - before;
        assert!((60..=600).contains(&asked), "{asked} requests in a minute");
        server.state().too_old_after = None;
        server.database("shop", "after", &json!({}));
        server.all_created("shop", SOON).await;
        operator.end().await;
    });
}

/// How long a container may be unwell before it is restarted: six probes, ten seconds apart, as in the chart.
const RESTARTED_AFTER: Duration = Duration::from_mins(1);

#[test]
fn an_api_server_that_is_away_for_ten_minutes_restarts_nobody_then_or_after() {
    for answers_nothing in [false, true] {
        in_paused_time(async {
            let server = served();
            let operator = start(&server);
            databases(&server, "shop", 5);
            server.all_created("shop", SOON).await;
            let away = tokio::spawn({
                let server = Arc::clone(&server);
                async move {
                    let length = Duration::from_mins(10);
                    if !answers_nothing {
                        return server.go_away(length, false).await;
                    }
                    server.state().silent.extend(RESOURCES);
                    sleep(length).await;
                    server.state().silent.clear();
                }
            });
            let (mut unwell, mut longest) = (Duration::ZERO, Duration::ZERO);
            let second = Duration::from_secs(1);
            for _ in 0..20 * 60 {
                sleep(second).await;
                unwell = operator.health.pulse.complaint().map_or(Duration::ZERO, |_| unwell + second);
                longest = longest.max(unwell);
            }
            away.await.unwrap();
            assert!(longest < RESTARTED_AFTER, "unwell for {longest:?}, answers nothing: {answers_nothing}");
            server.database("shop", "after", &json!({}));
            server.all_created("shop", SOON).await;
            operator.end().await;
        });
    }
}

#[test]
fn a_watch_that_hears_nothing_while_others_do_is_complained_of_until_it_hears_again() {
    in_paused_time(async {
        let server = served();
        let operator = start(&server);
        databases(&server, "shop", 2);
        server.all_created("shop", SOON).await;
        sleep(Duration::from_mins(20)).await;
        assert_eq!(operator.health.pulse.complaint(), None, "nothing changes, and all are alive");
        server.state().silent.insert("jobs");
        sleep(Duration::from_mins(8)).await;
        let complaint = operator.health.pulse.complaint().unwrap();
        assert!(complaint.starts_with("the watch of Jobs has heard nothing for "), "{complaint}");
        server.state().silent.clear();
        sleep(Duration::from_secs(15)).await;
        assert_eq!(operator.health.pulse.complaint(), None);
        server.database("shop", "late", &json!({}));
        server.all_created("shop", SOON).await;
        operator.end().await;
    });
}

#[test]
fn a_restart_and_a_compaction_lose_nothing_even_with_more_than_a_page() {
    for streams in [true, false] {
        in_paused_time(async {
            let server = served();
            server.state().streams = streams;
            let operator = start(&server);
            databases(&server, "shop", 120);
            server.all_created("shop", Duration::from_mins(5)).await;
            let away = tokio::spawn({
                let server = Arc::clone(&server);
                async move { server.go_away(Duration::from_secs(5), true).await }
            });
            sleep(Duration::from_secs(1)).await;
            databases(&server, "other", 60);
            for index in 0..120 {
                server.delete(&("databases", "shop".to_owned(), format!("db-{index}")));
            }
            away.await.unwrap();
            server.all_created("other", Duration::from_mins(5)).await;
            let gone = server.until(Duration::from_mins(5), |state| state.posts_in("shop") == 240).await;
            assert!(gone, "{} Jobs, streams: {streams}", server.state().posts_in("shop"));
            operator.end().await;
        });
    }
}

#[test]
fn a_clock_that_is_an_hour_off_neither_gives_a_job_up_nor_repeats_it() {
    for ahead in [3_600, -3_600] {
        in_paused_time(async {
            let server = Server::new(Chance::of(3), ahead);
            server.namespace("shop");
            server.driver("engine", "img:1");
            server.state().cluster.pods.start = (4_000, 5_000);
            let operator = Operator::start(&server, "op-1", &[]);
            databases(&server, "shop", 5);
            server.all_created("shop", SOON).await;
            server.state().cluster.pods.failing = 1_000;
            server.database("shop", "failing", &json!({}));
            let tried =
                |count: usize| move |state: &crate::server::State| state.posts_in("shop") == 5 + count;
            assert!(server.until(SOON, tried(1)).await);
            assert!(!server.until(SOON, tried(2)).await, "it waits half a minute after a failure");
            assert!(server.until(Duration::from_mins(2), tried(2)).await, "and no hour");
            operator.end().await;
        });
    }
}
