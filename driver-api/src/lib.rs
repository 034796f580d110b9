#![doc = include_str!("../README.md")]

pub use driver::{
    Desired, Driver, DriverError, ErrorKind, Login, Mark, Presence, Result, Secret, Server, ServerTls,
    Target, TlsMode,
};
pub use driver::{binding, dump, error, kit, names, testkit};
pub use runtime::run;

/// The guide for authors: its programs compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/drivers.md")]
struct Guide;
