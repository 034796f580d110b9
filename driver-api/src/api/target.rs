//! Where backups go.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where backups of the database go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!(has(self.s3) && has(self.S3))").message("s3 and S3 are two spellings of one field: keep s3"),
    validation = Rule::new("has(self.s3) || has(self.S3)").message("set s3")
)]
pub struct BackupTarget {
    /// A bucket of an S3 object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Target>,
    /// The spelling of the first db-operator, accepted as an alias of `s3`.
    #[serde(default, rename = "S3", skip_serializing_if = "Option::is_none")]
    pub s3_original_spelling: Option<S3TargetOriginalSpelling>,
}

impl BackupTarget {
    /// The bucket, in whichever spelling it is given.
    pub fn s3(&self) -> Option<S3Target> {
        self.s3.clone().or_else(|| {
            self.s3_original_spelling.as_ref().map(|original| S3Target {
                region: original.region.clone(),
                bucket: original.bucket.clone(),
                prefix: original.prefix.clone(),
            })
        })
    }
}

/// A bucket of an S3 object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Target {
    /// Region of the bucket, such as `eu-west-1`.
    #[schemars(length(min = 1, max = 63))]
    pub region: String,
    /// Name of the bucket. It must exist.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// Prefix of every key, such as `backups/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub prefix: Option<String>,
}

/// [`S3Target`] as the first db-operator spelled it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "PascalCase")]
pub struct S3TargetOriginalSpelling {
    /// Region of the bucket, such as `eu-west-1`.
    #[schemars(length(min = 1, max = 63))]
    pub region: String,
    /// Name of the bucket. It must exist.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// Prefix of every key, such as `backups/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub prefix: Option<String>,
}
