//! What a Job works on. Pure.

use api::{Backup, Database};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use crate::job::build::server_key;
use crate::seen::requests::store_key;
use crate::slots::Place;

/// An object that a finalizer of ours guards, and that a Job works on.
#[derive(Clone, Copy, Debug)]
pub enum Guarded<'a> {
    /// A Database, whatever its Job does.
    Database(&'a Database),
    /// A Backup that is let go. Its Database may be gone.
    Backup(&'a Backup),
}

impl<'a> From<&'a Database> for Guarded<'a> {
    fn from(database: &'a Database) -> Self {
        Self::Database(database)
    }
}

impl<'a> From<&'a Backup> for Guarded<'a> {
    fn from(backup: &'a Backup) -> Self {
        Self::Backup(backup)
    }
}

impl<'a> Guarded<'a> {
    /// Its metadata.
    pub fn metadata(self) -> &'a ObjectMeta {
        match self {
            Self::Database(database) => &database.metadata,
            Self::Backup(backup) => &backup.metadata,
        }
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// Its uid.
    pub fn uid(self) -> &'a str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(self) -> &'a str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    /// Its generation.
    pub fn generation(self) -> i64 {
        self.metadata().generation.unwrap_or_default()
    }

    /// The value of an annotation.
    pub fn annotation(self, name: &str) -> Option<&'a str> {
        self.metadata().annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// The name of the Database that it is or is about.
    pub fn database(self) -> &'a str {
        match self {
            Self::Database(_) => self.name(),
            Self::Backup(backup) => &backup.spec.database,
        }
    }

    /// The name of the `Driver` that works on it.
    pub fn driver(self) -> &'a str {
        match self {
            Self::Database(database) => &database.spec.driver,
            Self::Backup(backup) => {
                backup.status.as_ref().and_then(|status| status.driver.as_deref()).unwrap_or_default()
            }
        }
    }

    /// Where a Job of it counts: on the server, or in the store.
    pub fn place(self) -> Place {
        let server = match self {
            Self::Database(database) => server_key(database),
            Self::Backup(backup) => store_key(backup.location().map(|location| &location.s3)),
        };
        Place { namespace: self.namespace().to_owned(), server }
    }

    /// What an Event is about.
    pub fn reference(self) -> ObjectReference {
        match self {
            Self::Database(database) => database.object_ref(&()),
            Self::Backup(backup) => backup.object_ref(&()),
        }
    }
}
