//! For authors of drivers, and for our own tests: an engine and a dump that live in memory.

mod dump;
mod memory;

pub use dump::{MemoryDump, MemoryReader, MemorySink, MemoryWriter};
pub use memory::{MemoryDriver, MemoryParameters, MemoryServer, MemorySession, Stored};
