#![doc = include_str!("../README.md")]

pub mod api;
pub mod lifecycle;
pub mod names;

pub mod driver;
pub mod dump;
pub mod error;
pub mod secret;

#[cfg(feature = "container")]
pub mod container;

#[cfg(feature = "container")]
pub(crate) mod store;

#[cfg(any(test, feature = "testkit"))]
pub mod testkit;

pub use driver::{Desired, Driver, Login, Mark, Presence, Server, ServerTls, Target, TlsMode};
pub use error::{DriverError, ErrorKind, Result, Retry};
pub use secret::Secret;

/// The guide for authors: its programs compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/drivers.md")]
struct Guide;
