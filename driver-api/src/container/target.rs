//! Where backups go and come from, as the store takes it.

use super::{Run, credentials};
use crate::api::{BackupTarget, Database, S3Target};
use crate::error::{DriverError, ErrorKind, Result};
use crate::store::{Store, StoreCredentials, StoreTarget};

/// The bucket that `database` is backed up to.
pub(super) fn of_database(database: &Database) -> Result<S3Target> {
    database.spec.backup_to.as_ref().and_then(BackupTarget::s3).ok_or_else(|| {
        DriverError::new(
            ErrorKind::Invalid,
            format!(
                "Database {} has no spec.backupTo: say there where backups go, or set spec.deletionPolicy to Delete or Retain",
                database.metadata.name.as_deref().unwrap_or_default()
            ),
        )
    })
}

/// The store of `target`, with the access key that `field` of a spec names.
pub(super) async fn open(target: &S3Target, run: &mut Run<'_>, field: &str) -> Result<Store> {
    let credentials = match &target.credentials {
        None => StoreCredentials::Ambient,
        Some(credentials) => {
            let assignment = run.assignment;
            let field = |name: &str| format!("{field}.credentials.{name}");
            let id = assignment.s3_access_key_id.as_ref();
            let id = credentials::value(&credentials.access_key_id, id, &field("accessKeyId")).await?;
            let key = assignment.s3_secret_access_key.as_ref();
            let key =
                credentials::value(&credentials.secret_access_key, key, &field("secretAccessKey")).await?;
            run.hide(&key);
            let mut token = None;
            if let Some(source) = &credentials.session_token {
                let injected = assignment.s3_session_token.as_ref();
                let value = credentials::value(source, injected, &field("sessionToken")).await?;
                run.hide(&value);
                token = Some(value);
            }
            StoreCredentials::Static {
                access_key_id: id.expose().to_owned(),
                secret_key: key,
                session_token: token,
            }
        }
    };
    Store::new(StoreTarget {
        endpoint: target.endpoint.clone(),
        region: target.region.clone(),
        bucket: target.bucket.clone(),
        prefix: target.prefix.clone(),
        path_style: target.path_style(),
        credentials,
    })
}
