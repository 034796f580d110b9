//! What the author of a driver implements: the [`Driver`] trait, and what its methods are given and answer.

pub mod names;

mod driver;
pub mod dump;
pub mod error;
pub mod secret;

pub mod kit;
pub mod testkit;

pub use driver::{Desired, Driver, Login, Mark, Presence, Server, ServerTls, Target, TlsMode, host_port};
pub use error::{DriverError, ErrorKind, Result};
pub use secret::Secret;
