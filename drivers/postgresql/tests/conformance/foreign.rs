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

rules! {
    async fn a_database_without_mark_is_left_alone(context) {
        let case = context.case("orders");
        case.run("postgres", "CREATE DATABASE {db}").await;
        assert_left_alone(&case, &format!("database {}", case.name())).await;
    }

    async fn a_role_without_mark_is_left_alone(context) {
        for role in ["{own}", "{rw}", "{a}", "{b}"] {
            let case = context.case(&format!("x{}", role.len()) );
            case.run("postgres", &format!("CREATE ROLE {role}")).await;
            assert_left_alone(&case, "role").await;
            case.run("postgres", &format!("DROP ROLE {role}")).await;
        }
    }

    async fn what_carries_another_mark_is_left_alone(context) {
        let theirs = context.case("orders");
        theirs.ensure_present().await;
        for mark in [Mark::new("test-cluster", "another uid"),
                     Mark::new("another-cluster", format!("uid-{}", theirs.name()))] {
            let mut case = theirs.clone();
            case.target = Target::new(theirs.name(), mark, 63);
            assert_left_alone(&case, "with another mark").await;
        }
        theirs.assert_complete().await;
    }

    /// A comment that somebody took away, or put another in its place, is a decision that we do not undo.
    async fn a_database_whose_mark_was_taken_away_is_left_alone(context) {
        for (label, comment, named) in [
            ("replaced", "'kept by hand'", "with another mark"),
            ("removed", "NULL", "without a mark"),
        ] {
            let case = context.case(label);
            case.ensure_present().await;
            case.run("postgres", &format!("COMMENT ON DATABASE {{db}} IS {comment}")).await;
            let error = case.try_ensure_present().await.unwrap_err();
            assert_error(&error, ErrorKind::NameTaken, &[named, case.name()]);
            assert!(!error.chain().contains("kept by hand"), "{}", error.chain());
            // The owner role cannot go while the database stays, and none of the roles goes then.
            let before = case.snapshot().await;
            assert_eq!(case.try_ensure_absent().await.unwrap_err().kind(), ErrorKind::InUse);
            assert_eq!(case.snapshot().await, before);
        }
    }

    async fn ours_is_removed_beside_what_is_not(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.run("postgres", "DROP DATABASE {db};\nCREATE DATABASE {db}").await;
        assert!(matches!(case.observe().await, Presence::Ours { database: false, .. }));
        case.assert_refused(ErrorKind::NameTaken, &[case.name()]).await;
        case.ensure_absent().await;
        assert!(matches!(case.observe().await, Presence::Foreign { .. }));
    }
}
