//! The operator of db-operator: it watches Databases and decides which Job to launch next.
//!
//! Data flows one way: API objects ([`seen`]) → facts → decide ([`database`], [`backup`]) → [`slots`] → [`job`] → [`launch`]. What comes
//! before `launch` is pure: no client, clock, environment or `async`. The operator writes Jobs, Events and its
//! Lease, and nothing else; nothing that matters is kept in its memory.

pub mod backup;
pub mod database;
pub mod job;
pub mod seen;

pub mod slots;
pub mod subject;

pub mod launch;

pub mod announce;
pub mod controller;
pub mod metrics;
pub mod voice;

pub mod config;
pub mod error;
pub mod lease;
pub mod probe;
pub mod run;
pub mod server;
