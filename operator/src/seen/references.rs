//! Where an object's secrets are, not what they are: all that a Job is built from. Values that are written down in an
//! object are skipped while it is decoded.

use serde::{Deserialize, Deserializer};

/// A key of a Secret or ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KeyReference {
    /// Name of the Secret or ConfigMap.
    pub name: Box<str>,
    /// The key in it.
    pub key: Box<str>,
}

/// Where the certificates of authorities are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// A key of a Secret.
    Secret(KeyReference),
    /// A key of a ConfigMap.
    ConfigMap(KeyReference),
}

/// What a driver needs to log in to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerReferences {
    /// The administrator's user name.
    pub username: Option<KeyReference>,
    /// The administrator's password.
    pub password: Option<KeyReference>,
    /// The authorities that sign the server's certificate.
    pub authorities: Option<Authorities>,
    /// The Secret with the client certificate and its key.
    pub client_certificate: Option<Box<str>>,
}

/// What a run needs to log in to an object store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreReferences {
    /// The id of the access key.
    pub access_key_id: Option<KeyReference>,
    /// The access key's secret.
    pub secret_access_key: Option<KeyReference>,
    /// The session token.
    pub session_token: Option<KeyReference>,
    /// The authorities that sign the store's certificate.
    pub authorities: Option<Authorities>,
}

/// Where a backup is taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceReferences {
    /// The Backup that is named.
    pub backup: Option<std::sync::Arc<str>>,
    /// The place that is named instead.
    pub location: Option<StoreReferences>,
    /// The private key of an encrypted backup.
    pub decryption_key: Option<KeyReference>,
}

/// A bucket, as far as caps and Events speak of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Its store, as caps count it.
    pub address: Box<str>,
    /// What of it is the Backup's, for people.
    pub url: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ValueSource {
    value_from: Option<ValueFrom>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ValueFrom {
    secret_key_ref: Option<KeyReference>,
    config_map_key_ref: Option<KeyReference>,
}

impl ValueSource {
    fn secret(self) -> Option<KeyReference> {
        self.value_from?.secret_key_ref
    }
}

impl ValueFrom {
    fn authorities(self) -> Option<Authorities> {
        let secret = self.secret_key_ref.map(Authorities::Secret);
        secret.or_else(|| self.config_map_key_ref.map(Authorities::ConfigMap))
    }
}

/// `spec.credentials` and `spec.connect` of a Database.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Credentials {
    username: ValueSource,
    password: ValueSource,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Connect {
    pub(super) host: Box<str>,
    tls: Option<Tls>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tls {
    ca: ValueSource,
    client_certificate: Option<ClientCertificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientCertificate {
    secret_name: Box<str>,
}

impl ServerReferences {
    pub(super) fn of(credentials: Credentials, connect: Connect) -> Self {
        let tls = connect.tls.unwrap_or_default();
        Self {
            username: credentials.username.secret(),
            password: credentials.password.secret(),
            authorities: tls.ca.value_from.and_then(ValueFrom::authorities),
            client_certificate: tls.client_certificate.map(|certificate| certificate.secret_name),
        }
    }
}

/// `s3` of a target.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct S3 {
    region: Box<str>,
    bucket: Box<str>,
    prefix: Option<Box<str>>,
    endpoint: Option<Box<str>>,
    credentials: S3Credentials,
    ca: Option<ValueFrom>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct S3Credentials {
    access_key_id: ValueSource,
    secret_access_key: ValueSource,
    session_token: ValueSource,
}

impl From<S3> for StoreReferences {
    fn from(s3: S3) -> Self {
        let S3Credentials { access_key_id, secret_access_key, session_token } = s3.credentials;
        Self {
            access_key_id: access_key_id.secret(),
            secret_access_key: secret_access_key.secret(),
            session_token: session_token.secret(),
            authorities: s3.ca.and_then(ValueFrom::authorities),
        }
    }
}

/// `status.location` of a Backup, or `from.location`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Location {
    s3: S3,
    path: Box<str>,
}

impl Location {
    pub(super) fn bucket(&self) -> Bucket {
        let S3 { region, bucket, prefix, endpoint, .. } = &self.s3;
        let address = endpoint.as_ref().unwrap_or(region).to_ascii_lowercase();
        let parts = [bucket, prefix.as_deref().unwrap_or_default(), &self.path];
        let parts = parts.map(|part| part.trim_matches('/')).into_iter().filter(|part| !part.is_empty());
        let url = format!("s3://{}", parts.collect::<Vec<_>>().join("/"));
        Bucket { address: address.into(), url: url.into() }
    }

    pub(super) fn references(self) -> StoreReferences {
        self.s3.into()
    }
}

/// `from` of a Restore, and `restoreFrom` of a Database.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct From_ {
    backup: Option<Box<str>>,
    location: Option<Location>,
    decryption_key: ValueSource,
}

impl<'de> Deserialize<'de> for SourceReferences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let From_ { backup, location, decryption_key } = From_::deserialize(deserializer)?;
        Ok(Self {
            backup: backup.map(Into::into),
            location: location.map(Location::references),
            decryption_key: decryption_key.secret(),
        })
    }
}
