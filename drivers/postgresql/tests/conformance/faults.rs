//! Each fault has its kind and its sentence, in bounded time.

use std::time::{Duration, Instant};

use db_operator_driver_postgresql::PostgresqlDriver;
use driver_api::names::short_hash;
use driver_api::testkit::OTHER_AUTHORITY;
use driver_api::{Driver, ErrorKind, Login, Secret, ServerTls, TlsMode};

use crate::harness::{Case, assert_error};

/// The key of the lock on a database.
fn lock_key(case: &Case) -> i64 {
    let hash = short_hash(&format!("db-operator/{}", case.name()), 16);
    u64::from_str_radix(&hash, 16).unwrap().cast_signed()
}

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
        assert_error(&denied, ErrorKind::AuthenticationFailed, &["password", "28P01", "spec.credentials"]);
        assert!(!denied.chain().contains("wrong one"));

        let mut nobody = case.clone();
        nobody.admin.admin = Login::new("nobody'; --", Secret::new("p"));
        let nobody = nobody.connect().await.unwrap_err();
        assert_error(&nobody, ErrorKind::AuthenticationFailed, &["nobody"]);
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }

    /// A server that takes the connection and never says a word.
    async fn silence_ends_after_ten_seconds(context) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut case = context.case("orders");
        (case.admin.host, case.admin.port) = ("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
        let begin = Instant::now();
        let error = case.connect().await.unwrap_err();
        assert_error(&error, ErrorKind::Unreachable, &["does not answer"]);
        // How long exactly, a test in paused time knows. Here three servers share a busy machine.
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    }

    async fn tls_is_as_strict_as_its_mode(context) {
        let mut case = context.case("orders");
        let server = case.server().clone();
        let ca = server.ca.clone();
        let strict = [TlsMode::Require, TlsMode::VerifyCa, TlsMode::VerifyFull];
        if !server.tls {
            for mode in strict {
                case.admin.tls = ServerTls::new(mode, ca.clone().or_else(|| Some(OTHER_AUTHORITY.to_owned())));
                let error = case.connect().await.unwrap_err();
                assert_error(&error, ErrorKind::TlsRefused, &["no TLS", "connect.tls.mode"]);
            }
            return;
        }
        case.admin.tls = ServerTls::new(TlsMode::Require, None);
        case.session().await;
        for mode in [TlsMode::VerifyCa, TlsMode::VerifyFull] {
            case.admin.tls = ServerTls::new(mode, Some(OTHER_AUTHORITY.to_owned()));
            let error = case.connect().await.unwrap_err();
            assert_error(&error, ErrorKind::Untrusted, &["certificate", "connect.tls.ca"]);
        }
        let ca = ca.expect("a server with TLS is listed with its ca-file");
        case.admin.tls = ServerTls::new(TlsMode::VerifyCa, Some(ca.clone()));
        case.session().await;
        // The address is in some certificates and in some not; a name that is not is refused by this mode alone.
        case.admin.tls = ServerTls::new(TlsMode::VerifyFull, Some(ca));
        if let Err(error) = case.connect().await {
            assert_error(&error, ErrorKind::Untrusted, &["host name", &server.host]);
        }
    }

    async fn a_second_run_is_busy_at_once(context) {
        let case = context.case("orders");
        let first = case.session().await;
        let begin = Instant::now();
        let error = case.connect().await.unwrap_err();
        assert_error(&error, ErrorKind::Busy, &["another run", case.name()]);
        assert!(begin.elapsed() < Duration::from_secs(5));
        context.case("bills").session().await;
        drop(first);
        case.session().await;
    }

    /// Without a word, the server needs a moment to notice that a connection has ended.
    async fn the_lock_of_a_closed_session_is_free_at_once(context) {
        let case = context.case("orders");
        let beside = case.server().superuser("postgres").await;
        for _ in 0..20 {
            let session = case.session().await;
            PostgresqlDriver.close(session).await.unwrap();
            let row = beside.query_one("SELECT pg_try_advisory_lock($1)", &[&lock_key(&case)]).await.unwrap();
            assert!(row.get::<_, bool>(0));
            beside.execute("SELECT pg_advisory_unlock_all()", &[]).await.unwrap();
        }
    }

    /// The key follows from the name, and everybody may connect to `postgres`.
    async fn a_login_that_sits_on_the_lock_is_named(context) {
        let case = context.case("orders");
        let squatter = context.case("bills");
        squatter.ensure_present().await;
        let login = &squatter.desired.login;
        let session = case.server().log_in(&login.username, login.password.expose(), "postgres").await.unwrap();
        session.execute("SELECT pg_advisory_lock($1)", &[&lock_key(&case)]).await.unwrap();
        let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);

        let error = case.connect().await.unwrap_err();
        let named = [format!("session {pid}"), login.username.clone(), format!("pg_terminate_backend({pid})")];
        assert_error(&error, ErrorKind::InUse, &named.each_ref().map(String::as_str));
        case.run("postgres", &format!("SELECT pg_terminate_backend({pid})")).await;
        let begin = Instant::now();
        while let Err(error) = case.connect().await {
            assert!(begin.elapsed() < Duration::from_secs(20), "{}", error.chain());
        }
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
