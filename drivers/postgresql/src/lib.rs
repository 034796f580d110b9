#![doc = include_str!("../README.md")]

// In reading order: what is asked for, how it is laid out, what is there, what to change, and the statements.
pub mod driver;
pub mod parameters;

mod immutable;
mod layout;
mod observe;
mod plan;

mod absent;
mod lockout;
mod present;

mod dump;
mod load;

mod connect;
mod data_session;
mod fault;
mod settings;
mod sql;
mod tls;

pub use driver::{PostgresqlDriver, Session};
pub use parameters::Parameters;
