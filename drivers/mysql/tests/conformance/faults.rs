//! Each fault has its kind and its sentence, in bounded time.

use std::time::{Duration, Instant};

use driver_api::names::short_hash;
use driver_api::testkit::OTHER_AUTHORITY;
use driver_api::{ErrorKind, Login, Secret, ServerTls, TlsMode};
use mysql_async::prelude::Queryable;

use crate::harness::assert_error;

rules! {
    async fn unreachable_and_denied_are_told_apart(context) {
        let case = context.case("orders");
        let begin = Instant::now();

        let mut closed = case.clone();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        (closed.admin.host, closed.admin.port) = ("127.0.0.1".to_owned(), free);
        let closed = closed.connect().await.unwrap_err();
        assert_error(&closed, ErrorKind::Unreachable, &[&free.to_string(), "nothing listens", "connect.host"]);

        let mut unknown = case.clone();
        unknown.admin.host = "no-such-host.invalid".to_owned();
        let unknown = unknown.connect().await.unwrap_err();
        assert_error(&unknown, ErrorKind::Unreachable, &["no-such-host.invalid", "address", "DNS"]);

        let mut denied = case.clone();
        denied.admin.admin = Login::new(&denied.admin.admin.username, Secret::new("wrong one"));
        let denied = denied.connect().await.unwrap_err();
        assert_error(&denied, ErrorKind::AuthenticationFailed, &["1045", "spec.credentials"]);
        assert!(!denied.chain().contains("wrong one"));

        let mut nobody = case.clone();
        nobody.admin.admin = Login::new("nobody'; --", Secret::new("p"));
        let nobody = nobody.connect().await.unwrap_err();
        assert_error(&nobody, ErrorKind::AuthenticationFailed, &["nobody"]);
        assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", begin.elapsed());
    }

    /// A server that takes the connection and never says a word.
    async fn silence_ends_after_ten_seconds(context) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut case = context.case("orders");
        (case.admin.host, case.admin.port) = ("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
        let begin = Instant::now();
        let error = case.connect().await.unwrap_err();
        assert_error(&error, ErrorKind::Unreachable, &["does not answer"]);
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    }

    async fn tls_is_as_strict_as_its_mode(context) {
        let mut case = context.case("orders");
        let ca = case.server().ca.clone().expect("a server is listed with its ca-file");
        let mode = |mode, ca: Option<&str>| ServerTls::new(mode, ca.map(str::to_owned));
        for tls in [mode(TlsMode::Disable, None), mode(TlsMode::Require, None), mode(TlsMode::VerifyCa, Some(&ca))] {
            case.admin.tls = tls;
            case.session().await;
        }
        for strict in [TlsMode::VerifyCa, TlsMode::VerifyFull] {
            case.admin.tls = mode(strict, Some(OTHER_AUTHORITY));
            let error = case.connect().await.unwrap_err();
            assert_error(&error, ErrorKind::Untrusted, &["certificate", "connect.tls.ca"]);
        }
        // The certificate is for localhost, and the address is not in it.
        case.admin.tls = mode(TlsMode::VerifyFull, Some(&ca));
        case.admin.host = "127.0.0.1".to_owned();
        let error = case.connect().await.unwrap_err();
        assert_error(&error, ErrorKind::Untrusted, &["certificate", "host name"]);
        case.admin.host = "localhost".to_owned();
        case.session().await;
    }

    /// Each mode that asks for encryption has it.
    async fn a_session_is_encrypted_unless_it_is_disabled(context) {
        let case = context.case("orders");
        let ca = case.server().ca.clone().unwrap();
        for (mode, is_encrypted) in [(TlsMode::Disable, false), (TlsMode::Require, true), (TlsMode::VerifyCa, true)] {
            let mut case = case.clone();
            // A login that the server lets in encrypted alone tells which it is.
            let admin = format!("{}_tls", context.prefix);
            case.run(&format!("DROP USER IF EXISTS {admin};\nCREATE USER {admin} IDENTIFIED BY 'p' REQUIRE SSL")).await;
            case.admin.admin = Login::new(admin, Secret::new("p"));
            case.admin.tls = ServerTls::new(mode, Some(ca.clone()));
            let outcome = case.connect().await;
            assert_eq!(outcome.is_ok(), is_encrypted, "{mode:?}: {outcome:?}");
        }
    }

    async fn a_second_run_is_busy_at_once(context) {
        let case = context.case("orders");
        let first = case.session().await;
        let begin = Instant::now();
        let error = case.connect().await.unwrap_err();
        assert_error(&error, ErrorKind::Busy, &["another run", case.name()]);
        assert!(begin.elapsed() < Duration::from_secs(10));
        context.case("bills").session().await;
        drop(first);
        case.session().await;
    }

    /// The name of the lock follows from the database's, and everybody may take it.
    async fn a_login_that_sits_on_the_lock_is_named(context) {
        let case = context.case("orders");
        let squatter = context.case("bills");
        squatter.ensure_present().await;
        let mut session = squatter.tenant().await;
        let lock = format!("db_operator/{}", short_hash(&format!("db-operator/{}", case.name()), 40));
        let taken: Option<i64> = session.exec_first("SELECT GET_LOCK(?, 0)", (lock,)).await.unwrap();
        assert_eq!(taken, Some(1));
        let error = case.connect().await.unwrap_err();
        let (id, login) = (session.id(), squatter.target.active_login.clone());
        assert_error(&error, ErrorKind::InUse, &[&format!("session {id} of {login}"), &format!("KILL {id}")]);
        case.run(&format!("KILL {id}")).await;
        until!("the lock is free", case.connect().await.is_ok());
    }

    /// Whoever ends our session takes its lock; nothing is changed after that.
    async fn nothing_is_done_without_the_lock(context) {
        let case = context.case("orders");
        let mut session = case.session().await;
        let lock = format!("db_operator/{}", short_hash(&format!("db-operator/{}", case.name()), 40));
        let id = case.server().text(&format!("SELECT IS_USED_LOCK('{lock}')")).await;
        case.run(&format!("KILL {id}")).await;
        let outcome = driver_api::Driver::ensure_present(
            &db_operator_driver_mysql::MysqlDriver, &mut session, &case.target, &case.desired).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unreachable);
        drop(session);
        case.assert_absent().await;
    }

    async fn two_runs_at_once_make_one_database(context) {
        let case = context.case("orders");
        let (one, two) = (case.clone(), case.clone());
        tokio::join!(one.ensure_present(), two.ensure_present());
        case.assert_complete().await;
        let (one, two) = (case.clone(), case.clone());
        tokio::join!(one.ensure_absent(), two.ensure_absent());
        case.assert_absent().await;
    }
}
