//! Decision → Job.

pub mod parts;

mod environment;
pub mod pod;

pub mod build;
