//! The operator of db-operator: it watches Databases and decides which Job to launch next.
//!
//! Data flows one way: API objects ([`facts`]) → [`decide`] → [`room`] → [`job`] → [`launch`]. What comes
//! before `launch` is pure: no client, clock, environment or `async`. The operator writes Jobs, Events and its
//! Lease, and nothing else; nothing that matters is kept in its memory.

pub mod facts;
pub mod guarded;
pub mod jobs;
pub mod requests;

pub mod backups;
pub mod decide;
pub mod room;

pub mod job;
pub mod pod;

pub mod launch;

pub mod announce;
pub mod controller;
pub mod metrics;
pub mod report;
pub mod watch;
pub mod world;

pub mod config;
pub mod error;
pub mod lease;
pub mod probe;
pub mod run;
pub mod server;
