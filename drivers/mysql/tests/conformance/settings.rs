//! Settings of the server as a whole.

use driver_api::ErrorKind;
use mysql_async::prelude::Queryable;

use crate::harness::{assert_error, code, quoted};

rules_alone! {
    /// Settings of the server that would change what a statement means.
    async fn no_sql_mode_of_the_server_changes_what_we_say(context) {
        let mut superuser = context.server.superuser().await;
        let before: Option<String> = superuser.query_first("SELECT @@GLOBAL.sql_mode").await.unwrap();
        superuser.query_drop("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE,PAD_CHAR_TO_FULL_LENGTH'")
            .await.unwrap();
        let case = context.case("a'b\"c\\d_%`e");
        let outcome = case.try_ensure_present().await;
        let differences = case.differences().await;
        let dropped = case.try_ensure_absent().await;
        superuser.query_drop(format!("SET GLOBAL sql_mode = '{}'", before.unwrap())).await.unwrap();
        outcome.unwrap_or_else(|error| panic!("{}", error.chain()));
        assert_eq!(differences, Vec::<String>::new());
        dropped.unwrap_or_else(|error| panic!("{}", error.chain()));
        case.assert_absent().await;
    }

    async fn a_server_that_only_reads_is_refused(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let mut superuser = case.server().superuser().await;
        superuser.query_drop("SET GLOBAL read_only = 1").await.unwrap();
        let outcome = case.connect().await.map(|_| ());
        superuser.query_drop("SET GLOBAL read_only = 0").await.unwrap();
        assert_error(&outcome.unwrap_err(), ErrorKind::Unreachable, &["read_only", "primary"]);
        case.assert_complete().await;
    }

    async fn a_server_without_room_is_unreachable(context) {
        let case = context.case("orders");
        let server = case.server();
        let mut superuser = server.superuser().await;
        let before: Option<u32> = superuser.query_first("SELECT @@GLOBAL.max_connections").await.unwrap();
        superuser.query_drop("SET GLOBAL max_connections = 10").await.unwrap();
        let mut open = Vec::new();
        let full = loop {
            match server.log_in(&server.user, &server.password, None).await {
                Ok(session) => open.push(session),
                Err(error) => break code(&error),
            }
        };
        let outcome = case.connect().await.map(|_| ());
        superuser.query_drop(format!("SET GLOBAL max_connections = {}", before.unwrap())).await.unwrap();
        drop(open);
        assert_eq!(full, 1040);
        assert_error(&outcome.unwrap_err(), ErrorKind::ResourceExhausted, &["1040", "max_connections"]);
    }

    /// Nothing is a wildcard then; an escape would be a part of the name.
    async fn with_partial_revokes_no_name_is_escaped(context) {
        if context.server.is_mariadb() {
            // It has no such setting, and says so.
            let mut superuser = context.server.superuser().await;
            let error = superuser.query_drop("SET GLOBAL partial_revokes = ON").await.unwrap_err();
            assert_eq!(code(&error), 1193);
            return;
        }
        let (one, other) = (context.case("a_b"), context.case("axb"));
        let mut superuser = context.server.superuser().await;
        superuser.query_drop("SET GLOBAL partial_revokes = ON").await.unwrap();
        let mut outcomes = vec![one.try_ensure_present().await, other.try_ensure_present().await];
        let differences = one.differences().await;
        let across = one.tenant().await.query_drop(format!("USE {}", quoted(other.name()))).await;
        superuser.query_drop("SET GLOBAL partial_revokes = OFF").await.unwrap();
        // Now the same grant is one on both databases, until it is put right.
        let drift = one.differences().await;
        outcomes.push(one.try_ensure_present().await);
        let again = one.tenant().await.query_drop(format!("USE {}", quoted(other.name()))).await;
        for outcome in outcomes {
            outcome.unwrap_or_else(|error| panic!("{}", error.chain()));
        }
        assert_eq!(differences, Vec::<String>::new());
        assert_eq!(code(&across.unwrap_err()), 1044);
        assert!(drift.iter().any(|text| text.contains("not its database alone")), "{drift:?}");
        assert_eq!(code(&again.unwrap_err()), 1044);
        one.assert_complete().await;
    }
}
