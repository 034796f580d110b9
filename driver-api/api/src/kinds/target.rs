//! Where backups go.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::connect::TlsCaSource;
use super::credentials::ValueSource;

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
    /// Encryption of what is stored. Default: none beyond the store's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

impl BackupTarget {
    /// The bucket, in whichever spelling it is given.
    pub fn s3(&self) -> Option<S3Target> {
        self.s3.clone().or_else(|| {
            self.s3_original_spelling.as_ref().map(|original| S3Target {
                region: original.region.clone(),
                bucket: original.bucket.clone(),
                prefix: original.prefix.clone(),
                endpoint: None,
                path_style: None,
                credentials: None,
                ca: None,
            })
        })
    }

    /// The keys to which backups are encrypted; none if they are not.
    pub fn recipients(&self) -> &[String] {
        self.encryption.as_ref().map_or(&[], |encryption| &encryption.recipients)
    }
}

/// A bucket of an S3 object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Target {
    /// Region of the bucket, such as `eu-west-1`.
    #[schemars(length(min = 1, max = 63), regex(pattern = super::patterns::REGION))]
    pub region: String,
    /// Name of the bucket. It must exist.
    #[schemars(length(min = 3, max = 63), regex(pattern = super::patterns::BUCKET))]
    #[x_kube(validation = Rule::new("!self.matches('^[0-9]+([.][0-9]+){3}$')").message("a bucket's name cannot be formatted as an IP address"))]
    pub bucket: String,
    /// Prefix of every key, such as `backups/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = super::patterns::PREFIX))]
    pub prefix: Option<String>,
    /// URL of the store, such as `https://minio.example.com:9000`. Default: AWS, in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = r"^https?://[^/?#\s]+/?$"))]
    pub endpoint: Option<String>,
    /// Whether the bucket's name is in the path of a URL and not in its host name. Default: true if
    /// `endpoint` is set, else false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// The access key. Default: what the driver's pod has, by web identity (IRSA) or the standard `AWS_*`
    /// variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<S3Credentials>,
    /// The authorities, in PEM, that sign the store's certificate, and those of AWS' login if `credentials`
    /// is not set. Default: those that the public web trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<TlsCaSource>,
}

impl S3Target {
    /// Whether the bucket's name is in the path: what `pathStyle` says, else the default.
    pub fn path_style(&self) -> bool {
        self.path_style.unwrap_or_else(|| self.endpoint.is_some())
    }
}

/// An access key of an object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.secretAccessKey.value)").message("secretAccessKey cannot be written down here, for whoever reads a Backup could read it: use valueFrom"),
    validation = Rule::new("!has(self.sessionToken) || !has(self.sessionToken.value)").message("sessionToken cannot be written down here, for whoever reads a Backup could read it: use valueFrom")
)]
pub struct S3Credentials {
    /// The access key's id.
    pub access_key_id: ValueSource,
    /// The secret access key. It cannot be written down here.
    pub secret_access_key: ValueSource,
    /// The session token of temporary credentials. It cannot be written down here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<ValueSource>,
}

impl S3Credentials {
    /// Drops what is written down in place of a reference: it does not belong where others read.
    pub fn strip(&mut self) {
        let Self { access_key_id, secret_access_key, session_token } = self;
        for ValueSource { value, .. } in
            [Some(access_key_id), Some(secret_access_key), session_token.as_mut()].into_iter().flatten()
        {
            *value = None;
        }
    }
}

/// Encryption of backups with age. Only public keys are here; the private one is needed by a restore alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Encryption {
    /// Public keys, such as `age1…`, as `age-keygen` prints them. Any one of their private keys decrypts.
    #[schemars(length(min = 1, max = 16), inner(length(max = 128), regex(pattern = "^age1[0-9a-z]+$")))]
    pub recipients: Vec<String>,
}

/// [`S3Target`] as the first db-operator spelled it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "PascalCase")]
pub struct S3TargetOriginalSpelling {
    /// Region of the bucket, such as `eu-west-1`.
    #[schemars(length(min = 1, max = 63), regex(pattern = super::patterns::REGION))]
    pub region: String,
    /// Name of the bucket. It must exist.
    #[schemars(length(min = 3, max = 63), regex(pattern = super::patterns::BUCKET))]
    #[x_kube(validation = Rule::new("!self.matches('^[0-9]+([.][0-9]+){3}$')").message("a bucket's name cannot be formatted as an IP address"))]
    pub bucket: String,
    /// Prefix of every key, such as `backups/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = super::patterns::PREFIX))]
    pub prefix: Option<String>,
}
