//! What is on the server, read from its catalogs. It compares nothing and changes nothing.

pub(crate) mod inside;
pub(crate) mod server;
