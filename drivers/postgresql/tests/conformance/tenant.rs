//! What a tenant can do, and what it cannot.

use driver_api::Presence;
use tokio_postgres::Client;

use crate::harness::PASSWORD;

async fn refused(client: &Client, sql: &str) {
    let error = client.batch_execute(sql).await.expect_err(sql);
    let code = error.code().map(|code| code.code().to_owned());
    assert!(matches!(code.as_deref(), Some("42501" | "55006")), "{sql}: {error:?}");
}

rules! {
    async fn a_login_sees_only_its_own(context) {
        let case = context.case("orders");
        let other = context.case("bills");
        case.ensure_present().await;
        other.ensure_present().await;
        let entered = case.server().log_in(&case.target.active_login, PASSWORD, other.name()).await;
        assert_eq!(entered.unwrap_err().code().unwrap().code(), "42501", "no way into another's database");
        let standby = case.server().log_in(&case.target.standby_login, PASSWORD, case.name()).await;
        assert!(matches!(standby.unwrap_err().code().unwrap().code(), "28000" | "28P01"));
        let tenant = case.tenant().await;
        for sql in ["ALTER DATABASE {db} IS_TEMPLATE true", "ALTER DATABASE {db} SET search_path = x",
                    "ALTER DATABASE {db} ALLOW_CONNECTIONS false", "ALTER DATABASE {db} CONNECTION LIMIT 1",
                    "ALTER DATABASE {db} RENAME TO stolen", "COMMENT ON DATABASE {db} IS 'mine'",
                    "GRANT CONNECT ON DATABASE {db} TO PUBLIC", "DROP DATABASE {db}", "SET ROLE {own}",
                    "CREATE ROLE r", "CREATE DATABASE d", "ALTER ROLE {b} LOGIN", "COMMENT ON ROLE {a} IS 'mine'",
                    "GRANT {rw} TO pg_monitor", "SELECT * FROM pg_authid"] {
            let sql = case.fill(sql);
            match tenant.batch_execute(&sql).await {
                // Without the right to grant, the server only warns before some versions.
                Ok(()) => assert!(sql.starts_with("GRANT CONNECT"), "{sql} went through"),
                Err(error) => assert!(matches!(error.code().unwrap().code(), "42501" | "55006"), "{sql}: {error:?}"),
            }
        }
        refused(&tenant, &other.fill("DROP DATABASE {db}")).await;
        refused(&tenant, &other.fill("SET ROLE {rw}")).await;
        case.assert_complete().await;
    }

    async fn a_tenant_can_work(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.tenant().await.batch_execute(
            "CREATE TABLE t (i int); CREATE SCHEMA s; CREATE TABLE s.t (i int); CREATE TEMPORARY TABLE x (i int); \
             CREATE EXTENSION pgcrypto; SELECT digest('x', 'sha256')").await.unwrap();
    }

    async fn both_logins_share_all_objects(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.tenant().await.batch_execute("CREATE TABLE t AS SELECT 1 AS i; CREATE SCHEMA s").await.unwrap();
        case.run("postgres", "ALTER ROLE {b} LOGIN PASSWORD 'standby'").await;
        let standby = case.server().log_in(&case.target.standby_login, "standby", case.name()).await.unwrap();
        standby.batch_execute("INSERT INTO t VALUES (2); ALTER TABLE t ADD j int; DROP SCHEMA s").await.unwrap();
    }

    /// Settings that would break our session or have it run the tenant's code, and the code itself.
    async fn hostile_settings_and_objects_do_not_reach_us(context) {
        let case = context.case("orders").with_parameters(serde_json::json!({"schemas": ["app"]}));
        case.ensure_present().await;
        let tenant = case.tenant().await;
        tenant.batch_execute(
            "CREATE SCHEMA evil; CREATE TABLE evil.seen (who text); GRANT ALL ON SCHEMA evil TO PUBLIC; \
             GRANT ALL ON evil.seen TO PUBLIC; \
             CREATE FUNCTION evil.pg_get_userbyid(oid) RETURNS name LANGUAGE sql AS \
               'INSERT INTO evil.seen VALUES (current_user) RETURNING ''x''::name'; \
             CREATE FUNCTION evil.has_schema_privilege(name, oid, text) RETURNS bool LANGUAGE sql AS \
               'INSERT INTO evil.seen VALUES (current_user) RETURNING false'; \
             CREATE FUNCTION evil.eq(name, text) RETURNS bool LANGUAGE sql AS \
               'INSERT INTO evil.seen VALUES (current_user) RETURNING false'; \
             CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.eq); \
             CREATE TABLE evil.pg_namespace (oid oid, nspname name, nspowner oid); \
             CREATE TABLE evil.pg_extension (x int)").await.unwrap();
        let settings = ["search_path = evil, pg_catalog", "statement_timeout = 1", "lock_timeout = 1",
            "default_transaction_read_only = on", "idle_in_transaction_session_timeout = 1", "row_security = on"];
        for setting in settings {
            // The tenant can do this to its own login, and an owner to its database.
            tenant.batch_execute(&case.fill(&format!("SET ROLE NONE; ALTER ROLE {{a}} SET {setting}"))).await.unwrap();
            case.run("postgres", &format!("ALTER DATABASE {{db}} SET {setting}")).await;
        }
        case.assert_complete().await;
        case.run(case.name(), "ALTER SCHEMA app OWNER TO CURRENT_USER").await;
        case.ensure_present().await;
        case.assert_complete().await;
        let seen = format!("SELECT string_agg(who, ', ') FROM evil.seen WHERE who <> '{}_rw'", case.name());
        assert_eq!(case.server().text(case.name(), &seen).await, None, "the tenant's code ran as somebody else");
        drop(tenant);
        case.ensure_absent().await;
        assert_eq!(case.observe().await, Presence::Absent);
    }

    /// A tenant may drop schema `public`, which it owns; we do not bring it back.
    async fn a_tenant_may_drop_public(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.tenant().await.batch_execute("DROP SCHEMA public").await.unwrap();
        case.assert_complete().await;
        case.ensure_present().await;
        case.assert_complete().await;
    }
}
