//! What the cluster tests share: a namespace per test, waiting without sleeping, databases as fixtures, and
//! the servers as an application and an administrator see them.
//!
//! A test names a user's promise, works in [`with_namespace`], and waits only on conditions, each with a
//! deadline. What it leaves behind is cleaned up, and looked for: a leak on a server fails the test.

#![allow(clippy::disallowed_methods, reason = "tests act as users, who write and delete what they like")]
#![allow(clippy::panic, clippy::print_stderr, reason = "a test fails by panicking, and says what it saw")]

mod bucket;
mod chart;
mod cluster;
mod context;
mod database;
mod history;
mod label;
mod namespace;
mod reason;
mod request;
mod server;
mod wait;
mod writers;

pub use bucket::Bucket;
pub use cluster::{
    OPERATOR_NAMESPACE, audit_log, client, client_as, client_with_token, helm, helm_with_input,
    helm_with_values, kubectl, kubectl_with_input,
};
pub use context::Context;
pub use database::{DatabaseFixture, database};
pub use history::History;
pub use namespace::{close_namespace, open_namespace, with_namespace};
pub use reason::{ready, ready_message, ready_reason};
pub use request::{backup, failed_because, restore};
pub use server::{POSTGRESQL_15, POSTGRESQL_17, POSTGRESQL_18, SERVERS, Server, address, login};
pub use wait::{PATIENCE, SOON, Watched, until, until_any};
pub use writers::Writers;
