#![doc = include_str!("../README.md")]

// In reading order: what is asked for, how it is laid out, what is there, what to change, and the statements.
pub mod driver;
pub mod parameters;

mod fixed;
mod layout;
mod observe;
mod plan;

mod drop;
mod ensure;

mod connect;
mod fault;
mod sql;
mod tls;

pub use driver::{PostgresqlDriver, Session};
pub use parameters::Parameters;
