//! Dumps and loads that something disturbs.

use db_operator_driver_postgresql::PostgresqlDriver;
use driver_api::dump::Source;
use driver_api::testkit::{GatedSink, MemoryDump, MemorySink, killed_after};
use driver_api::{Driver, ErrorKind, Result};

use crate::dump::assert_same;
use crate::harness::{Case, assert_error};

async fn rows(case: &Case, count: u32) {
    let sql = format!(
        "CREATE TABLE t AS SELECT i, repeat('x', 100) AS s FROM generate_series(1, {count}) i; CREATE TABLE u (i int)"
    );
    case.tenant().await.batch_execute(&sql).await.unwrap();
}

/// Does `meanwhile` in the middle of a dump, after the snapshot and before the rows.
async fn dump_with<F: Future<Output = ()>>(case: &Case, meanwhile: impl FnOnce() -> F) -> Result<MemoryDump> {
    let gate = GatedSink::before("schema-before-data.sql");
    let mut session = case.session().await;
    let dump = Box::pin(PostgresqlDriver.dump(&mut session, &case.target, &gate));
    let beside = async {
        gate.is_reached().await;
        meanwhile().await;
        gate.let_through();
    };
    let (description, ()) = tokio::join!(dump, beside);
    gate.complete(description?)
}

fn count(dump: &impl Source, name: &str) -> Option<u64> {
    dump.streams().iter().find(|stream| stream.info.name == name)?.rows
}

