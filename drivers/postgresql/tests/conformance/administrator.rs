//! An administrator without superuser.

use driver_api::{ErrorKind, Login, Secret};

use crate::dump::assert_same;
use crate::harness::{Case, Context, assert_error};

/// The same case in the hands of a role with these attributes.
async fn by(context: &Context, label: &str, attributes: &str) -> Case {
    let mut case = context.case(label);
    let admin = format!("{}_{label}_admin", context.prefix);
    case.run("postgres", &format!("CREATE ROLE {admin} LOGIN PASSWORD 'admin' {attributes}")).await;
    case.admin.admin = Login::new(admin, Secret::new("admin"));
    case
}

rules! {
    async fn createrole_and_createdb_suffice_for_the_whole_life(context) {
        let case = by(&context, "orders", "CREATEROLE CREATEDB").await
            .with_parameters(serde_json::json!({"extensions": ["pgcrypto"], "schemas": ["app"], "connectionLimit": 9}));
        case.ensure_present().await;
        case.assert_complete().await;
        let before = case.snapshot().await;
        case.ensure_present().await;
        assert_eq!(case.snapshot().await, before, "nothing is written twice");
        let tenant = case.tenant().await;
        tenant.batch_execute("CREATE TABLE t (i int); CREATE TABLE app.t (i int); CREATE EXTENSION hstore").await.unwrap();
        // From 16 on a membership is per grantor.
        let by = if case.server().version >= 16 { format!(" GRANTED BY {}", case.admin.admin.username) } else { String::new() };
        let revoked = format!("REVOKE {{rw}} FROM {{a}}{by}");
        for drift in ["REVOKE CONNECT ON DATABASE {db} FROM {rw}", "GRANT CONNECT ON DATABASE {db} TO PUBLIC",
                      "ALTER ROLE {a} NOLOGIN", "ALTER ROLE {a} PASSWORD 'x'", "ALTER ROLE {a} RESET role",
                      "ALTER ROLE {a} IN DATABASE {db} SET role = none", "ALTER DATABASE {db} CONNECTION LIMIT 7",
                      "ALTER DATABASE {db} ALLOW_CONNECTIONS false",
                      "COMMENT ON DATABASE {db} IS NULL;\nALTER DATABASE {db} ALLOW_CONNECTIONS false",
                      revoked.as_str(), "DROP ROLE {b}"] {
            case.run("postgres", drift).await;
            assert!(!case.differences().await.is_empty(), "{drift}");
            case.try_ensure_present().await.unwrap_or_else(|error| panic!("{drift}: {}", error.chain()));
            assert_eq!(case.differences().await, Vec::<String>::new(), "{drift}");
        }
        // The tenant's session is still open: to end it needs membership in its role.
        case.run("postgres", "ALTER DATABASE {db} IS_TEMPLATE true").await;
        case.ensure_absent().await;
        case.assert_absent().await;
        assert!(tenant.batch_execute("SELECT 1").await.is_err());
    }

    async fn createrole_and_createdb_suffice_for_backup_and_restore(context) {
        let parameters = serde_json::json!({"extensions": ["pgcrypto", {"name": "hstore", "schema": "public"}]});
        let case = by(&context, "orders", "CREATEROLE CREATEDB").await;
        let clone = by(&context, "the_clone", "CREATEROLE CREATEDB").await.with_parameters(parameters);
        case.ensure_present().await;
        case.tenant().await.batch_execute(
            "CREATE EXTENSION pgcrypto; CREATE EXTENSION hstore; CREATE TABLE t (i serial PRIMARY KEY, h hstore); \
             INSERT INTO t SELECT i, 'a=>1' FROM generate_series(1, 100) i; SELECT lo_from_bytea(0, 'x'); \
             GRANT SELECT ON t TO CURRENT_USER; CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t").await.unwrap();
        let open = case.tenant().await;
        case.try_lock_out().await.unwrap_or_else(|error| panic!("{}", error.chain()));
        assert!(open.batch_execute("SELECT 1").await.is_err());
        let dump = case.dump().await;
        clone.restore(&dump).await;
        assert_same(&case.picture(), &clone.picture());
        case.ensure_present().await;
        case.assert_complete().await;
        clone.assert_complete().await;
        let superuser = case.server().superuser(case.name()).await;
        let error = case.try_lock_out().await.unwrap_err();
        assert_error(&error, ErrorKind::InUse, &["session", &case.server().user, "pg_signal_backend"]);
        drop(superuser);
    }

    async fn a_missing_attribute_is_named(context) {
        for (label, attributes, lacking) in [
            ("none", "", "CREATEROLE CREATEDB"),
            ("createdb", "CREATEDB", "CREATEROLE"),
            ("createrole", "CREATEROLE", "CREATEDB"),
        ] {
            let case = by(&context, label, attributes).await;
            let admin = &case.admin.admin.username;
            let cure = format!("ALTER ROLE \"{admin}\" {lacking}");
            case.assert_refused(ErrorKind::InsufficientPrivilege, &[&cure]).await;
            case.assert_absent().await;
        }
    }

    async fn an_extension_that_needs_a_superuser_is_named(context) {
        let case = by(&context, "orders", "CREATEROLE CREATEDB").await
            .with_parameters(serde_json::json!({"extensions": ["pg_buffercache"]}));
        case.assert_refused(ErrorKind::InsufficientPrivilege, &["extension pg_buffercache", case.name()]).await;
        // Once somebody has created it, all is well.
        case.run(case.name(), "CREATE EXTENSION pg_buffercache").await;
        case.ensure_present().await;
        case.assert_complete().await;
    }

    async fn sessions_of_other_roles_need_a_right_that_is_named(context) {
        let case = by(&context, "orders", "CREATEROLE CREATEDB").await;
        case.ensure_present().await;
        let superuser = case.server().superuser(case.name()).await;
        let error = case.try_ensure_absent().await.unwrap_err();
        assert_error(&error, ErrorKind::InsufficientPrivilege, &[case.name(), "cannot drop database"]);
        drop(superuser);
        let begin = std::time::Instant::now();
        while let Err(error) = case.try_ensure_absent().await {
            assert!(begin.elapsed().as_secs() < 20, "{}", error.chain());
        }
        case.assert_absent().await;
    }

    /// The server would hash a clear password its own way; what it stores as it came was a verifier. The log
    /// itself is searched by the cluster's tests.
    async fn the_server_never_sees_the_password(context) {
        let case = by(&context, "orders", "CREATEROLE CREATEDB").await;
        let admin = &case.admin.admin.username;
        case.run("postgres", &format!("ALTER ROLE {admin} SET password_encryption = md5")).await;
        case.ensure_present().await;
        let query = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{}'", case.target.active_login);
        for change in ["ALTER ROLE {a} RESET role", "ALTER ROLE {a} PASSWORD 'x'", "DROP ROLE {a}"] {
            let stored = case.server().text("postgres", &query).await.unwrap();
            assert!(stored.starts_with("SCRAM-SHA-256$4096:"), "{stored}");
            case.run("postgres", change).await;
            case.ensure_present().await;
        }
        case.assert_complete().await;
    }
}
