//! The rules that a driver has to keep, a test each.
//!
//! An author implements [`Harness`], which says what only they can say, and writes one line in a test:
//!
//! ```ignore
//! driver_api::testkit::conformance!(MyHarness);
//! ```
//!
//! Each rule quotes the sentence of the contract that it shows. [`RULES`] is the list of them; a broken variant of an engine
//! in memory is caught by each, so none of them is toothless. What an engine cannot do it says with a reason
//! ([`Harness::cannot`]), and the test says what it could not show.

mod case;
mod harness;
mod proxy;
mod rules;
mod source;

pub mod content;
pub mod death;
pub mod exclusion;
pub mod faults;
pub mod hostile;
pub mod lockout;
pub mod login;
pub mod observation;
pub mod ownership;
pub mod repetition;
pub mod secrets;

pub use case::{Case, Failure, Kit, Outcome, PASSWORD, ROWS, Session};
pub use harness::{Ability, Harness};
pub use proxy::{Cut, Proxy};
pub use rules::{RULES, Report, Rule, check, run};
pub use source::{Damage, DamagedDump, DamagedReader};

#[cfg(test)]
mod tests;
