//! What is not ours is never adopted, changed or removed.

use driver_api::{ErrorKind, Mark, Presence, Target};

use crate::harness::{Case, assert_error};

/// Whatever the driver is asked, the foreign things stay as they are.
async fn assert_left_alone(case: &Case, named: &str) {
    let before = case.snapshot().await;
    let Presence::Foreign { what } = case.observe().await else { panic!("it is foreign") };
    assert!(what.contains(named), "{what}");
    case.assert_refused(ErrorKind::NameTaken, &[named]).await;
    assert_eq!(case.snapshot().await, before);
    case.ensure_absent().await;
    assert_eq!(case.snapshot().await, before);
}

/// What a run leaves that dies after it has written down what it is about to create.
async fn intend(case: &Case, kind: &str, name: &str) {
    let probe = case.context.case("probe");
    // So that the registry exists.
    probe.ensure_present().await;
    probe.ensure_absent().await;
    case.run(&format!(
        "REPLACE INTO db_operator.objects (kind, name, mark, confirmed, proof) VALUES ('{kind}', '{name}', '{}', 0, 'x')",
        case.target.mark
    ))
    .await;
}

rules! {
    async fn a_database_without_mark_is_left_alone(context) {
        let case = context.case("orders");
        case.run("CREATE DATABASE {db}").await;
        assert_left_alone(&case, &format!("database {}", case.name())).await;
    }

    async fn an_account_without_mark_is_left_alone(context) {
        for account in ["{a}", "{b}"] {
            let case = context.case(&format!("x{}", &account[1..2]));
            case.run(&format!("CREATE USER {account} IDENTIFIED BY 'theirs'")).await;
            assert_left_alone(&case, "account").await;
        }
    }

    async fn what_carries_another_mark_is_left_alone(context) {
        let theirs = context.case("orders");
        theirs.ensure_present().await;
        for mark in [Mark::new("test-cluster", "another uid"),
                     Mark::new("another-cluster", format!("uid-{}", theirs.name()))] {
            let mut case = theirs.clone();
            case.target = Target::new(theirs.name(), mark, 32);
            assert_left_alone(&case, "with another mark").await;
        }
        theirs.assert_complete().await;
    }

    /// A run died, and an administrator creates a database of that name and begins to use it.
    async fn an_intent_does_not_make_a_database_ours(context) {
        for (label, sql) in [
            ("table", "CREATE DATABASE {db};\nCREATE TABLE {db}.t (i int)"),
            ("view", "CREATE DATABASE {db};\nCREATE VIEW {db}.v AS SELECT 1 AS one"),
            ("routine", "CREATE DATABASE {db};\nCREATE PROCEDURE {db}.p() SELECT 1"),
            ("event", "CREATE DATABASE {db};\nCREATE EVENT {db}.e ON SCHEDULE EVERY 1 YEAR DO SELECT 1"),
            ("grant", "CREATE DATABASE {db};\nCREATE USER {db}@`%`;\nGRANT SELECT ON {on} TO {db}@`%`"),
        ] {
            let case = context.case(label);
            intend(&case, "database", case.name()).await;
            case.run(sql).await;
            let before = case.snapshot().await;
            let Presence::Foreign { what } = case.observe().await else { panic!("{label}: it is foreign") };
            assert!(what.contains("did not create"), "{what}");
            case.assert_refused(ErrorKind::NameTaken, &[case.name()]).await;
            case.ensure_absent().await;
            assert_eq!(case.snapshot().await, before, "{label}");
        }
    }

    async fn an_intent_and_an_unused_database_are_ours(context) {
        let case = context.case("orders");
        intend(&case, "database", case.name()).await;
        case.run("CREATE DATABASE {db}").await;
        case.ensure_present().await;
        case.assert_complete().await;
        case.ensure_absent().await;
        case.assert_absent().await;
    }

    async fn an_intent_does_not_make_an_account_ours(context) {
        let case = context.case("orders");
        intend(&case, "account", &case.target.active_login).await;
        case.run("CREATE USER {a} IDENTIFIED BY 'theirs'").await;
        assert_left_alone(&case, "did not create").await;
    }

    /// What another Database wrote down and never created, or somebody dropped by hand, keeps nobody out.
    async fn an_entry_of_something_that_is_gone_is_taken_over(context) {
        let theirs = context.case("orders");
        theirs.ensure_present().await;
        theirs.run("DROP DATABASE {db};\nDROP USER {a}, {b}").await;
        let case = context.case_marked("orders", "another-cluster");
        case.ensure_present().await;
        case.assert_complete().await;
        let Presence::Foreign { .. } = theirs.observe().await else { panic!("it is foreign") };
        theirs.ensure_absent().await;
        case.assert_complete().await;
    }

    async fn ours_is_removed_beside_what_is_not(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.run(&format!("DROP USER {{a}};\nCREATE USER {{a}} IDENTIFIED BY 'theirs';\n\
            DELETE FROM db_operator.objects WHERE name = '{}'", case.target.active_login)).await;
        case.assert_refused(ErrorKind::NameTaken, &[&case.target.active_login]).await;
        case.ensure_absent().await;
        let Presence::Foreign { what } = case.observe().await else { panic!("it is foreign") };
        assert!(what.contains(&case.target.active_login) && !what.contains("database"), "{what}");
    }

    async fn a_mark_that_was_taken_away_is_a_decision(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.run(&format!("UPDATE db_operator.objects SET mark = 'kept by hand' WHERE name = '{}'", case.name())).await;
        let error = case.try_ensure_present().await.unwrap_err();
        assert_error(&error, ErrorKind::NameTaken, &["with another mark", case.name()]);
        assert!(!error.chain().contains("kept by hand"), "{}", error.chain());
        case.ensure_absent().await;
        let kept = case.server().text(&format!("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{}'", case.name())).await;
        assert_eq!(kept, "1");
    }
}
