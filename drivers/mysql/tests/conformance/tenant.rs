//! What a tenant can do, and what it cannot.

use mysql_async::prelude::Queryable;

use crate::harness::{PASSWORD, code, quoted};

rules! {
    /// Wildcards, escaped or not, are where one tenant's grant would be another's.
    async fn no_login_reaches_another_database(context) {
        let labels = ["a_b", "axb", "a%b", "a\\_b", "a\\%b", "a__b", "a", "ab", "%", "_", "\\", "A_B"];
        let cases: Vec<_> = labels.iter().map(|label| context.case(label)).collect();
        for case in &cases {
            case.ensure_present().await;
            case.tenant().await.query_drop("CREATE TABLE t (i int)").await.unwrap();
        }
        for case in &cases {
            let mut tenant = case.tenant().await;
            for other in &cases {
                let table = format!("{}.t", quoted(other.name()));
                let own = case.name() == other.name();
                for sql in [format!("SELECT * FROM {table}"), format!("INSERT INTO {table} VALUES (1)"),
                            format!("USE {}", quoted(other.name()))] {
                    let done = tenant.query_drop(&sql).await;
                    assert_eq!(done.is_ok(), own, "{} by {}: {done:?}", sql, case.name());
                    assert!(done.is_ok() || matches!(done.map_err(|error| code(&error)), Err(1044 | 1142)));
                }
            }
            let shown: Vec<String> = tenant.query("SHOW DATABASES").await.unwrap();
            let seen = shown.iter().filter(|name| name.starts_with(&context.prefix)).count();
            assert_eq!(seen, 1, "{} sees {shown:?}", case.name());
        }
        for case in cases {
            case.assert_complete().await;
            case.ensure_absent().await;
            case.assert_absent().await;
        }
    }

    async fn a_tenant_has_no_other_rights(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let standby = case.server().log_in(&case.target.standby_login, PASSWORD, Some(case.name())).await;
        assert!(matches!(code(&standby.unwrap_err()), 1045 | 3118 | 4151));
        let mut tenant = case.tenant().await;
        for sql in ["SELECT * FROM db_operator.objects", "UPDATE db_operator.objects SET mark = ''", "USE db_operator",
                    "DROP DATABASE db_operator", "SELECT * FROM mysql.user", "CREATE USER x", "CREATE DATABASE x",
                    "ALTER USER {b} ACCOUNT UNLOCK", "GRANT SELECT ON {on} TO {b}", "DROP USER {b}",
                    "SET GLOBAL read_only = 1"] {
            let error = tenant.query_drop(case.fill(sql)).await.expect_err(sql);
            assert!(matches!(code(&error), 1044 | 1142 | 1227 | 1370 | 1211 | 1045 | 1410 | 1049 | 1008), "{sql}: {error}");
        }
        case.assert_complete().await;
    }

    async fn a_tenant_can_work_and_both_logins_share_all_objects(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let mut tenant = case.tenant().await;
        for sql in ["CREATE TABLE t (i int PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM t", "CREATE INDEX x ON t (i)",
                    "CREATE TEMPORARY TABLE tmp (i int)", "CREATE PROCEDURE p() SELECT COUNT(*) FROM t",
                    "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO DELETE FROM t", "LOCK TABLES t WRITE", "UNLOCK TABLES",
                    "CREATE TABLE child (i int, FOREIGN KEY (i) REFERENCES t (i))", "CALL p()", "ALTER TABLE t ADD j int"] {
            tenant.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        case.run("ALTER USER {b} IDENTIFIED BY 'standby' ACCOUNT UNLOCK").await;
        let mut standby = case.server().log_in(&case.target.standby_login, "standby", Some(case.name())).await.unwrap();
        for sql in ["INSERT INTO t VALUES (2, 2)", "SELECT * FROM v", "CALL p()", "DROP EVENT e", "DROP VIEW v",
                    "DROP PROCEDURE p", "ALTER TABLE t DROP j"] {
            standby.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }
}
