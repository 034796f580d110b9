//! What every engine's driver needs and none is about. A driver MAY use it; nothing of the contract asks for it.
//!
//! | Module | What it does |
//! |---|---|
//! | [`reach`] | Finds a server, connects in bounded time, and says what stands in the way |
//! | [`tls`] | A TLS client that is as strict as `spec.connect.tls.mode` says |
//! | [`bounded`] | Bounds the time of a method; breaks off a long one when the lock is lost |
//! | [`program`] | Runs a program that writes a stream, such as a dump |
//! | [`memory_file`] | Gives a program a certificate or a password without a disk |
//! | [`password`] | Makes a password |

pub mod bounded;
pub mod memory_file;
pub mod password;
pub mod program;
pub mod reach;
pub mod tls;
