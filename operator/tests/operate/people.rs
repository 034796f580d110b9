//! What people do, by seed: they make Databases, Backups and Restores, change them, delete them, and write nonsense.
