//! What tenants write that nobody expects.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::json;

use super::{SOON, databases, is_told, served, start};
use crate::people::{Text, nested, text_database};
use crate::play::in_paused_time;
use crate::server::Server;

/// Puts a Database that is only text.
fn put(server: &Server, namespace: &str, name: &str, text: &Text) {
    let (key, parts) = text_database(namespace, name, text);
    server.state().store.put_text(key, &parts);
    server.tell();
}

/// An object with one long text.
fn long(key: &str, length: usize) -> Bytes {
    format!("{{\"{key}\":\"{}\"}}", "x".repeat(length)).into()
}

#[test]
fn parameters_of_a_hundred_and_forty_levels_are_launched_like_any() {
    in_paused_time(async {
        let server = served();
        put(&server, "shop", "deep", &Text { parameters: nested(140), ..Text::default() });
        let operator = start(&server);
        databases(&server, "other", 5);
        server.all_created("other", SOON).await;
        let is_launched = server.until(SOON, |state| state.posts_in("shop") == 1).await;
        assert!(is_launched, "the operator reads no parameters, so the driver is the one that judges them");
        operator.end().await;
    });
}

#[test]
fn an_object_that_cannot_be_decoded_costs_itself_alone_and_its_owner_is_told() {
    in_paused_time(async {
        let server = served();
        let operator = start(&server);
        put(&server, "shop", "strange", &Text { phase: "\"Sideways\"", ..Text::default() });
        server.database("shop", "orders", &json!({}));
        databases(&server, "other", 5);
        server.all_created("other", SOON).await;
        let done = server.until(SOON, |state| state.not_created("shop") == ["strange"]).await;
        assert!(done, "{:?}", server.state().not_created("shop"));
        assert!(is_told(&server, "Undecodable", "strange").await);
        assert_eq!(operator.metric("db_operator_undecodable_objects{kind=\"Database\"}"), 1);
        assert_eq!(operator.metric("db_operator_undecodable_objects{kind=\"Backup\"}"), 0);
        operator.end().await;
        // One that starts with it there goes on, too.
        let next = start(&server);
        server.database("other", "late", &json!({}));
        server.all_created("other", SOON).await;
        next.end().await;
    });
}

#[test]
fn a_megabyte_of_parameters_in_a_hundred_databases_is_not_kept() {
    alone("a_megabyte_of_parameters_in_a_hundred_databases_is_not_kept", || {
        let text = Text { parameters: long("a", 1 << 20), ..Text::default() };
        let grown = grown_by(100, &text);
        assert!(grown < 40 << 10, "grown by {grown} KiB for 100 MiB");
    });
}

#[test]
fn annotations_of_256_kibibytes_in_a_thousand_databases_are_not_kept() {
    alone("annotations_of_256_kibibytes_in_a_thousand_databases_are_not_kept", || {
        let text = Text { annotations: long("example.com/foreign", 256 << 10), ..Text::default() };
        let grown = grown_by(1_000, &text);
        assert!(grown < 80 << 10, "grown by {grown} KiB for 250 MiB");
    });
}

#[test]
fn wishes_of_256_kibibytes_in_a_thousand_databases_are_not_kept() {
    alone("wishes_of_256_kibibytes_in_a_thousand_databases_are_not_kept", || {
        let text = Text { annotations: long(api::RETRY_ANNOTATION, 256 << 10), ..Text::default() };
        let grown = grown_by(1_000, &text);
        assert!(grown < 80 << 10, "grown by {grown} KiB for 250 MiB");
    });
}

/// Runs the test of that name in a process of its own: what other tests have in memory is not counted there.
#[expect(clippy::disallowed_methods, reason = "how the process knows that it is the one")]
fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "DB_OPERATOR_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", &format!("scenarios::nonsense::{name}"), "--nocapture"]).env(ALONE, "1");
    let ended = process.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// By how many KiB the process grows when an operator sees so many Databases, all of which share a long text. Others' go
/// on, and for their owners it goes on, too: they are launched, and nobody is told anything.
fn grown_by(count: usize, text: &Text) -> u64 {
    in_paused_time(async {
        let server = served();
        for index in 0..count {
            put(&server, "shop", &format!("long-{index}"), text);
        }
        let before = resident();
        let operator = start(&server);
        databases(&server, "other", 3);
        server.all_created("other", SOON).await;
        let grown = resident().saturating_sub(before);
        let are_launched = server.until(Duration::from_mins(2), |state| state.posts_in("shop") >= 50).await;
        assert!(are_launched, "{} are launched", server.state().posts_in("shop"));
        assert_eq!(server.state().events, []);
        operator.end().await;
        grown
    })
}

/// What this process has in memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
