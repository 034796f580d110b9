//! Who the requests are from.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use s3::bucket::Bucket;
use s3::creds::Credentials;
use s3::region::Region;
use tokio::sync::Mutex;

use super::fault::Fault;
use super::target::{StoreCredentials, StoreTarget};
use crate::container::ambient_credentials;
use crate::error::{DriverError, ErrorKind, Result};

/// How long before they run out credentials are renewed.
const MARGIN: Duration = Duration::from_mins(5);

/// A bucket with credentials that are good for now.
#[derive(Debug)]
pub(super) struct Login {
    ambient: Option<SharedCredentialsProvider>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    bucket: Bucket,
    /// Whether `bucket` has credentials.
    signed: Option<Arc<Bucket>>,
    expires: Option<SystemTime>,
}

impl Login {
    /// The target's login. It asks nobody yet.
    pub(super) fn new(target: &StoreTarget, timeout: Duration) -> Result<Self> {
        let invalid = |why: String| {
            let message =
                format!("bucket {:?} at {} cannot be used: {why}", target.bucket, target.endpoint());
            DriverError::new(ErrorKind::Invalid, message)
        };
        let region = Region::Custom { region: target.region.clone(), endpoint: target.endpoint() };
        let credentials = match &target.credentials {
            StoreCredentials::Static { access_key_id, secret_key, session_token } => Some(Credentials::new(
                Some(access_key_id),
                Some(secret_key.expose()),
                None,
                session_token.as_ref().map(crate::Secret::expose),
                None,
            )),
            StoreCredentials::Ambient => None,
        };
        let credentials = credentials.transpose().map_err(|error| invalid(error.to_string()))?;
        let is_static = credentials.is_some();
        let anonymous = || Credentials::anonymous().map_err(|error| invalid(error.to_string()));
        let credentials = credentials.map_or_else(anonymous, Ok)?;
        let mut bucket =
            *Bucket::new(&target.bucket, region, credentials).map_err(|error| invalid(error.to_string()))?;
        if target.path_style {
            bucket.set_path_style();
        }
        bucket.set_request_timeout(Some(timeout));
        let signed = is_static.then(|| Arc::new(bucket.clone()));
        let ambient = (!is_static).then(|| ambient_credentials(&target.region));
        Ok(Self { ambient, current: Mutex::new(Current { bucket, signed, expires: None }) })
    }

    /// The bucket with credentials that last for some minutes.
    pub(super) async fn bucket(&self) -> Result<Arc<Bucket>, Fault> {
        let mut current = self.current.lock().await;
        let due = current.expires.is_some_and(|expires| expires < SystemTime::now() + MARGIN);
        if let (Some(signed), false) = (&current.signed, due && self.ambient.is_some()) {
            return Ok(Arc::clone(signed));
        }
        let Some(provider) = &self.ambient else {
            return Err(Fault::denied("there are no credentials".to_owned()));
        };
        let found = provider.provide_credentials().await;
        let found = found.map_err(|error| {
            let why = aws_sdk_secretsmanager::error::DisplayErrorContext(&error).to_string();
            match error {
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                    Fault::denied(format!("the pod has no AWS credentials: {why}"))
                }
                // A token service that fails for a moment must not end a long upload.
                _ => Fault::broken(format!("cannot renew the AWS credentials: {why}")),
            }
        })?;
        let credentials = Credentials::new(
            Some(found.access_key_id()),
            Some(found.secret_access_key()),
            None,
            found.session_token(),
            None,
        );
        let credentials = credentials.map_err(|error| Fault::denied(error.to_string()))?;
        let mut bucket = current.bucket.clone();
        bucket.set_credentials(credentials);
        let signed = Arc::new(bucket);
        current.signed = Some(Arc::clone(&signed));
        current.expires = found.expiry();
        Ok(signed)
    }

    /// Makes the next request ask for new credentials. It answers no where there are no others to be had.
    pub(super) async fn forget(&self) -> bool {
        if self.ambient.is_some() {
            self.current.lock().await.signed = None;
        }
        self.ambient.is_some()
    }
}
