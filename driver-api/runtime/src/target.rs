//! Where backups go and come from, as the store takes it.

use crate::credentials;
use crate::env::Assignment;
use crate::failure::{Failure, Result};
use api::Reason;
use api::{BackupTarget, Database, S3Target};
use driver::secret::Secret;
use store::{Store, StoreCredentials, StoreTarget};

/// The bucket that `database` is backed up to.
pub(crate) fn of_database(database: &Database) -> Result<S3Target> {
    database.spec.backup_to.as_ref().and_then(BackupTarget::s3).ok_or_else(|| {
        Failure::new(
            Reason::Invalid,
            format!(
                "Database {} has no spec.backupTo: say there where backups go, or set spec.deletionPolicy to Delete or Retain",
                database.metadata.name.as_deref().unwrap_or_default()
            ),
        )
    })
}

/// The store of `target`, with the access key that `field` of a spec names. What no message may show is `hidden`.
pub(crate) async fn open(
    target: &S3Target,
    assignment: &Assignment,
    hidden: &mut Vec<Secret>,
    field: &str,
) -> Result<Store> {
    let credentials = match &target.credentials {
        None => StoreCredentials::Ambient,
        Some(credentials) => {
            let field = |name: &str| format!("{field}.credentials.{name}");
            let id = assignment.s3_access_key_id.as_ref();
            let id = credentials::value(&credentials.access_key_id, id, &field("accessKeyId")).await?;
            let key = assignment.s3_secret_access_key.as_ref();
            let key =
                credentials::value(&credentials.secret_access_key, key, &field("secretAccessKey")).await?;
            hidden.push(key.clone());
            let mut token = None;
            if let Some(source) = &credentials.session_token {
                let injected = assignment.s3_session_token.as_ref();
                let value = credentials::value(source, injected, &field("sessionToken")).await?;
                hidden.push(value.clone());
                token = Some(value);
            }
            StoreCredentials::Static {
                access_key_id: id.expose().to_owned(),
                secret_key: key,
                session_token: token,
            }
        }
    };
    Ok(Store::new(StoreTarget {
        endpoint: target.endpoint.clone(),
        region: target.region.clone(),
        bucket: target.bucket.clone(),
        prefix: target.prefix.clone(),
        path_style: target.path_style(),
        credentials,
    })?)
}
