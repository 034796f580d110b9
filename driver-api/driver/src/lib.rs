//! What the author of a driver implements: the [`Driver`] trait, and what its methods are given and answer.

pub mod binding;
pub mod names;

mod driver;
pub mod dump;
pub mod error;
pub mod secret;
mod server;

pub mod kit;
pub mod testkit;

pub use driver::{Desired, Driver, Mark, Presence, Target};
pub use error::{DriverError, ErrorKind, Result};
pub use secret::Secret;
pub use server::{Login, Server, ServerTls, TlsMode, host_port};
