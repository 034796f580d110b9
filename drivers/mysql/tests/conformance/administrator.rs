//! An administrator with exactly the rights that the README says.

use driver_api::{ErrorKind, Login, Secret};
use mysql_async::prelude::Queryable;

use crate::harness::{Case, Context, PASSWORD, quoted};

const ON_ALL: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, \
    CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER";

/// The same case in the hands of an account with the documented rights.
async fn by(context: &Context, label: &str) -> Case {
    let mut case = context.case(label);
    let admin = format!("{}_{label}_adm", context.prefix);
    let kill = if case.server().is_mariadb() { "CONNECTION ADMIN" } else { "CONNECTION_ADMIN" };
    case.run(&format!(
        "CREATE USER {admin} IDENTIFIED BY 'admin';\nGRANT CREATE USER, PROCESS, {kill} ON *.* TO {admin};\n\
         GRANT SELECT ON mysql.* TO {admin};\nGRANT {ON_ALL} ON *.* TO {admin} WITH GRANT OPTION"
    ))
    .await;
    case.admin.admin = Login::new(admin, Secret::new("admin"));
    case
}

rules! {
    async fn the_documented_rights_suffice_for_the_whole_life(context) {
        let case = by(&context, "orders").await.with_parameters(serde_json::json!({"connectionLimit": 9}));
        case.ensure_present().await;
        case.assert_complete().await;
        let before = case.snapshot().await;
        case.ensure_present().await;
        assert_eq!(case.snapshot().await, before, "nothing is written twice");
        let other = format!("{}_reporting", context.prefix);
        case.run(&format!("CREATE USER {other};\nGRANT SELECT ON {{on}} TO {other}")).await;
        let mut tenant = case.tenant().await;
        tenant.query_drop("CREATE TABLE t (i int)").await.unwrap();
        tenant.query_drop("CREATE VIEW v AS SELECT * FROM t").await.unwrap();
        for drift in ["ALTER USER {a} ACCOUNT LOCK", "ALTER USER {a} IDENTIFIED BY 'x'", "GRANT SUPER ON *.* TO {a}",
                      "REVOKE ALL PRIVILEGES, GRANT OPTION FROM {b}", "DROP USER {b}"] {
            case.run(drift).await;
            assert!(!case.differences().await.is_empty(), "{drift}");
            case.try_ensure_present().await.unwrap_or_else(|error| panic!("{drift}: {}", error.chain()));
            assert_eq!(case.differences().await, Vec::<String>::new(), "{drift}");
        }
        case.try_lock_out().await.unwrap_or_else(|error| panic!("{}", error.chain()));
        assert!(tenant.query_drop("SELECT 1").await.is_err());
        case.ensure_present().await;
        case.assert_complete().await;
        let mut tenant = case.tenant().await;
        case.ensure_absent().await;
        case.assert_absent().await;
        assert!(tenant.query_drop("SELECT 1").await.is_err());
    }

    async fn a_missing_right_is_named_and_nothing_is_changed(context) {
        for (label, taken, on) in [
            ("user", "CREATE USER", "*.*"),
            ("process", "PROCESS", "*.*"),
            ("kill", "CONNECTION_ADMIN", "*.*"),
            ("event", "EVENT", "*.*"),
            ("option", "GRANT OPTION", "*.*"),
        ] {
            let case = by(&context, label).await;
            let admin = quoted(&case.admin.admin.username);
            let taken = if case.server().is_mariadb() { taken.replace("N_A", "N A") } else { taken.to_owned() };
            case.run(&format!("REVOKE {taken} ON {on} FROM {admin}")).await;
            let named = if taken == "GRANT OPTION" { "WITH GRANT OPTION" } else { &taken };
            case.assert_refused(ErrorKind::InsufficientPrivilege, &["GRANT", named, &admin]).await;
            case.assert_absent().await;
        }
    }

    /// What the server itself would show to whoever reads its log.
    async fn no_password_reaches_the_servers_log(context) {
        let mut case = by(&context, "orders").await;
        case.run("SET GLOBAL general_log = ON").await;
        case.ensure_present().await;
        case.desired.login = Login::new(&case.target.active_login, Secret::new("another-secret"));
        case.ensure_present().await;
        case.assert_complete().await;
        case.ensure_absent().await;
        case.run("SET GLOBAL general_log = OFF").await;
        let mut superuser = case.server().superuser().await;
        let about = format!("SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE argument LIKE '%{}%'",
            case.name().replace('_', "\\_"));
        let seen: Vec<String> = superuser.query(about).await.unwrap();
        assert!(seen.iter().any(|line| line.contains("CREATE USER")), "{seen:?}");
        for secret in [PASSWORD, "it''s", "another-secret"] {
            assert!(!seen.iter().any(|line| line.contains(secret)), "{secret}");
        }
    }
}
