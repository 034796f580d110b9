//! Decision → Job.

pub mod build;
pub mod pod;
