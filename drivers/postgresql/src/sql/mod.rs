//! The statements that change something, and how names and values get into them; and the reading of statements that
//! somebody else has written.
//!
//! This is the one folder that makes SQL text from values: [`Sql`] can be built nowhere else, and takes
//! [`Ident`] and [`Literal`] only. What merely reads uses bind parameters.

mod database;
mod roles;
mod text;

pub(crate) mod data;

pub(crate) mod lexer;
pub(crate) mod parts;
pub(crate) mod statements;

pub(crate) use database::*;
pub(crate) use roles::*;
pub(crate) use text::{Ident, Sql, Verifier};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail on the spot")]
mod tests;
