//! The operator of db-operator: it watches Databases and decides which Job to launch next.
//!
//! Data flows one way: API objects → [`seen`] → facts → decide ([`database`], [`backup`]) → [`plan`] → [`slots`],
//! [`waiting`] → [`job`] → [`launch`]. All but `seen::watch`, `controller` and what `effects` they use is pure: no client,
//! clock, environment or `async`. The operator writes Jobs, Events and its Lease, and nothing else. What it keeps in
//! its memory it can lose at any time: no data depends on it. It then counts the attempts whose Jobs exist, and may say once
//! more what it has said.

#![allow(missing_docs, reason = "nobody depends on it: what a name says need not be said again")]

pub mod error;

pub mod clock;
pub mod decision;
pub mod job_name;
pub mod kind;
pub mod labels;
pub mod pulse;
pub mod tenant_chart;

pub mod seen;

pub mod attempts;
pub mod notice;
pub mod subject;

pub mod backup;
pub mod broken;
pub mod database;
pub mod job;

pub mod resync;
pub mod slots;
pub mod waiting;

pub mod plan;
pub mod queue;
pub mod standing;

pub mod launch;
pub mod lease;
pub mod voice;

pub mod controller;
pub mod metrics;

pub mod config;
pub mod probe;
pub mod run;
pub mod server;
