//! For authors of drivers, and for our own tests: an engine that lives in memory.

mod memory;

pub use memory::{MemoryDriver, MemoryParameters, MemoryServer, MemorySession, Stored};
