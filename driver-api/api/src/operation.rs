//! The operations: what a Job does. One row each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a Job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Make the database, or repair it.
    Create,
    /// Write a backup.
    Backup,
    /// Lock the logins out, write the final backup and verify it.
    BackupBeforeDelete,
    /// Load a backup.
    Restore,
    /// Replace the login's password.
    Rotate,
    /// Drop the database, or leave it if the policy says so, and let the object go.
    Delete,
    /// Delete what a Backup has stored, if its policy says so, and let the object go.
    DeleteBackup,
    /// Let the object go because its namespace is terminating, so that no Job can start any more.
    Release,
}

/// What a run works on, and its attempts are counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A generation of a Database.
    Database,
    /// A Backup of a Database, until it is complete.
    Backup,
    /// A Restore of a Database, until it is complete.
    Restore,
    /// A generation of a Backup that is being deleted, whose Database may be gone.
    DeletedBackup,
    /// A generation of a Database or Backup that is being deleted with its namespace.
    Deleted,
}

/// Which keys of the object store a run is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAccess {
    /// None.
    None,
    /// Those of the bucket that the Database is backed up to.
    BackupTarget,
    /// Those of the bucket that a backup is loaded from, with its decryption key.
    Source,
    /// Those of the bucket that the Backup is stored in.
    Stored,
}

/// All that is the same for every run of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in `DB_OPERATOR_OPERATION`, in labels, and in the names of Jobs.
    pub name: &'static str,
    /// What it was called in the names of Jobs by earlier releases.
    pub formerly: Option<&'static str>,
    /// What it works on.
    pub subject: Subject,
    /// Whether it connects to the database's server, so that only the image of its own Driver can do it, and is given
    /// the administrator's login.
    pub connects: bool,
    /// Whether it moves the rows of a database, whatever the database is. (A create does when it loads a backup.)
    pub moves_data: bool,
    /// Whether it runs in the operator's namespace, by the operator's image, and not in the object's by a driver's.
    pub in_operator_namespace: bool,
    /// Which keys of the object store it needs.
    pub store: StoreAccess,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Backup,
        Self::BackupBeforeDelete,
        Self::Restore,
        Self::Rotate,
        Self::Delete,
        Self::DeleteBackup,
        Self::Release,
    ];

    /// What is the same for every run of it.
    #[rustfmt::skip]
    pub const fn row(self) -> Row {
        const MOST: Row = Row {
            name: "",
            formerly: None,
            subject: Subject::Database,
            connects: true,
            moves_data: false,
            in_operator_namespace: false,
            store: StoreAccess::None,
        };
        use StoreAccess as Access;
        match self {
            Self::Create => Row { name: "create", store: Access::Source, ..MOST },
            Self::Backup => Row { name: "backup", subject: Subject::Backup, moves_data: true, store: Access::BackupTarget, ..MOST },
            Self::BackupBeforeDelete => Row { name: "backup-before-delete", formerly: Some("final"), moves_data: true, store: Access::BackupTarget, ..MOST },
            Self::Restore => Row { name: "restore", subject: Subject::Restore, moves_data: true, store: Access::Source, ..MOST },
            Self::Rotate => Row { name: "rotate", ..MOST },
            Self::Delete => Row { name: "delete", store: Access::BackupTarget, ..MOST },
            Self::DeleteBackup => Row { name: "delete-backup", formerly: Some("purge"), subject: Subject::DeletedBackup, connects: false, store: Access::Stored, ..MOST },
            Self::Release => Row { name: "release", subject: Subject::Deleted, connects: false, in_operator_namespace: true, ..MOST },
        }
    }

    /// Its name in `DB_OPERATOR_OPERATION`, in labels, and in the names of Jobs.
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(name: &str) -> Result<Self, UnknownOperation> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.as_str() == name)
            .ok_or_else(|| UnknownOperation(name.to_owned()))
    }
}

/// No operation has that name.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownOperation(String);

impl std::fmt::Display for UnknownOperation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = Operation::ALL.map(Operation::as_str).join(", ");
        write!(f, "{:?} is not an operation; operations are {names}", self.0)
    }
}

impl std::error::Error for UnknownOperation {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_own_row_and_its_names_are_unique() {
        let mut names = std::collections::BTreeSet::new();
        for operation in Operation::ALL {
            let row = operation.row();
            for name in [Some(row.name), row.formerly].into_iter().flatten() {
                assert!(names.insert(name), "{name} is used twice");
                assert!(name.len() <= 20, "{name} leaves no room in the names of Jobs");
            }
            assert_eq!(row.name.parse(), Ok(operation));
            assert_eq!(serde_json::to_value(operation).unwrap(), row.name);
        }
        let error = "purge".parse::<Operation>().unwrap_err().to_string();
        assert!(
            error.contains("\"purge\" is not an operation") && error.contains("delete-backup"),
            "{error}"
        );
    }
}
