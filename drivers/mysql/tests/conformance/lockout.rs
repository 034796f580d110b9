//! A database whose logins are locked out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use driver_api::ErrorKind;
use mysql_async::prelude::Queryable;

use crate::harness::{Case, PASSWORD, assert_error, quoted};

/// What writers have done.
#[derive(Debug, Default)]
struct Writers {
    stop: AtomicBool,
    acknowledged: AtomicI64,
    refused: AtomicI64,
}

/// Commits row after row, in a new session every few rows, until it is told to stop.
fn writer(case: Case, writers: Arc<Writers>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while !writers.stop.load(Ordering::SeqCst) {
            let opened = case.server().log_in(&case.target.active_login, PASSWORD, Some(case.name())).await;
            let Ok(mut client) = opened else {
                writers.refused.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            for _ in 0..3 {
                if client.query_drop("INSERT INTO t VALUES (1)").await.is_err() {
                    break;
                }
                writers.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
}

/// How many rows there are.
async fn rows(case: &Case) -> i64 {
    let query = format!("SELECT COUNT(*) FROM {}.t", quoted(case.name()));
    case.server().text(&query).await.parse().unwrap()
}

rules! {
    async fn nothing_is_committed_after_a_lockout(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.tenant().await.query_drop("CREATE TABLE t (i int)").await.unwrap();
        for _ in 0..3 {
            let seen = Arc::new(Writers::default());
            let writers: Vec<_> = (0..6).map(|_| writer(case.clone(), Arc::clone(&seen))).collect();
            let mut idle = case.tenant().await;
            until!("writers write", seen.acknowledged.load(Ordering::SeqCst) > 20);
            case.try_lock_out().await.unwrap_or_else(|error| panic!("{}", error.chain()));
            let then = rows(&case).await;
            assert!(idle.query_drop("SELECT 1").await.is_err());
            // As often as all of them together would have committed a few rows each.
            let refused = seen.refused.load(Ordering::SeqCst);
            until!("writers are refused", seen.refused.load(Ordering::SeqCst) > refused + 60);
            assert_eq!(rows(&case).await, then, "somebody committed after the lockout");
            seen.stop.store(true, Ordering::SeqCst);
            for writer in writers {
                writer.await.unwrap();
            }
            assert!(then >= seen.acknowledged.load(Ordering::SeqCst), "an acknowledged row is lost");
            let differences = case.differences().await.join("; ");
            assert!(differences.contains("may not log in") && differences.contains("lacks INSERT"), "{differences}");
            case.try_lock_out().await.unwrap();
            case.ensure_present().await;
            case.assert_complete().await;
            case.tenant().await.query_drop("DELETE FROM t").await.unwrap();
        }
    }

    /// The server runs them with their definer's rights, whether that account is locked or not.
    async fn events_of_the_tenant_write_no_more(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let mut tenant = case.tenant().await;
        tenant.query_drop("CREATE TABLE t (i int)").await.unwrap();
        tenant.query_drop("CREATE EVENT e ON SCHEDULE EVERY 1 SECOND DO INSERT INTO t VALUES (1)").await.unwrap();
        until!("the event runs", rows(&case).await > 0);
        case.try_lock_out().await.unwrap();
        let then = rows(&case).await;
        let runs = "SELECT MAX(LAST_EXECUTED) FROM information_schema.EVENTS WHERE EVENT_NAME = 'e' AND EVENT_SCHEMA = ";
        let last = format!("{runs}'{}'", case.name());
        for _ in 0..2 {
            let before = case.server().text(&last).await;
            until!("the event is tried again", case.server().text(&last).await != before);
        }
        assert_eq!(rows(&case).await, then, "an event wrote after the lockout");
        case.ensure_present().await;
        until!("the event runs again", rows(&case).await > then);
    }

    async fn a_prepared_transaction_is_in_the_way_until_it_ends(context) {
        let case = context.case("orders");
        let other = context.case("bills");
        let xid = format!("{}_xid", context.prefix);
        for case in [&case, &other] {
            case.ensure_present().await;
            case.tenant().await.query_drop("CREATE TABLE t (i int) ENGINE = InnoDB").await.unwrap();
        }
        let mut tenant = case.tenant().await;
        for sql in [format!("XA START '{xid}'"), "INSERT INTO t VALUES (1)".to_owned(), format!("XA END '{xid}'"),
                    format!("XA PREPARE '{xid}'")] {
            tenant.query_drop(sql).await.unwrap();
        }
        let error = case.try_lock_out().await.unwrap_err();
        assert_error(&error, ErrorKind::InUse, &["XA", &xid]);
        // It is no matter of another database.
        other.try_lock_out().await.unwrap_or_else(|error| panic!("{}", error.chain()));
        case.run(&format!("XA COMMIT '{xid}'")).await;
        case.try_lock_out().await.unwrap_or_else(|error| panic!("{}", error.chain()));
        assert_eq!(rows(&case).await, 1);
    }

    async fn somebody_else_s_right_to_write_is_in_the_way(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.tenant().await.query_drop("CREATE TABLE t (i int)").await.unwrap();
        let other = format!("{}_batch", context.prefix);
        for (given, taken) in [
            ("GRANT INSERT ON {on} TO {other}", "REVOKE INSERT ON {on} FROM {other}"),
            ("GRANT UPDATE ON {db}.t TO {other}", "REVOKE UPDATE ON {db}.t FROM {other}"),
        ] {
            case.run(&format!("CREATE USER IF NOT EXISTS {other};\n{}", given.replace("{other}", &other))).await;
            let error = case.try_lock_out().await.unwrap_err();
            assert_error(&error, ErrorKind::InUse, &[&other, "REVOKE"]);
            case.assert_complete().await;
            case.run(&taken.replace("{other}", &other)).await;
        }
        case.run(&format!("GRANT SELECT ON {{on}} TO {other}")).await;
        case.try_lock_out().await.unwrap_or_else(|error| panic!("{}", error.chain()));
    }

    async fn a_session_of_a_superuser_in_the_database_is_ended_too(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let mut superuser = case.server().superuser().await;
        superuser.query_drop(format!("USE {}", quoted(case.name()))).await.unwrap();
        case.try_lock_out().await.unwrap();
        assert!(superuser.query_drop("SELECT 1").await.is_err());
    }
}
