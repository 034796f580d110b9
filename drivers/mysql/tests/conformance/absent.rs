//! What `ensure_absent` removes, and what keeps it from doing so.

use driver_api::testkit::killed_after;
use driver_api::{ErrorKind, Presence};
use mysql_async::prelude::Queryable;

use crate::harness::{assert_error, quoted};

rules! {
    async fn absent_when_missing_is_ok(context) {
        let case = context.case("orders");
        case.ensure_absent().await;
        case.ensure_present().await;
        case.ensure_absent().await;
        case.ensure_absent().await;
        case.assert_absent().await;
    }

    async fn ensure_absent_survives_a_crash_at_every_await(context) {
        let mut polls = 1;
        loop {
            let case = context.case(&format!("n{polls}"));
            case.ensure_present().await;
            let victim = case.clone();
            let ended = killed_after(polls, move || async move { victim.ensure_absent().await }).await.unwrap();
            case.ensure_absent().await;
            case.assert_absent().await;
            if ended {
                break;
            }
            polls += 1;
        }
        assert!(polls > 15, "it ended after {polls} polls: was anything interrupted?");
    }

    async fn what_a_crash_of_ensure_present_left_can_be_dropped(context) {
        let mut polls = 1;
        loop {
            let case = context.case(&format!("n{polls}"));
            let victim = case.clone();
            let ended = killed_after(polls, move || async move { victim.ensure_present().await }).await.unwrap();
            case.ensure_absent().await;
            case.assert_absent().await;
            if ended {
                break;
            }
            polls += 1;
        }
    }

    async fn open_sessions_are_ended(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let mut idle = case.tenant().await;
        let mut writing = case.tenant().await;
        writing.query_drop("CREATE TABLE t (i int)").await.unwrap();
        writing.query_drop("BEGIN").await.unwrap();
        writing.query_drop("INSERT INTO t VALUES (1)").await.unwrap();
        let mut superuser = case.server().superuser().await;
        superuser.query_drop(format!("USE {}", quoted(case.name()))).await.unwrap();
        case.ensure_absent().await;
        case.assert_absent().await;
        for session in [&mut idle, &mut writing, &mut superuser] {
            assert!(session.query_drop("SELECT 1").await.is_err(), "the session is ended");
        }
    }

    /// Of the tenant's own objects the accounts are definers too; they go with the database.
    async fn a_definer_in_another_database_is_named_and_stays(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.tenant().await.query_drop("CREATE VIEW v AS SELECT 1 AS one").await.unwrap();
        let elsewhere = format!("{}_elsewhere", context.prefix);
        case.run(&format!("CREATE DATABASE {elsewhere};\n\
            CREATE DEFINER = {{a}} SQL SECURITY DEFINER VIEW {elsewhere}.v AS SELECT 1 AS one")).await;
        let error = case.try_ensure_absent().await.unwrap_err();
        assert_error(&error, ErrorKind::InUse, &[&case.target.active_login, "definer", &elsewhere]);
        assert!(matches!(case.observe().await, Presence::Ours { database: false, .. }));
        case.run(&format!("DROP VIEW {elsewhere}.v")).await;
        case.ensure_absent().await;
        case.assert_absent().await;
    }

    /// They outlive the database, and would be rights on the next one of that name.
    async fn rights_of_others_on_the_name_go_with_it(context) {
        let case = context.case("orders");
        let other = format!("{}_reporting", context.prefix);
        case.ensure_present().await;
        case.tenant().await.query_drop("CREATE TABLE t (i int)").await.unwrap();
        case.run(&format!("CREATE USER {other};\nGRANT SELECT ON {{on}} TO {other} WITH GRANT OPTION;\n\
            GRANT SELECT ON {{db}}.t TO {other};\nGRANT SELECT ON `{}\\_ord%`.* TO {other}", context.prefix)).await;
        case.ensure_absent().await;
        case.assert_absent().await;
        let left = case.server().text(&format!("SELECT Db FROM mysql.db WHERE User = '{other}'")).await;
        assert!(left.contains("ord%") && !left.contains("orders"), "{left}");
        let left = case.server().text(&format!("SELECT Db FROM mysql.tables_priv WHERE User = '{other}'")).await;
        assert_eq!(left, "");
        // Somebody may give such a right before there is a database.
        case.run(&format!("GRANT SELECT ON {{on}} TO {other}")).await;
        case.assert_refused(ErrorKind::InUse, &[&other, "REVOKE"]).await;
        case.assert_absent().await;
    }

    async fn a_prepared_transaction_is_named(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let mut tenant = case.tenant().await;
        let xid = format!("{}_xid", context.prefix);
        for sql in ["CREATE TABLE t (i int) ENGINE = InnoDB", &format!("XA START '{xid}'"), "INSERT INTO t VALUES (1)",
                    &format!("XA END '{xid}'"), &format!("XA PREPARE '{xid}'")] {
            tenant.query_drop(sql).await.unwrap();
        }
        let error = case.try_ensure_absent().await.unwrap_err();
        assert_error(&error, ErrorKind::InUse, &["XA", case.name()]);
        case.run(&format!("XA ROLLBACK '{xid}'")).await;
        case.ensure_absent().await;
        case.assert_absent().await;
    }
}
