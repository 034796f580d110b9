//! The operations, one file each.

pub(crate) mod backup;
pub(crate) mod backup_before_delete;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod delete_backup;
pub(crate) mod restore;
