//! The rules that the driver keeps, against real servers.
//!
//! `DB_OPERATOR_TEST_MYSQL` lists the servers, separated by white space, each as
//! `name=host:port:user:password[:ca-file]`. The user may do everything, from any host. Without the variable every test
//! fails: nothing is skipped in silence. `tests/servers.sh` gets and starts some.
//!
//! ```sh
//! DB_OPERATOR_TEST_MYSQL="$(drivers/mysql/tests/servers.sh start)" \
//!   cargo test -p db-operator-driver-mysql --features conformance --test conformance
//! ```
//!
//! A test has names of its own, and what it made is removed when it ends, also when it fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fail on the spot"
)]

/// Makes a test of each rule, which runs for every server.
macro_rules! rules {
    ($($(#[doc = $doc:literal])* async fn $name:ident($context:ident) $body:block)*) => {$(
        $(#[doc = $doc])*
        #[test]
        fn $name() {
            crate::harness::for_each_server(stringify!($name), |$context| Box::pin(async move $body));
        }
    )*};
}

/// The same for rules that change the server as a whole: no other runs meanwhile.
macro_rules! rules_alone {
    ($($(#[doc = $doc:literal])* async fn $name:ident($context:ident) $body:block)*) => {$(
        $(#[doc = $doc])*
        #[test]
        fn $name() {
            crate::harness::for_each_server_alone(stringify!($name), |$context| Box::pin(async move $body));
        }
    )*};
}

/// Asks until it is so. A function could not be told that what it awaits may go to another thread.
macro_rules! until {
    ($what:literal, $is_so:expr) => {{
        let begin = std::time::Instant::now();
        while !$is_so {
            assert!(begin.elapsed() < crate::harness::PATIENCE, concat!($what, ": that does not come about"));
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }};
}

mod harness;

mod absent;
mod administrator;
mod faults;
mod foreign;
mod lockout;
mod parameters;
mod present;
mod settings;
mod tenant;
