//! What a Job is built from, besides the object and the decision.

use crate::seen::driver::KnownDriver;
use crate::seen::references::{KeyReference, StoreReferences};

/// What every Job of this operator has in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace, where `release` runs.
    pub namespace: String,
    /// Tells this cluster's databases from another's on the same server.
    pub cluster_id: String,
    /// Service account of `release`.
    pub release_service_account: String,
    /// Image of `release`: the operator's own.
    pub release_image: String,
    /// The log format of the drivers.
    pub log_format: &'static str,
}

/// Who does the work of a Job.
#[derive(Clone, Copy, Debug)]
pub enum Worker<'a> {
    /// A Driver's image.
    Driver(&'a KnownDriver),
    /// The operator's own image, by its program `release`.
    Release,
}

/// The secrets of the object store that a Job moves data to or from: where they are, not what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreKeys {
    /// Those of the bucket.
    pub store: StoreReferences,
    /// The private key of a backup that is encrypted.
    pub decryption_key: Option<KeyReference>,
}
