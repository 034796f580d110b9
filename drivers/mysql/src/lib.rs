#![doc = include_str!("../README.md")]

// In reading order: what is asked for, how it is laid out, what is there, and what to change.
mod driver;
pub mod parameters;

mod layout;

mod catalog;
mod immutable;
mod plan;
mod prove;

mod observe;

mod absent;
mod lockout;
mod present;

// What all of it stands on: sessions, what the administrator may do, what went wrong, and the text of statements.
mod connect;
mod engine;
mod fault;
mod privileges;
mod session;
mod sql;
mod verifier;

pub use driver::MysqlDriver;
pub use parameters::Parameters;
pub use session::Session;
