//! What the operator does about a Database.

pub mod decide;
pub mod facts;
pub mod say;
