//! A Backup that is being deleted, as far as decisions and Jobs read it.

use std::sync::Arc;

use super::metadata::{Metadata, Uid};
use super::references::{Bucket, StoreReferences};
use crate::decision::Wish;

/// A Backup that somebody deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBackup {
    pub uid: Uid,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether our finalizer is set, so that something may be in the store.
    pub guarded: bool,
    /// `db.isotoma.com/retry`.
    pub retry: Option<Wish>,
    /// Whether what it stored is to be deleted with it.
    pub deletes_what_is_stored: bool,
    /// Name of the Database that it is of.
    pub database: Arc<str>,
    /// Name of the `Driver` that wrote it.
    pub driver: Arc<str>,
    /// The Job that wrote it.
    pub written_by: Option<Box<str>>,
    /// Where it is stored.
    pub bucket: Option<Arc<Bucket>>,
    /// Where the keys of that bucket are.
    pub store: Arc<StoreReferences>,
}

impl KnownBackup {
    /// What an object's metadata says, and nothing else yet.
    pub(super) fn of(metadata: &Metadata, database: &Arc<str>) -> Self {
        Self {
            uid: Arc::clone(&metadata.uid),
            namespace: Arc::clone(&metadata.namespace),
            name: Arc::clone(&metadata.name),
            generation: metadata.generation,
            guarded: metadata.finalizers.backup,
            retry: metadata.annotations.retry,
            deletes_what_is_stored: false,
            database: Arc::clone(database),
            driver: Arc::default(),
            written_by: None,
            bucket: None,
            store: Arc::default(),
        }
    }

    /// The store, as caps count it.
    pub fn server(&self) -> Arc<str> {
        self.bucket.as_ref().map(|bucket| Arc::from(&*bucket.address)).unwrap_or_default()
    }
}
