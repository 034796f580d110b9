//! Databases that are verified unasked, once in each interval.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::served;
use crate::play::{Operator, in_paused_time};
use crate::server::State;

/// How many Jobs may verify at once: a tenth of the 50 slots.
const A_TENTH: usize = 5;

#[test]
fn each_database_is_verified_once_an_interval_in_a_tenth_of_the_slots_and_whoever_asks_comes_first() {
    in_paused_time(async {
        let server = served();
        let operator = Operator::start(&server, "op-1", &["--resync-interval", "6h"]);
        for index in 0..60 {
            let host = json!({"connect": {"host": format!("host-{index}")}});
            server.database("shop", &format!("db-{index}"), &host);
        }
        server.all_created("shop", Duration::from_mins(5)).await;
        let created = server.state().posts.len();
        assert_eq!(created, 60);
        {
            let cluster = &mut server.state().cluster;
            // So long that more would be at work at once, if they could.
            cluster.pods.work = Duration::from_mins(25);
            cluster.most_at_work = 0;
        }
        sleep(Duration::from_hours(7)).await;
        let mut verified: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for post in &server.state().posts[created..] {
            verified.entry(post.uid.clone()).or_default().push(post.at);
        }
        assert_eq!(verified.len(), 60, "each is verified");
        for (uid, times) in &verified {
            // Those whose time came in the first of seven hours, again in the last.
            let apart = times.windows(2).all(|two| two[1] > two[0] + Duration::from_hours(5));
            assert!(times.len() <= 2 && apart, "{uid}: {times:?}");
        }
        assert_eq!(server.state().cluster.most_at_work, A_TENTH);

        let is_full = |state: &State| state.cluster.at_work.values().sum::<usize>() == A_TENTH;
        assert!(server.until(Duration::from_hours(6), is_full).await);
        server.database("other", "now", &json!({}));
        let is_launched =
            server.until(Duration::from_millis(500), |state| state.posts_in("other") == 1).await;
        assert!(is_launched, "what a person asks for waits for nothing that nobody does");
        operator.end().await;
    });
}
