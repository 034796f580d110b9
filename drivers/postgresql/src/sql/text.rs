//! Names and values in the text of SQL.

use std::fmt;

use driver_api::Secret;
use postgres_protocol::escape::{escape_identifier, escape_literal};

/// A name in SQL text, quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ident(String);

impl Ident {
    /// Quotes a name.
    pub(crate) fn new(name: &str) -> Self {
        Self(escape_identifier(name))
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A string in SQL text, quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal(String);

impl Literal {
    /// Quotes a string.
    pub(crate) fn new(text: &str) -> Self {
        Self(escape_literal(text))
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the server stores of a password: enough to check it, not enough to log in. So the server's log and
/// `pg_stat_activity` never hold the password itself.
#[derive(Clone)]
pub(crate) struct Verifier(pub(super) String);

impl Verifier {
    /// The SCRAM-SHA-256 verifier of a password, with a new salt each time.
    pub(crate) fn of(password: &Secret) -> Self {
        Self(postgres_protocol::password::scram_sha_256(password.expose().as_bytes()))
    }
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sql(pub(super) String);

impl Sql {
    /// One message with several statements. The server runs it as one transaction: all or nothing.
    pub(crate) fn batch<'a>(statements: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut text = String::new();
        for statement in statements {
            text.push_str(&statement.0);
            text.push_str(";\n");
        }
        Self(text)
    }

    /// The text for the server.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}
