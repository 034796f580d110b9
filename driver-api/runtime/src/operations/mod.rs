//! The operations, one file each.

pub(crate) mod backup;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod delete_backup;
pub(crate) mod final_backup;
pub(crate) mod restore;
