//! What whoever steals one of our tokens can do with it: each way out is tried with a real token, and the answers are
//! the tables of docs/security.md.

mod allowed;
mod attempt;
mod cluster_id;
mod driver;
mod jobs;
mod operator;
mod page;
mod put_out;
mod release;
mod token;
