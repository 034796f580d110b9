//! What a driver alone reads.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `spec.parameters` of a Database, as text: they are nested as deep as somebody likes, and nobody but the driver whose
/// they are may fail because of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(Box<RawValue>);

impl Parameters {
    /// Them as JSON, which may be nested too deeply to be decoded.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Parameters {}
