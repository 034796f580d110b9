//! What a dump of this driver holds: the names of its streams, and what a load must know of them.

use std::collections::BTreeSet;

use bytes::Bytes;
use driver_api::dump::{Description, StreamInfo};
use driver_api::{DriverError, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::dump::roles::Roles;
use crate::sql::Sql;

/// Statements that come before the rows.
pub(crate) const BEFORE_DATA: &str = "schema-before-data.sql";
/// Statements that make and fill the large objects.
pub(crate) const LARGE_OBJECTS: &str = "large-objects.sql";
/// Statements that set the sequences.
pub(crate) const SEQUENCES: &str = "sequences.sql";
/// Statements that come after the rows: indexes, keys, triggers, policies.
pub(crate) const AFTER_DATA: &str = "schema-after-data.sql";
/// Statements that fill the materialized views.
pub(crate) const VIEWS: &str = "materialized-views.sql";

/// A stream of statements, which `psql` takes by hand.
pub(crate) fn statements(name: &str) -> StreamInfo {
    StreamInfo { name: name.to_owned(), restore_with: "psql".to_owned() }
}

/// A statement as it is in such a stream.
pub(crate) fn line(statement: &Sql) -> Bytes {
    Bytes::from(format!("{};\n", statement.text()))
}

/// `Description.details`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Contents {
    /// The roles that statements of the dump may name.
    pub(crate) roles: Roles,
    /// Other roles of the server that they name too. An older dump does not say it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) other_roles: BTreeSet<String>,
    /// The encoding of the database.
    pub(crate) encoding: String,
    /// There is a schema `public`; a tenant may drop it.
    pub(crate) has_public: bool,
    /// The tables whose rows are in the dump.
    pub(crate) tables: Vec<TableStream>,
}

/// A stream of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableStream {
    /// The stream's name.
    pub(crate) stream: String,
    /// Schema of the table that takes the rows: of the table itself, or of the root of its partitions.
    pub(crate) schema: String,
    /// Name of the table that takes the rows.
    pub(crate) table: String,
    /// The columns, in the order of the rows' fields. None means all.
    pub(crate) columns: Vec<String>,
}

impl Contents {
    /// Reads `Description.details`.
    pub(crate) fn of(description: &Description) -> Result<Self> {
        serde_json::from_value(description.details.clone()).map_err(|error| {
            DriverError::new(
                ErrorKind::BackupDamaged,
                "the dump does not say what is in it as this driver writes it: it is changed, or of a newer driver",
            )
            .with_source(error)
        })
    }
}

/// The major version of a server that says of itself `17.6 (Debian 17.6-1)`.
pub(crate) fn major(server_version: &str) -> Option<i32> {
    let digits = server_version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_majors() {
        for (version, is) in [("17.6 (Debian 17.6-1)", Some(17)), ("18beta1", Some(18)), ("devel", None)] {
            assert_eq!(major(version), is, "{version}");
        }
    }
}
