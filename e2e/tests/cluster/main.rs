//! What users are promised, shown on a real cluster. One binary: each would cost its link time.

#![allow(clippy::disallowed_methods, reason = "tests act as users, who write and delete what they like")]
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::large_futures, reason = "a test's future is made once, and moved twice")]

mod api;
mod backups;
mod credentials;
mod deletion;
mod docs;
mod driver_pods;
mod final_backups;
mod interruptions;
mod lifecycle;
mod operator;
mod people;
mod rbac;
mod refusals;
mod repair;
mod restores;
mod rights;
mod secrecy;
mod stored_data;
