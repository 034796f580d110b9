//! What the operator sees: slim types, decoded past everything that a tenant may write at length, and one World of them.

pub mod metadata;
pub mod references;

pub mod backup;
pub mod database;
pub mod driver;
pub mod job;
pub mod request;

pub mod databases;
pub mod jobs;
pub mod requests;

pub mod change;
pub mod decode;
mod ended;
mod lines;
mod overlap;
pub mod watch;
mod wire;
pub mod world;

#[cfg(test)]
pub(crate) mod fixtures;
