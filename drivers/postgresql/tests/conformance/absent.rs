//! What `ensure_absent` removes, and what keeps it from doing so.

use driver_api::testkit::killed_after;
use driver_api::{ErrorKind, Presence};

use crate::harness::assert_error;

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
        assert!(polls > 5, "it ended after {polls} polls: was anything interrupted?");
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

    async fn open_sessions_flags_and_limits_do_not_keep_a_database(context) {
        for (label, sql) in [
            ("template", "ALTER DATABASE {db} IS_TEMPLATE true"),
            ("shut", "ALTER DATABASE {db} ALLOW_CONNECTIONS false"),
            ("limit", "ALTER DATABASE {db} CONNECTION LIMIT 0"),
        ] {
            let case = context.case(label);
            case.ensure_present().await;
            let tenant = case.tenant().await;
            case.run("postgres", sql).await;
            case.ensure_absent().await;
            case.assert_absent().await;
            assert!(tenant.batch_execute("SELECT 1").await.is_err(), "the session is ended");
        }
    }

    async fn an_interrupted_drop_is_finished_and_never_used(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        // What DROP DATABASE itself does first, since 13.12, 14.9 and 15.4.
        let invalid = format!("UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{}'", case.name());
        case.run("postgres", &invalid).await;
        let differences = case.differences().await;
        assert!(differences.iter().any(|text| text.contains("interrupted DROP DATABASE")), "{differences:?}");
        case.assert_refused(ErrorKind::DatabaseMissing, &["interrupted DROP DATABASE", case.name()]).await;
        case.ensure_absent().await;
        case.assert_absent().await;
    }

    /// If the server allows none, there is none that could be in the way.
    async fn a_prepared_transaction_is_named(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let tenant = case.tenant().await;
        tenant.batch_execute("BEGIN; CREATE TABLE t (i int)").await.unwrap();
        let prepared = tenant.batch_execute(&format!("PREPARE TRANSACTION '{} gid'", case.name())).await;
        let allowed = case.server().text("postgres", "SELECT current_setting('max_prepared_transactions')").await;
        if allowed.as_deref() == Some("0") {
            assert_eq!(prepared.unwrap_err().code().unwrap().code(), "55000");
        } else {
            prepared.unwrap();
            let error = case.try_ensure_absent().await.unwrap_err();
            assert_error(&error, ErrorKind::InUse, &["prepared transaction", &format!("{} gid", case.name())]);
            assert!(matches!(case.observe().await, Presence::Ours { database: true, .. }));
            case.run(case.name(), &format!("ROLLBACK PREPARED '{} gid'", case.name())).await;
        }
        case.ensure_absent().await;
        case.assert_absent().await;
    }

    async fn a_subscription_is_named(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.run(case.name(), "CREATE SUBSCRIPTION {db} CONNECTION 'host=127.0.0.1' PUBLICATION p \
            WITH (connect = false, slot_name = NONE)").await;
        let error = case.try_ensure_absent().await.unwrap_err();
        assert_error(&error, ErrorKind::InUse, &["subscription", case.name()]);
        case.run(case.name(), "DROP SUBSCRIPTION {db}").await;
        case.ensure_absent().await;
        case.assert_absent().await;
    }

    async fn what_the_roles_have_elsewhere_is_named_and_stays(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let elsewhere = format!("{}_elsewhere", context.prefix);
        case.run("postgres", &format!("CREATE DATABASE {elsewhere}")).await;
        case.run(&elsewhere, "CREATE TABLE theirs AS SELECT 1 AS one;\nGRANT SELECT ON theirs TO {rw};\n\
            CREATE TABLE ours (i int);\nALTER TABLE ours OWNER TO {a}").await;
        let error = case.try_ensure_absent().await.unwrap_err();
        let (active, group) = (&case.target.active_login, format!("{}_rw", case.name()));
        assert_error(&error, ErrorKind::InUse, &[active, &group, &elsewhere, "owns 1 pg_class", "has rights on 1"]);
        let rows = case.server().text(&elsewhere, "SELECT count(*)::text FROM theirs").await;
        assert_eq!(rows.as_deref(), Some("1"));
        case.run(&elsewhere, "DROP TABLE ours;\nREVOKE ALL ON theirs FROM {rw}").await;
        case.ensure_absent().await;
        case.assert_absent().await;
    }
}
