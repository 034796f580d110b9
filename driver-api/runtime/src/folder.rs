//! The folder in a bucket in which a backup is kept, and the store that it is in.

use crate::credentials;
use crate::failure::{Failure, Result};
use crate::hidden::Hidden;
use crate::injected::Injected;
use crate::run::Run;
use api::{Backup, BackupLocation, BackupTarget, Database, Reason, S3Credentials, S3Target, env};
use driver::secret::Secret;
use store::{Store, StoreCredentials, StoreTarget, StoredManifest};

/// The field that says where backups go.
pub(crate) const FIELD: &str = "spec.backupTo.s3";

const ACCESS_KEY_ID: &str = "credentials.accessKeyId";
const SECRET_ACCESS_KEY: &str = "credentials.secretAccessKey";
const SESSION_TOKEN: &str = "credentials.sessionToken";

/// Where a backup is kept.
#[derive(Clone)]
pub(crate) struct BackupFolder {
    target: S3Target,
    store: Store,
    path: String,
    recipients: Vec<String>,
}

impl BackupFolder {
    /// The folder `path` in the bucket that `spec.backupTo` names.
    pub(crate) async fn of(run: &mut Run<'_>, path: &str) -> Result<Self> {
        let target = bucket_of(run.record.live())?;
        let store = open(&target, &run.assignment.injected, &mut run.hidden, FIELD).await?;
        let recipients = run.record.live().spec.backup_to.as_ref().map(|to| to.recipients().to_vec());
        Ok(Self { target, store, path: path.to_owned(), recipients: recipients.unwrap_or_default() })
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Its path under the bucket's prefix.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Where it is, for people.
    pub(crate) fn url(&self) -> String {
        self.store.url(&self.path)
    }

    /// The keys that what is written there is encrypted to.
    pub(crate) fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// Where it is, as a status says it.
    pub(crate) fn location(&self) -> BackupLocation {
        BackupLocation { s3: self.target.clone(), path: self.path.clone() }
    }

    /// Another folder in the same bucket.
    pub(crate) fn beside(&self, path: String) -> Self {
        Self { path, ..self.clone() }
    }

    /// Its manifest, if it is complete. A manifest that is another Database's is an error.
    pub(crate) async fn manifest(&self, run: &Run<'_>) -> Result<Option<StoredManifest>> {
        let found = self.store.read_manifest(&self.path).await?;
        match found.as_ref().map(|stored| &stored.manifest.backup.database_uid) {
            Some(uid) if *uid != run.assignment.uid => Err(Failure::new(
                Reason::BackupDamaged,
                format!(
                    "the manifest in {} is of another Database, with uid {uid}: see who writes to that bucket",
                    self.url()
                ),
            )),
            _ => Ok(found),
        }
    }
}

/// The folder of an ordinary Backup, and of nothing else.
pub(crate) fn own_path(backup: &Backup) -> String {
    let metadata = &backup.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("{}/{}/{}", text(&metadata.namespace), backup.spec.database, text(&metadata.uid))
}

/// The folder of the backup `id` of this run's Database.
pub(crate) fn path_of(run: &Run<'_>, id: &str) -> String {
    let assignment = run.assignment;
    format!("{}/{}/{id}", assignment.namespace, assignment.database)
}

/// The bucket that `database` is backed up to.
pub(crate) fn bucket_of(database: &Database) -> Result<S3Target> {
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

/// Fails if something that [`open`] would use is not from where `target` says, which is `field` of a live object. It asks
/// nobody.
pub(crate) fn check(target: &S3Target, injected: &Injected, field: &str) -> Result<()> {
    injected.check_store_ca(target.ca.as_ref(), &format!("{field}.ca"))?;
    let Some(S3Credentials { access_key_id, secret_access_key, session_token }) = &target.credentials else {
        return Ok(());
    };
    let named = [
        (Some(access_key_id), env::S3_ACCESS_KEY_ID, ACCESS_KEY_ID),
        (Some(secret_access_key), env::S3_SECRET_ACCESS_KEY, SECRET_ACCESS_KEY),
        (session_token.as_ref(), env::S3_SESSION_TOKEN, SESSION_TOKEN),
    ];
    for (source, name, of) in named {
        let Some(source) = source else { continue };
        credentials::check_value(source, name, injected, &format!("{field}.{of}"))?;
    }
    Ok(())
}

/// The store of `target`, with the access key that `field` of a spec names. What no message may show is `hidden`.
pub(crate) async fn open(
    target: &S3Target,
    injected: &Injected,
    hidden: &mut Hidden,
    field: &str,
) -> Result<Store> {
    check(target, injected, field)?;
    let credentials = match &target.credentials {
        None => StoreCredentials::Ambient,
        Some(S3Credentials { access_key_id, secret_access_key, session_token }) => {
            let value = async |source, name, of| {
                let value = credentials::value(source, name, injected, &format!("{field}.{of}")).await?;
                // What a file brings ends in a new line, which no key has.
                Ok::<_, Failure>(Secret::new(value.expose().trim()))
            };
            let id = value(access_key_id, env::S3_ACCESS_KEY_ID, ACCESS_KEY_ID).await?;
            let key = value(secret_access_key, env::S3_SECRET_ACCESS_KEY, SECRET_ACCESS_KEY).await?;
            hidden.hide(&key);
            let mut token = None;
            if let Some(source) = session_token {
                let value = value(source, env::S3_SESSION_TOKEN, SESSION_TOKEN).await?;
                hidden.hide(&value);
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
