//! What the operator does about a Backup that is being deleted.

pub mod decide;
pub mod facts;
pub mod say;
