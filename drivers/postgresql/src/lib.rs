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

// What moves data.
mod dump;
mod load;

// What all of it stands on: sessions, what went wrong, and the text of statements.
mod connect;
mod data_session;
mod fault;
mod session;
mod settings;
mod sql;

pub use driver::PostgresqlDriver;
pub use parameters::Parameters;
pub use session::Session;
