//! The caps, when what did not run begins all at once.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::served;
use crate::play::{Operator, in_paused_time};

/// Namespaces, each of which wants more than there are slots on the one server that all want.
const NAMESPACES: usize = 20;

/// The cap of a server, as it is by default.
const PER_SERVER: usize = 8;

/// How many Jobs are at work on one server at once, when an image can be pulled at last for which namespaces have waited
/// that came so long after each other.
fn most_on_the_server(apart: Duration) -> usize {
    in_paused_time(async {
        let server = served();
        {
            let pods = &mut server.state().cluster.pods;
            pods.not_pulled.insert("img:1".to_owned());
            pods.work = Duration::from_mins(1);
        }
        let operator = Operator::start(&server, "op-1", &[]);
        for team in 0..NAMESPACES {
            server.namespace(&format!("team-{team}"));
            for index in 0..2 * PER_SERVER {
                server.database(&format!("team-{team}"), &format!("db-{index}"), &json!({}));
            }
            sleep(apart).await;
        }
        sleep(Duration::from_mins(2)).await;
        server.state().cluster.pods.not_pulled.clear();
        server.tell();
        for team in 0..NAMESPACES {
            server.all_created(&format!("team-{team}"), Duration::from_hours(2)).await;
        }
        operator.end().await;
        server.state().cluster.most_on_one_server
    })
}

/// The bounds of ADR 0024.
#[test]
fn when_all_pulls_end_at_once_no_server_has_more_jobs_than_the_caps_of_each_namespace_allow() {
    // Each has one; and the first and the last to come have what is left of the slots.
    let at_once = most_on_the_server(Duration::ZERO);
    assert!((PER_SERVER..=NAMESPACES + 2 * (PER_SERVER - 1)).contains(&at_once), "{at_once}");
    let one_after_the_other = most_on_the_server(Duration::from_secs(11));
    // The last slot is for whoever has none.
    assert!(
        (PER_SERVER..=NAMESPACES * (PER_SERVER - 1)).contains(&one_after_the_other),
        "{one_after_the_other}"
    );
}
