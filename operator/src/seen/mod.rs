//! What the operator sees.

pub mod jobs;
pub mod requests;
pub mod watch;
pub mod world;
