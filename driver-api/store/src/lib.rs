//! Where dumps are kept: an S3 bucket, and how a dump lies in it.
//!
//! A backup has a folder, which its path names. Each attempt at it has a folder in that, and writes every stream of
//! the dump as one or more objects: compressed, then encrypted if that is asked for. The manifest is
//! written last and only once; a backup exists if its manifest does.
//!
//! ```text
//! <prefix>/<path>/<attempt>/seg-00001.zst[.age]
//! <prefix>/<path>/manifest.json
//! ```

mod attempt;
pub mod aws;
mod client;
mod decode;
mod download;
mod encode;
mod fault;
mod fetch;
mod keys;
mod leftovers;
mod lengths;
mod lists;
mod login;
mod manifest;
#[cfg(any(test, feature = "testing"))]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a server for tests may fail on the spot"
)]
pub mod memory;
mod multipart;
mod progress;
mod retry;
mod send;
mod sizes;
mod store;
mod stream;
mod target;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail on the spot"
)]
mod tests;
mod upload;
mod verify;
mod words;

pub use self::attempt::{is_attempt, random_attempt};
pub use self::download::Download;
pub use self::manifest::{BackupIdentity, Manifest, StoredManifest};
pub use self::retry::Patience;
pub use self::sizes::Sizes;
pub use self::store::Store;
pub use self::target::{StoreCredentials, StoreTarget};
pub use self::upload::{Completed, Upload};
