//! Where backups are stored.

use driver::secret::Secret;

/// A bucket, a folder in it, and the login for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTarget {
    /// The store's address, such as `https://minio.example.org:9000`. Without it, AWS in `region`.
    pub endpoint: Option<String>,
    /// The region that requests are signed for, such as `eu-west-1`.
    pub region: String,
    /// The bucket. It must exist.
    pub bucket: String,
    /// The folder in the bucket that everything is put into. Slashes at its ends do not matter.
    pub prefix: Option<String>,
    /// Whether the bucket is named in the path, and not in the host name. Most stores but AWS want that.
    pub path_style: bool,
    /// The login.
    pub credentials: StoreCredentials,
}

/// How requests to the store are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreCredentials {
    /// With a key that is given.
    Static {
        /// The access key's name, which is no secret.
        access_key_id: String,
        /// The access key's secret.
        secret_key: Secret,
        /// What belongs to a temporary key.
        session_token: Option<Secret>,
    },
    /// With what the pod has: AWS' standard variables or a web identity. They are refreshed as they run out.
    Ambient,
}

impl StoreTarget {
    /// The address of the store, as requests use it.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone().unwrap_or_else(|| {
            let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://s3.{}.amazonaws.com{suffix}", self.region)
        })
    }

    /// The key of `path`, which is in the target's folder.
    pub fn key(&self, path: &str) -> String {
        let parts = [self.prefix.as_deref().unwrap_or_default(), path];
        let parts = parts.map(|part| part.trim_matches('/'));
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }

    /// `path` for people, such as `s3://bucket/prefix/path`.
    pub fn url(&self, path: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_addresses_are_joined_with_single_slashes() {
        let mut target = StoreTarget {
            endpoint: None,
            region: "eu-west-1".to_owned(),
            bucket: "dumps".to_owned(),
            prefix: Some("/team/one/".to_owned()),
            path_style: false,
            credentials: StoreCredentials::Ambient,
        };
        assert_eq!(target.url("shop/orders/1"), "s3://dumps/team/one/shop/orders/1");
        assert_eq!(target.endpoint(), "https://s3.eu-west-1.amazonaws.com");
        target.prefix = None;
        assert_eq!(target.key("shop/orders/1"), "shop/orders/1");
    }
}
