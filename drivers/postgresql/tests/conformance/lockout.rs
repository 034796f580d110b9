//! A database whose logins are locked out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use db_operator_driver_postgresql::PostgresqlDriver;
use driver_api::{Driver, DriverError, ErrorKind};

use crate::harness::{Case, PASSWORD, assert_error};

impl Case {
    pub(crate) async fn try_lock_out(&self) -> Result<(), DriverError> {
        let mut session = self.session().await;
        PostgresqlDriver.lock_out(&mut session, &self.target).await
    }
}

/// What writers have done.
#[derive(Debug, Default)]
struct Writers {
    stop: AtomicBool,
    acknowledged: AtomicI32,
    refused: AtomicI32,
}

/// Commits row after row, in a new session every few rows, until it is told to stop.
fn writer(case: Case, writers: Arc<Writers>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while !writers.stop.load(Ordering::SeqCst) {
            let Ok(client) = case.server().log_in(&case.target.active_login, PASSWORD, case.name()).await
            else {
                writers.refused.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            for _ in 0..3 {
                if client.batch_execute("INSERT INTO t VALUES (1)").await.is_err() {
                    break;
                }
                writers.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
}

/// Waits for what writers do.
async fn until_more_than(count: &AtomicI32, least: i32) {
    let all = async {
        while count.load(Ordering::SeqCst) <= least {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("writers go on");
}

rules! {
    async fn nothing_is_committed_after_a_lockout(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.tenant().await.batch_execute("CREATE TABLE t (i int)").await.unwrap();
        for _ in 0..3 {
            let seen = Arc::new(Writers::default());
            let writers: Vec<_> = (0..6).map(|_| writer(case.clone(), Arc::clone(&seen))).collect();
            let idle = case.tenant().await;
            until_more_than(&seen.acknowledged, 20).await;
            case.try_lock_out().await.unwrap_or_else(|error| panic!("{}", error.chain()));
            let count = async || case.server().text(case.name(), "SELECT count(*)::text FROM t").await.unwrap();
            let then = count().await;
            assert!(idle.batch_execute("SELECT 1").await.is_err());
            // As often as all of them together would have committed a few rows each.
            until_more_than(&seen.refused, seen.refused.load(Ordering::SeqCst) + 60).await;
            assert_eq!(count().await, then, "somebody committed after the lockout");
            seen.stop.store(true, Ordering::SeqCst);
            for writer in writers {
                writer.await.unwrap();
            }
            let rows: i32 = then.parse().unwrap();
            assert!(rows >= seen.acknowledged.load(Ordering::SeqCst), "an acknowledged row is lost");
            let refused = case.server().log_in(&case.target.active_login, PASSWORD, case.name()).await;
            assert!(refused.is_err());
            let differences = case.differences().await.join("; ");
            assert!(differences.contains("may not log in") && differences.contains("lacks rights"), "{differences}");
            // Again, and a dump of what is locked.
            case.try_lock_out().await.unwrap();
            let dump = case.dump().await;
            let name = "table public.t";
            let stream = driver_api::dump::Source::streams(&dump).iter().find(|stream| stream.info.name == name).unwrap();
            assert_eq!(stream.rows.unwrap().to_string(), then);
            case.ensure_present().await;
            case.assert_complete().await;
            case.tenant().await.batch_execute("TRUNCATE t").await.unwrap();
        }
    }

    async fn what_writes_without_a_session_is_in_the_way(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let gid = case.name().replace('"', "");
        case.tenant().await.batch_execute(&format!(
            "CREATE TABLE t (i int); BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '{gid}'")).await.unwrap();
        let error = case.try_lock_out().await.unwrap_err();
        assert_error(&error, ErrorKind::InUse, &["prepared transaction", &gid, "ROLLBACK PREPARED"]);
        case.run(case.name(), &format!("COMMIT PREPARED '{gid}'")).await;
        case.try_lock_out().await.unwrap();
    }

    async fn a_session_of_a_superuser_is_ended_too(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let name = format!("{}_dba", context.prefix);
        case.run("postgres", &format!("CREATE ROLE \"{name}\" LOGIN SUPERUSER PASSWORD 'dba'")).await;
        let dba = case.server().log_in(&name, "dba", case.name()).await.unwrap();
        case.try_lock_out().await.unwrap();
        assert!(dba.batch_execute("SELECT 1").await.is_err());
    }
}
