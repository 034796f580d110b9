//! Where dumps are kept.

mod client;
mod fault;
mod login;
mod retry;
mod target;
