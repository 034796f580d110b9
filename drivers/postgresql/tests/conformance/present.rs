//! What `ensure_present` makes and repairs.

use db_operator_driver_postgresql::PostgresqlDriver;
use driver_api::testkit::killed_after;
use driver_api::{Driver, ErrorKind, Login, Presence, Secret};

use crate::harness::PASSWORD;

rules! {
    async fn a_created_database_is_observed_complete(context) {
        let case = context.case("orders");
        case.assert_absent().await;
        assert_eq!(case.observe().await, Presence::Absent);
        case.ensure_present().await;
        case.assert_complete().await;
        let mut session = case.session().await;
        let presence = PostgresqlDriver.observe(&mut session, &case.target, None).await.unwrap();
        assert!(matches!(presence, Presence::Ours { database: true, .. }), "{presence:?}");
    }

    async fn ensure_present_again_writes_nothing(context) {
        let case = context.case("orders").with_parameters(serde_json::json!({
            "extensions": ["pgcrypto"], "schemas": ["app"], "encoding": "utf-8", "connectionLimit": 20}));
        case.ensure_present().await;
        let before = case.snapshot().await;
        assert!(before.contains("SCRAM-SHA-256"), "{before}");
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
        assert!(polls > 10, "it ended after {polls} polls: was anything interrupted?");
    }

    /// A crash between CREATE DATABASE and COMMENT leaves a database without mark that takes no sessions. It is
    /// ours by its owner.
    async fn an_unmarked_database_of_our_owner_role_is_ours_before_it_opens(context) {
        let case = context.case("orders");
        let as_created = "COMMENT ON DATABASE {db} IS NULL;\nALTER DATABASE {db} ALLOW_CONNECTIONS false";
        case.ensure_present().await;
        case.run("postgres", as_created).await;
        assert_eq!(case.differences().await, ["the database's mark is missing", "the database takes no sessions"]);
        case.ensure_present().await;
        case.assert_complete().await;
        case.run("postgres", as_created).await;
        case.ensure_absent().await;
        case.assert_absent().await;
    }

    async fn drift_of_every_kind_is_repaired_and_no_row_is_lost(context) {
        let case = context.case("orders").with_parameters(serde_json::json!({
            "extensions": [{"name": "pgcrypto", "schema": "app"}], "schemas": ["app"], "connectionLimit": 50}));
        case.ensure_present().await;
        case.tenant().await.batch_execute("CREATE TABLE kept AS SELECT 42 AS answer").await.unwrap();
        let shared = [
            "REVOKE CONNECT ON DATABASE {db} FROM {rw}",
            "REVOKE CREATE ON DATABASE {db} FROM {rw}",
            "REVOKE TEMPORARY ON DATABASE {db} FROM {rw}",
            "GRANT CONNECT ON DATABASE {db} TO PUBLIC",
            "GRANT TEMPORARY ON DATABASE {db} TO PUBLIC",
            "ALTER DATABASE {db} OWNER TO CURRENT_USER",
            "ALTER DATABASE {db} IS_TEMPLATE true",
            "ALTER DATABASE {db} ALLOW_CONNECTIONS false",
            "ALTER DATABASE {db} CONNECTION LIMIT 3",
            "COMMENT ON DATABASE {db} IS NULL;\nALTER DATABASE {db} ALLOW_CONNECTIONS false",
            "ALTER ROLE {a} NOLOGIN",
            "ALTER ROLE {a} PASSWORD 'changed'",
            "ALTER ROLE {a} PASSWORD NULL",
            "ALTER ROLE {a} VALID UNTIL '2001-01-01'",
            "ALTER ROLE {a} CONNECTION LIMIT 0",
            "ALTER ROLE {a} NOINHERIT",
            "ALTER ROLE {a} SUPERUSER",
            "ALTER ROLE {a} CREATEDB",
            "ALTER ROLE {a} CREATEROLE",
            "ALTER ROLE {rw} REPLICATION",
            "ALTER ROLE {rw} BYPASSRLS",
            "ALTER ROLE {rw} LOGIN",
            "ALTER ROLE {own} LOGIN",
            "ALTER ROLE {b} LOGIN",
            "ALTER ROLE {a} RESET role",
            "ALTER ROLE {a} SET role = none",
            "ALTER ROLE {a} IN DATABASE {db} SET role = none",
            "ALTER ROLE {b} RESET ALL",
            "REVOKE {rw} FROM {a}",
            "REVOKE {rw} FROM {b}",
            "GRANT {own} TO {a}",
            "GRANT {own} TO {rw}",
            "DROP ROLE {a}",
            "DROP ROLE {b}",
        ];
        let inside = [
            "ALTER SCHEMA public OWNER TO CURRENT_USER",
            "ALTER SCHEMA app OWNER TO CURRENT_USER",
            "DROP EXTENSION pgcrypto",
            "ALTER EXTENSION pgcrypto SET SCHEMA public",
            "DROP SCHEMA app CASCADE",
        ];
        let name = case.name().to_owned();
        let all = shared.map(|sql| ("postgres", sql)).into_iter()
            .chain(inside.map(|sql| (name.as_str(), sql)));
        for (database, drift) in all {
            case.run(database, drift).await;
            let differences = case.differences().await;
            assert!(!differences.is_empty(), "{drift} is not seen");
            let repaired = case.try_ensure_present().await;
            repaired.unwrap_or_else(|error| panic!("{drift}: {}", error.chain()));
            let left = case.differences().await;
            assert!(left.is_empty(), "{drift} is not repaired: {left:?}");
        }
        let answer: i32 = case.tenant().await.query_one("SELECT answer FROM kept", &[]).await.unwrap().get(0);
        assert_eq!(answer, 42);
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
        let old = case.server().log_in(&case.target.active_login, PASSWORD, case.name()).await;
        assert_eq!(old.unwrap_err().code().unwrap().code(), "28P01");
    }

    async fn hostile_names_are_only_names(context) {
        for (label, name) in [
            ("quotes", "a\"b'c\"\"''"),
            ("statement", "x\"; DROP DATABASE postgres; --"),
            ("backslash", "a\\'b\\\"c\\"),
            ("format", "%s%I$1{db}\n\t"),
            ("unicode", "ünïcødé\u{202e}"),
            ("keyword", "SELECT"),
            ("longest", &"n".repeat(48 - context.prefix.len() - 1)),
        ] {
            let case = context.case(name).with_parameters(serde_json::json!({"schemas": [name]}));
            case.try_ensure_present().await.unwrap_or_else(|error| panic!("{label}: {}", error.chain()));
            case.assert_complete().await;
            case.ensure_absent().await;
            case.assert_absent().await;
        }
        let long = context.case(&"n".repeat(60));
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
