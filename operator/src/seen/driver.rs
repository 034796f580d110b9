//! A Driver, and what is kept of it: all of its spec, for only a platform team writes Drivers.

use std::sync::Arc;

use api::DriverRegistrationSpec;
use serde::Deserialize;

use super::metadata::Metadata;

/// A Driver.
#[derive(Clone, Debug)]
pub struct KnownDriver {
    pub name: Arc<str>,
    /// Uid and generation: what a Job remembers of it.
    pub state: Box<str>,
    /// What is registered.
    pub spec: Arc<DriverRegistrationSpec>,
}

impl<'de> Deserialize<'de> for KnownDriver {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            metadata: Metadata,
            spec: DriverRegistrationSpec,
        }
        let Wire { metadata, spec } = Wire::deserialize(deserializer)?;
        let state = format!("{}/{}", metadata.uid, metadata.generation).into();
        Ok(Self { name: metadata.name, state, spec: Arc::new(spec) })
    }
}

impl KnownDriver {
    /// The image that moves rows or does not.
    pub fn image(&self, moves_data: bool) -> &str {
        self.spec.backup_image.as_ref().filter(|_| moves_data).unwrap_or(&self.spec.image)
    }
}
