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
mod lockout;

// A dump: what is in it, its parts in order, and where they come from.
mod contents;
mod dump;
mod large_objects;
mod libpq;
mod program;
mod sequences;
mod snapshot;
mod tables;
mod views;

// A load: into what, the statements of a dump one by one, and the rows.
mod lexer;
mod load;
mod occupancy;
mod parallel;
mod rewrite;
mod statements;

mod connect;
mod fault;
mod mover;
mod settings;
mod sql;
mod tls;

pub use driver::{PostgresqlDriver, Session};
pub use parameters::Parameters;
