//! The documentation: every YAML is what it claims to be, every link leads somewhere, and what others are to run runs.

mod argo;
mod examples;
mod facts;
mod links;
mod logs;
pub(crate) mod pages;
