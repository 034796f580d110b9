//! Jobs that do not run, or not any more.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{SOON, databases, forge, is_told, served, start, uid_and_job_name};
use crate::cluster::end_namespace;
use crate::play::in_paused_time;

#[test]
fn fifty_jobs_that_somebody_has_suspended_hold_up_nobody_else_and_their_owners_are_told() {
    in_paused_time(async {
        let server = served();
        let suspend = json!({"spec": {"suspend": true}});
        let databases_of_shop =
            (0..50).map(|index| server.database("shop", &format!("db-{index}"), &json!({})));
        let suspended: Vec<_> = databases_of_shop.map(|key| forge(&server, &key, 1, &suspend)).collect();
        let operator = start(&server);
        databases(&server, "other", 10);
        server.all_created("other", SOON).await;
        for index in 0..50 {
            assert!(is_told(&server, "JobSuspended", &format!("db-{index}")).await, "db-{index}");
        }
        assert_eq!(server.state().posts_in("shop"), 0, "each has its Job");
        // One of the two ways on that the Event gives.
        for key in &suspended {
            server.delete(key);
        }
        server.all_created("shop", Duration::from_mins(5)).await;
        operator.end().await;
    });
}

#[test]
fn a_namespace_whose_jobs_are_all_suspended_as_they_come_holds_up_nobody_else() {
    in_paused_time(async {
        let server = served();
        server.state().cluster.pods.suspended.insert("shop".to_owned());
        databases(&server, "shop", 50);
        let operator = start(&server);
        sleep(Duration::from_mins(2)).await;
        databases(&server, "other", 10);
        server.all_created("other", SOON).await;
        operator.end().await;
    });
}

#[test]
fn a_wrong_image_in_a_namespace_with_fifty_backups_holds_up_nobody_else() {
    in_paused_time(async {
        let server = served();
        server.create(
            "drivers",
            json!({"metadata": {"name": "typo"}, "spec": {"image": "img:1", "backupImage": "imgg:1"}}),
        );
        server.state().cluster.pods.not_pulled.insert("imgg:1".to_owned());
        let operator = start(&server);
        for index in 0..50 {
            server.database("shop", &format!("db-{index}"), &json!({"driver": "typo"}));
        }
        server.all_created("shop", Duration::from_mins(5)).await;
        for index in 0..50 {
            let metadata = json!({"name": format!("backup-{index}"), "namespace": "shop"});
            let spec = json!({"database": format!("db-{index}")});
            server.create("backups", json!({"metadata": metadata, "spec": spec}));
        }
        sleep(Duration::from_mins(2)).await;
        let told = server.state().events.iter().filter(|(reason, _)| reason == "JobNotRunning").count();
        assert!(told > 0, "{:?}", server.state().events);
        databases(&server, "other", 10);
        server.all_created("other", SOON).await;
        operator.end().await;
    });
}

#[test]
fn a_namespace_ends_even_if_its_image_cannot_be_pulled() {
    in_paused_time(async {
        let server = served();
        server.driver("other-engine", "img:2");
        let operator = start(&server);
        databases(&server, "shop", 3);
        server.all_created("shop", SOON).await;
        server.state().cluster.pods.not_pulled.insert("img:1".to_owned());
        // One whose delete run never begins.
        server.delete(&("databases", "shop".to_owned(), "db-0".to_owned()));
        sleep(Duration::from_mins(2)).await;
        assert!(is_told(&server, "JobNotRunning", "db-0").await);
        server.database("other", "meanwhile", &json!({"driver": "other-engine"}));
        server.all_created("other", SOON).await;
        assert!(end_namespace(&server, "shop", Duration::from_mins(2)).await, "{:?}", server.state().posts);
        server.state().cluster.pods.not_pulled.clear();
        server.tell();
        databases(&server, "other", 3);
        server.all_created("other", SOON).await;
        operator.end().await;
    });
}

#[test]
fn a_namespace_that_takes_no_jobs_is_told_why_and_holds_up_nobody_else() {
    let not_served =
        (403, "jobs.batch is forbidden: cannot create resource \"jobs\" in the namespace \"shop\"");
    let by_quota = (403, "jobs.batch is forbidden: exceeded quota: few-jobs");
    let invalid = (422, "Job.batch is invalid: spec.template.spec: a webhook says no");
    for (refused, reason) in
        [(not_served, "NamespaceNotServed"), (by_quota, "JobRefused"), (invalid, "JobRefused")]
    {
        in_paused_time(async {
            let server = served();
            server.state().refused.insert("shop", refused);
            databases(&server, "shop", 50);
            let operator = start(&server);
            assert!(is_told(&server, reason, "db-0").await, "{refused:?}: {:?}", server.state().events);
            databases(&server, "other", 10);
            server.all_created("other", SOON).await;
            server.state().refused.clear();
            server.all_created("shop", Duration::from_mins(4)).await;
            operator.end().await;
        });
    }
}

#[test]
fn nobody_is_told_what_was_refused_to_others_before() {
    in_paused_time(async {
        let server = served();
        let not_served = (403, "jobs.batch is forbidden: cannot create resource \"jobs\" in the namespace");
        server.state().refused.extend([("shop", not_served), ("other", not_served)]);
        let operator = start(&server);
        let gone = server.database("shop", "gone", &json!({}));
        // It waits all that time.
        server.database("other", "waits", &json!({}));
        for name in ["gone", "waits"] {
            assert!(is_told(&server, "NamespaceNotServed", name).await, "{name}");
        }
        server.delete(&gone);
        server.state().refused.remove("shop");
        sleep(Duration::from_mins(2)).await;
        server.database("shop", "late", &json!({}));
        server.all_created("shop", SOON).await;
        assert_eq!(server.state().told_about("late"), [""; 0]);
        operator.end().await;
    });
}

#[test]
fn a_name_that_somebody_has_taken_is_told_and_ours_is_launched_when_it_is_free() {
    in_paused_time(async {
        let server = served();
        let key = server.database("shop", "orders", &json!({}));
        let (_, name) = uid_and_job_name(&server, &key, 1);
        server.create("jobs", json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {}}));
        // Nothing else waits, and nothing else happens.
        let operator = start(&server);
        assert!(is_told(&server, "JobNameTaken", "orders").await, "{:?}", server.state().events);
        server.delete(&("jobs", "shop".to_owned(), name));
        server.all_created("shop", Duration::from_mins(1)).await;
        operator.end().await;
    });
}

#[test]
fn the_attempts_go_on_after_a_job_that_somebody_has_deleted() {
    in_paused_time(async {
        let server = served();
        server.state().cluster.pods.failing = 1_000;
        let operator = start(&server);
        databases(&server, "shop", 1);
        for attempt in 1..4 {
            assert!(server.until(Duration::from_mins(10), |state| state.posts.len() == attempt).await);
            let name = server.state().posts[attempt - 1].name.clone();
            assert!(name.ends_with(&format!("-{attempt}")), "{name}");
            sleep(Duration::from_secs(10)).await;
            server.delete(&("jobs", "shop".to_owned(), name));
        }
        operator.end().await;
    });
}
