//! What a Job works on. Pure.

use std::sync::Arc;

use api::Operation;
use k8s_openapi::api::core::v1::ObjectReference;

use crate::decision::Wish;
use crate::seen::backup::KnownBackup;
use crate::seen::database::KnownDatabase;

/// An object that a finalizer of ours guards, and that a Job works on.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A Database, whatever its Job does.
    Database(&'a KnownDatabase),
    /// A Backup that is let go. Its Database may be gone.
    Backup(&'a KnownBackup),
}

impl<'a> Subject<'a> {
    pub fn uid(self) -> &'a Arc<str> {
        match self {
            Self::Database(database) => &database.uid,
            Self::Backup(backup) => &backup.uid,
        }
    }

    pub fn namespace(self) -> &'a Arc<str> {
        match self {
            Self::Database(database) => &database.namespace,
            Self::Backup(backup) => &backup.namespace,
        }
    }

    pub fn name(self) -> &'a Arc<str> {
        match self {
            Self::Database(database) => &database.name,
            Self::Backup(backup) => &backup.name,
        }
    }

    pub fn generation(self) -> i64 {
        match self {
            Self::Database(database) => database.generation,
            Self::Backup(backup) => backup.generation,
        }
    }

    /// What is wished for by its annotations: an attempt, a repair.
    pub fn wishes(self) -> (Option<Wish>, Option<Wish>) {
        match self {
            Self::Database(database) => (database.retry, database.reconcile),
            Self::Backup(backup) => (backup.retry, None),
        }
    }

    /// The name of the Database that it is or is about.
    pub fn database(self) -> &'a Arc<str> {
        match self {
            Self::Database(database) => &database.name,
            Self::Backup(backup) => &backup.database,
        }
    }

    /// The name of the `Driver` that works on it.
    pub fn driver(self) -> &'a Arc<str> {
        match self {
            Self::Database(database) => &database.driver,
            Self::Backup(backup) => &backup.driver,
        }
    }

    /// Where its Jobs count: the server, or the store.
    pub fn server(self) -> Arc<str> {
        match self {
            Self::Database(database) => Arc::clone(&database.server),
            Self::Backup(backup) => backup.server(),
        }
    }

    /// Whether its Job for that operation moves rows.
    pub fn moves_data(self, operation: Operation) -> bool {
        match self {
            Self::Database(database) => database.moves_data(operation),
            Self::Backup(_) => false,
        }
    }

    /// What an Event is about.
    pub fn reference(self) -> ObjectReference {
        let kind = match self {
            Self::Database(_) => "Database",
            Self::Backup(_) => "Backup",
        };
        ObjectReference {
            api_version: Some(format!("{}/v1alpha1", api::GROUP)),
            kind: Some(kind.to_owned()),
            name: Some(self.name().to_string()),
            namespace: Some(self.namespace().to_string()),
            uid: Some(self.uid().to_string()),
            ..ObjectReference::default()
        }
    }
}
