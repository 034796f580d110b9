//! What `ensure_present` makes and repairs.

use db_operator_driver_mysql::MysqlDriver;
use driver_api::testkit::killed_after;
use driver_api::{Driver, ErrorKind, Login, Presence, Secret};
use mysql_async::prelude::Queryable;

use crate::harness::{PASSWORD, code};

rules! {
    async fn a_created_database_is_observed_complete(context) {
        let case = context.case("orders");
        case.assert_absent().await;
        assert_eq!(case.observe().await, Presence::Absent);
        case.ensure_present().await;
        case.assert_complete().await;
        let mut session = case.session().await;
        let presence = MysqlDriver.observe(&mut session, &case.target, None).await.unwrap();
        assert!(matches!(presence, Presence::Ours { database: true, .. }), "{presence:?}");
    }

    async fn ensure_present_again_writes_nothing(context) {
        let case = context.case("orders").with_parameters(serde_json::json!({
            "characterSet": "utf8mb4", "collation": "utf8mb4_unicode_ci", "connectionLimit": 20}));
        case.ensure_present().await;
        let before = case.snapshot().await;
        case.ensure_present().await;
        case.assert_complete().await;
        assert_eq!(case.snapshot().await, before);
    }

    async fn ensure_present_survives_a_crash_at_every_await(context) {
        let mut polls = 1;
        loop {
            let case = context.case(&format!("n{polls}"));
            let victim = case.clone();
            let ended = killed_after(polls, move || async move { victim.ensure_present().await }).await.unwrap();
            case.ensure_present().await;
            case.assert_complete().await;
            case.ensure_absent().await;
            case.assert_absent().await;
            if ended {
                break;
            }
            polls += 1;
        }
        assert!(polls > 20, "it ended after {polls} polls: was anything interrupted?");
    }

    async fn drift_of_every_kind_is_repaired_and_no_row_is_lost(context) {
        let case = context.case("orders").with_parameters(serde_json::json!({"connectionLimit": 50}));
        case.ensure_present().await;
        case.tenant().await.query_drop("CREATE TABLE kept AS SELECT 42 AS answer").await.unwrap();
        for drift in [
            "ALTER USER {a} ACCOUNT LOCK",
            "ALTER USER {b} ACCOUNT UNLOCK",
            "ALTER USER {a} IDENTIFIED BY 'changed'",
            "ALTER USER {a} PASSWORD EXPIRE",
            "ALTER USER {a} WITH MAX_USER_CONNECTIONS 3",
            "ALTER USER {b} WITH MAX_USER_CONNECTIONS 0",
            "ALTER USER {a} WITH MAX_QUERIES_PER_HOUR 100000",
            "REVOKE SELECT ON {on} FROM {a}",
            "REVOKE DROP, EVENT ON {on} FROM {b}",
            "REVOKE ALL PRIVILEGES, GRANT OPTION FROM {a}",
            "GRANT SELECT ON {on} TO {a} WITH GRANT OPTION",
            "GRANT SELECT ON {db}.* TO {a}",
            "GRANT SELECT ON *.* TO {a}",
            "GRANT ALL ON *.* TO {b}",
            "DROP USER {a}",
            "DROP USER {b}",
            "DROP USER {a}, {b}",
        ] {
            case.run(drift).await;
            let differences = case.differences().await;
            assert!(!differences.is_empty(), "{drift} is not seen");
            let repaired = case.try_ensure_present().await;
            repaired.unwrap_or_else(|error| panic!("{drift}: {}", error.chain()));
            let left = case.differences().await;
            assert!(left.is_empty(), "{drift} is not repaired: {left:?}");
        }
        let answer: Option<i32> = case.tenant().await.query_first("SELECT answer FROM kept").await.unwrap();
        assert_eq!(answer, Some(42));
    }

    async fn a_new_password_replaces_the_old(context) {
        let mut case = context.case("orders");
        case.ensure_present().await;
        case.desired.login = Login::new(&case.target.active_login, Secret::new("another"));
        let differences = case.differences().await;
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert!(differences[0].contains("does not log in with its password"), "{differences:?}");
        case.ensure_present().await;
        case.assert_complete().await;
        case.tenant().await;
        let old = case.server().log_in(&case.target.active_login, PASSWORD, None).await;
        assert_eq!(code(&old.unwrap_err()), 1045);
    }

    async fn hostile_names_are_only_names(context) {
        for (label, name) in [
            ("quotes", "a\"b'c\"\"''"),
            ("backticks", "a`b``c`"),
            ("statement", "x`; DROP DATABASE mysql; --"),
            ("backslash", "a\\'b\\\"c\\"),
            ("wildcards", "%_%\\_%"),
            ("format", "%s?:\n\t{db}"),
            ("unicode", "ünïcødé\u{202e}"),
            ("keyword", "SELECT"),
            ("path", "../../a.b/c"),
            ("at", "a@b@%"),
            ("longest", &"n".repeat(48 - context.prefix.len() - 1)),
        ] {
            let case = context.case(name);
            case.try_ensure_present().await.unwrap_or_else(|error| panic!("{label}: {}", error.chain()));
            case.assert_complete().await;
            case.tenant().await.query_drop("CREATE TABLE t (i int)").await.unwrap();
            case.ensure_absent().await;
            case.assert_absent().await;
        }
        let long = context.case(&"n".repeat(65));
        assert_eq!(long.connect().await.unwrap_err().kind(), ErrorKind::Invalid);
    }

    async fn neighbours_are_untouched(context) {
        let neighbour = context.case("orders_a");
        neighbour.ensure_present().await;
        let before = neighbour.snapshot().await;
        let case = context.case("orders");
        case.ensure_present().await;
        case.ensure_absent().await;
        case.assert_absent().await;
        neighbour.assert_complete().await;
        assert_eq!(neighbour.snapshot().await, before);
    }
}