rules! {
    async fn what_is_committed_after_the_snapshot_is_not_in_it(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        rows(&case, 1000).await;
        let tenant = case.tenant().await;
        let dump = dump_with(&case, || async {
            tenant.batch_execute("INSERT INTO t SELECT * FROM t; UPDATE t SET i = i + 1; CREATE TABLE late (i int)").await.unwrap();
        }).await.unwrap();
        assert_eq!(count(&dump, "table public.t"), Some(1000));
        assert_eq!(count(&dump, "table public.late"), None);
        let clone = context.case("the_clone");
        clone.restore(&dump).await;
        let first = "SELECT min(i) || ' ' || max(i) || ' ' || count(*) FROM t";
        assert_eq!(clone.server().text(clone.name(), first).await.unwrap(), "1 1000 1000");
    }

    /// They wait for the dump, and the dump does not wait for them.
    async fn what_would_empty_or_drop_a_table_waits(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        rows(&case, 1000).await;
        let (truncate, drop) = (case.tenant().await, case.tenant().await);
        let mut waiting = Vec::new();
        let dump = dump_with(&case, || async {
            waiting.push(tokio::spawn(async move { truncate.batch_execute("TRUNCATE t").await }));
            waiting.push(tokio::spawn(async move { drop.batch_execute("DROP TABLE u").await }));
            case.assert_waiting(2).await;
            // A statement of ours that waited for one of them would fail in ten seconds.
        }).await.unwrap();
        assert_eq!((count(&dump, "table public.t"), count(&dump, "table public.u")), (Some(1000), Some(0)));
        for waited in waiting {
            waited.await.unwrap().unwrap();
        }
        let left = "SELECT count(*) || ' ' || coalesce(to_regclass('u')::text, 'gone') FROM t";
        assert_eq!(case.server().text(case.name(), left).await.unwrap(), "0 gone");
    }

    async fn tables_that_come_and_go_do_not_disturb(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        rows(&case, 10).await;
        case.tenant().await.batch_execute("CREATE TABLE churn AS SELECT 1 AS i").await.unwrap();
        for _ in 0..3 {
            let tenant = case.tenant().await;
            tenant.batch_execute("BEGIN; DROP TABLE churn").await.unwrap();
            let change = async {
                // The dump has seen the table, and wants its lock.
                case.assert_waiting(1).await;
                tenant.batch_execute("COMMIT; CREATE TABLE churn AS SELECT 1 AS i").await.unwrap();
            };
            let (dump, ()) = tokio::join!(case.dump(), change);
            assert!(matches!(count(&dump, "table public.churn"), None | Some(1)));
        }
    }

    async fn a_broken_store_fails_the_dump_and_leaves_no_session(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        rows(&case, 100_000).await;
        for room in [0, 100, 3000, 1 << 20] {
            let error = case.try_dump(&MemorySink::that_breaks_after(room)).await.unwrap_err();
            assert_error(&error, ErrorKind::StorageUnreachable, &["as it was asked to"]);
            case.assert_no_session().await;
        }
    }

    async fn a_table_of_somebody_else_is_named(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.run(case.name(), "CREATE TABLE public.hidden (i int)").await;
        let error = case.try_dump(&MemorySink::default()).await.unwrap_err();
        assert_error(&error, ErrorKind::InsufficientPrivilege, &["hidden", "group role"]);
        case.run(case.name(), "ALTER TABLE public.hidden OWNER TO {rw}").await;
        case.dump().await;
        // Its owner sees only what a policy shows.
        case.run(case.name(), "INSERT INTO hidden VALUES (1); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;\nALTER TABLE hidden FORCE ROW LEVEL SECURITY").await;
        let error = case.try_dump(&MemorySink::default()).await.unwrap_err();
        assert_error(&error, ErrorKind::InsufficientPrivilege, &["hidden", "row-level security"]);
        case.assert_no_session().await;
    }

    async fn a_connection_that_ends_is_an_error(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        rows(&case, 200_000).await;
        let end = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'db-operator'";
        let error = dump_with(&case, || async {
            let ended = case.server().text(case.name(), end).await.unwrap();
            // The programs may have written all and be gone.
            assert!(matches!(ended.as_str(), "2" | "3" | "4"), "{ended}");
        }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{}", error.chain());
        assert!(!error.chain().contains(&case.server().password), "{}", error.chain());
        case.assert_no_session().await;
    }

    async fn a_load_that_is_killed_does_not_stop_the_next(context) {
        let (case, clone) = (context.case("orders"), context.case("the_clone"));
        case.ensure_present().await;
        case.fill_with_everything().await;
        let dump = case.dump().await;
        for polls in [5, 20, 60, 150] {
            clone.ensure_present().await;
            let (killed, dump) = (clone.clone(), dump.clone());
            killed_after(polls, move || async move { killed.try_load(&dump).await.unwrap() }).await.unwrap();
            clone.ensure_absent().await;
        }
        clone.restore(&dump).await;
        assert_same(&case.picture(), &clone.picture());
    }

    async fn a_load_counts_the_rows(context) {
        let (case, clone) = (context.case("orders"), context.case("the_clone"));
        case.ensure_present().await;
        rows(&case, 1000).await;
        let dump = case.dump().await;
        let short = Short(&dump);
        clone.ensure_present().await;
        let mut session = clone.session().await;
        let error = PostgresqlDriver.load(&mut session, &clone.target, &short).await.unwrap_err();
        assert_error(&error, ErrorKind::BackupDamaged, &["table public.t", "999 rows", "1000"]);
    }

    async fn a_connection_limit_leaves_one_session_to_the_load(context) {
        let (case, clone) = (context.case("orders"), context.case("the_clone"));
        case.ensure_present().await;
        rows(&case, 1000).await;
        let clone = clone.with_parameters(serde_json::json!({"connectionLimit": 1}));
        clone.restore(&case.dump().await).await;
        assert_same(&case.picture(), &clone.picture());
    }
}

/// A dump whose table `t` has lost its last row.
struct Short<'a>(&'a MemoryDump);

impl Source for Short<'_> {
    type Reader = ShortReader;

    fn description(&self) -> &driver_api::dump::Description {
        self.0.description()
    }

    fn streams(&self) -> &[driver_api::dump::Stream] {
        self.0.streams()
    }

    async fn open(&self, name: &str) -> Result<ShortReader> {
        let mut text = self.0.bytes(name).unwrap().to_vec();
        if name == "table public.t" {
            text.pop();
            let end = text.iter().rposition(|byte| *byte == b'\n').unwrap();
            text.truncate(end + 1);
        }
        Ok(ShortReader(Some(text)))
    }
}

struct ShortReader(Option<Vec<u8>>);

impl driver_api::dump::Reader for ShortReader {
    async fn read(&mut self) -> Result<Option<bytes::Bytes>> {
        Ok(self.0.take().filter(|text| !text.is_empty()).map(Into::into))
    }
}
