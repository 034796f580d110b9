//! What is not ours is never adopted, changed or removed.

use driver_api::{ErrorKind, Mark, Presence, Target};

use crate::harness::Case;

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
            assert_left_alone(&case, "uid-").await;
        }
        theirs.assert_complete().await;
    }

    /// A comment that somebody put in the place of our mark is a decision that we do not undo.
    async fn a_database_whose_mark_was_replaced_is_left_alone(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        case.run("postgres", "COMMENT ON DATABASE {db} IS 'kept by hand'").await;
        case.assert_refused(ErrorKind::NameTaken, &["kept by hand", case.name()]).await;
        // The owner role cannot go while the database stays, and none of the roles goes then.
        let before = case.snapshot().await;
        assert_eq!(case.try_ensure_absent().await.unwrap_err().kind(), ErrorKind::InUse);
        assert_eq!(case.snapshot().await, before);
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
