//! Where a backup is stored.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::target::S3Target;

/// Where a backup is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupLocation {
    /// The bucket, with the prefix that backups were written with.
    pub s3: S3Target,
    /// The folder of the backup's `manifest.json` under that prefix, such as `shop/orders/6f1c…`.
    #[schemars(length(min = 1, max = 700), regex(pattern = super::patterns::PATH))]
    pub path: String,
}
