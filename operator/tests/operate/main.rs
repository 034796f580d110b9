//! The whole operator against an API server that is played here, which fails in every way that one can, by seed.
//!
//! Time is tokio's, and paused: an hour takes milliseconds, and bounds are exact. What is said between the two is HTTP,
//! over connections in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may fail on the spot"
)]

mod chance;
mod cluster;
mod connection;
mod driver;
mod faults;
mod people;
mod play;
mod pods;
mod routes;
mod scenarios;
mod seeds;
mod server;
mod store;
mod stream;
