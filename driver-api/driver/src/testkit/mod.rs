//! For authors of drivers, and for our own tests.
//!
//! | Item | What a test does with it |
//! |---|---|
//! | [`mod@conformance`] | Runs each rule that a driver has to keep |
//! | [`MemoryDriver`], [`MemoryServer`] | Reads the smallest complete driver: its engine lives in memory |
//! | [`MemorySink`], [`MemoryDump`] | Dumps into memory, also into a store that breaks, and loads from there |
//! | [`GatedSink`] | Does something in the middle of a dump |
//! | [`killed_after`] | Kills a run at any await |
//! | [`assert_error`] | Shows an error's kind, what it names, and that it names no secret |
//! | [`Logged`] | Reads what is logged, to find no secret in it |
//! | [`OTHER_AUTHORITY`] | Has a server's certificate refused |
//!
//! The rules that a driver has to keep are in [`mod@conformance`]: an author says in a [`Harness`](conformance::Harness) what
//! only they can say, and `driver_api::testkit::conformance!(MyHarness);` makes a test of each rule.

pub mod conformance;

mod dump;
mod failure;
mod gate;
mod interrupt;
mod logged;
mod memory;
mod memory_server;

pub use crate::conformance;
pub use dump::{MemoryDump, MemoryReader, MemorySink, MemoryWriter};
pub use failure::assert_error;
pub use gate::GatedSink;
pub use interrupt::killed_after;
pub use logged::Logged;
pub use memory::{MemoryDriver, MemoryParameters, MemorySession};
pub use memory_server::{MemoryServer, MemoryTenant, Stored};

/// PEM of an authority that has signed no server's certificate; its key was thrown away.
pub const OTHER_AUTHORITY: &str = include_str!("other-authority.crt");
