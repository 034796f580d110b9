//! The kinds that are watched.

/// A kind that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Our Databases.
    Database,
    /// Our Backups.
    Backup,
    /// Our Restores.
    Restore,
    /// Our Drivers.
    Driver,
    /// Jobs with our label.
    Job,
    /// Namespaces.
    Namespace,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Database, Self::Backup, Self::Restore, Self::Driver, Self::Job, Self::Namespace];

    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "Database",
            Self::Backup => "Backup",
            Self::Restore => "Restore",
            Self::Driver => "Driver",
            Self::Job => "Job",
            Self::Namespace => "Namespace",
        }
    }
}
