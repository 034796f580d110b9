//! The driver against real PostgreSQL servers: one rule a test, each for every server.
//!
//! `DB_OPERATOR_TEST_POSTGRESQL` lists the servers, separated by white space, each as
//! `version=host:port:user:password[:ca-file]`. The user is a superuser. Without the variable every test fails:
//! nothing is skipped in silence.
//!
//! ```sh
//! DB_OPERATOR_TEST_POSTGRESQL='15=127.0.0.1:5432:postgres:secret' \
//!   cargo test -p db-operator-driver-postgresql --features conformance --test conformance
//! ```
//!
//! A test has names of its own, and what it made is removed when it ends, also when it fails. With `ca-file` the
//! driver's sessions use TLS if the server has it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
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

mod harness;

mod absent;
mod administrator;
mod dump;
mod dump_faults;
mod faults;
mod foreign;
mod lockout;
mod parameters;
mod present;
mod tenant;
