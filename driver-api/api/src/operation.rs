//! The operations.

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
    /// Drop the database, or leave it where the policy says so, and let the object go.
    Delete,
    /// Delete what a Backup has stored, where its policy says so, and let the object go.
    DeleteBackup,
    /// Let the object go because its namespace is terminating, where no Job can start any more.
    Release,
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

    /// The name in `DB_OPERATOR_OPERATION`, labels and Job names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Backup => "backup",
            Self::BackupBeforeDelete => "backup-before-delete",
            Self::Restore => "restore",
            Self::Rotate => "rotate",
            Self::Delete => "delete",
            Self::DeleteBackup => "delete-backup",
            Self::Release => "release",
        }
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
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not an operation; operations are create, backup, backup-before-delete, restore, rotate, delete, delete-backup and release"
)]
pub struct UnknownOperation(String);
