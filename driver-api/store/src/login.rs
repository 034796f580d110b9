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
use crate::aws::ambient_credentials;
use driver::error::{DriverError, ErrorKind, Result};

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
    pub(super) fn new(target: &StoreTarget) -> Result<Self> {
        let ambient = match &target.credentials {
            StoreCredentials::Static { .. } => None,
            StoreCredentials::Ambient => Some(ambient_credentials(&target.region)),
        };
        Self::with(target, ambient)
    }

    fn with(target: &StoreTarget, ambient: Option<SharedCredentialsProvider>) -> Result<Self> {
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
                session_token.as_ref().map(driver::Secret::expose),
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
        let signed = is_static.then(|| Arc::new(bucket.clone()));
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
            let is_missing = matches!(
                error,
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
            );
            if is_missing {
                return Fault::denied(format!("the pod has no AWS credentials: {why}"));
            }
            // A token service that fails for a moment must not end a long upload.
            Fault::broken(format!("cannot renew the AWS credentials: {why}"))
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

    /// Makes the next request ask for new credentials. It answers no if there are no others to be had.
    pub(super) async fn forget(&self) -> bool {
        if self.ambient.is_some() {
            self.current.lock().await.signed = None;
        }
        self.ambient.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_credential_types::Credentials as Found;
    use aws_credential_types::provider::future::ProvideCredentials as Provided;

    use super::*;

    /// Gives credentials that last for `minutes`, and counts how often. Its third time it fails for a moment.
    #[derive(Debug)]
    struct Counting {
        minutes: u64,
        asked: Arc<AtomicU64>,
    }

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> Provided<'a>
        where
            Self: 'a,
        {
            let time = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            let expiry = SystemTime::now() + Duration::from_mins(self.minutes);
            Provided::ready(match time {
                3 => Err(CredentialsError::provider_error("the token service is away")),
                4 => Err(CredentialsError::not_loaded("nothing is set")),
                _ => Ok(Found::new(
                    format!("key-{time}"),
                    "hunter2",
                    Some("token".to_owned()),
                    Some(expiry),
                    "test",
                )),
            })
        }
    }

    fn login(minutes: u64) -> (Login, Arc<AtomicU64>) {
        let target = StoreTarget {
            endpoint: None,
            region: "eu-west-1".to_owned(),
            bucket: "dumps".to_owned(),
            prefix: None,
            path_style: false,
            credentials: StoreCredentials::Ambient,
        };
        let asked = Arc::new(AtomicU64::new(0));
        let provider = SharedCredentialsProvider::new(Counting { minutes, asked: Arc::clone(&asked) });
        (Login::with(&target, Some(provider)).unwrap(), asked)
    }

    #[tokio::test]
    async fn credentials_are_kept_while_they_last_and_renewed_before_they_run_out() {
        let (lasting, asked) = login(60);
        for _ in 0..3 {
            let bucket = lasting.bucket().await.unwrap();
            assert_eq!(bucket.access_key().await.unwrap().as_deref(), Some("key-1"));
            assert_eq!(bucket.session_token().await.unwrap().as_deref(), Some("token"));
            assert_eq!(bucket.url(), "https://dumps.s3.eu-west-1.amazonaws.com");
        }
        assert!(lasting.forget().await);
        assert_eq!(lasting.bucket().await.unwrap().access_key().await.unwrap().as_deref(), Some("key-2"));
        assert_eq!(asked.load(Ordering::Relaxed), 2);

        let (brief, asked) = login(4);
        for _ in 0..2 {
            brief.bucket().await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        let moment = brief.bucket().await.unwrap_err();
        assert!(moment.passes(), "{moment:?}");
        let nothing = brief.bucket().await.unwrap_err();
        assert!(!nothing.passes() && nothing.message.contains("no AWS credentials"), "{nothing:?}");
    }
}
