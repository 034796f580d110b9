//! The second program in the operator's image: it takes our finalizer off what a terminating namespace waits for.
//!
//! It is a crate of its own so that the operator's program links nothing that writes what it watches.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::release()
}
