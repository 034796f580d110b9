//! The statements that move data.

use std::fmt::Write as _;

use crate::sql::text::{Ident, Literal, Sql};

/// A table, view or sequence with its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Qualified {
    schema: Ident,
    name: Ident,
}

impl Qualified {
    /// Quotes both names.
    pub(crate) fn new(schema: &str, name: &str) -> Self {
        Self { schema: Ident::new(schema), name: Ident::new(name) }
    }
}

impl std::fmt::Display for Qualified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A statement of a dump, which the tenant wrote. It MUST run with the tenant's rights only.
pub(crate) fn of_dump(text: String) -> Sql {
    Sql(text)
}

pub(crate) fn act_as_group(group: &Ident) -> Sql {
    Sql(format!("SET ROLE {group}"))
}

/// Keeps a view that somebody put in a table's place from running its functions, in the versions that can.
pub(crate) fn refuse_views() -> Sql {
    Sql("SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings \
        WHERE name = 'restrict_nonsystem_relation_kind'"
        .to_owned())
}

/// A transaction that sees one state of the database.
pub(crate) fn begin_reading() -> Sql {
    Sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned())
}

pub(crate) fn rollback() -> Sql {
    Sql("ROLLBACK".to_owned())
}

/// Lets a transaction see what another one sees.
pub(crate) fn see_snapshot(snapshot: &str) -> Sql {
    Sql(format!("SET TRANSACTION SNAPSHOT {}", Literal::new(snapshot)))
}

/// Keeps tables from being changed in shape, emptied or dropped. Rows may be written.
pub(crate) fn lock_tables<'a>(tables: impl IntoIterator<Item = &'a Qualified>) -> Sql {
    let tables: Vec<_> = tables.into_iter().map(|table| format!("ONLY {table}")).collect();
    Sql(format!("LOCK TABLE {} IN ACCESS SHARE MODE", tables.join(", ")))
}

fn columns(columns: &[String]) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let columns: Vec<_> = columns.iter().map(|column| Ident::new(column).to_string()).collect();
    format!(" ({})", columns.join(", "))
}

/// The rows of a table; of an extension's table those that the extension's `condition` says.
pub(crate) fn copy_out(table: &Qualified, names: &[String], condition: Option<&str>) -> Sql {
    let Some(condition) = condition else {
        return Sql(format!("COPY {table}{} TO STDOUT", columns(names)));
    };
    let names: Vec<_> = names.iter().map(|name| Ident::new(name).to_string()).collect();
    // The condition is of the extension's script, and begins with WHERE if there is one.
    Sql(format!("COPY (SELECT {} FROM ONLY {table} {condition}) TO STDOUT", names.join(", ")))
}

/// Whether an extension's table has a row that its `condition` says.
pub(crate) fn first_row(table: &Qualified, condition: &str) -> Sql {
    Sql(format!("SELECT 1 FROM ONLY {table} {condition} LIMIT 1"))
}

pub(crate) fn copy_in(table: &Qualified, names: &[String]) -> Sql {
    Sql(format!("COPY {table}{} FROM STDIN", columns(names)))
}

/// Reads where sequences are, one row each.
pub(crate) fn read_sequences<'a>(sequences: impl IntoIterator<Item = &'a Qualified>) -> Sql {
    let selects: Vec<_> = sequences
        .into_iter()
        .enumerate()
        .map(|(at, sequence)| format!("SELECT {at}, last_value, is_called FROM {sequence}"))
        .collect();
    Sql(selects.join(" UNION ALL "))
}

/// Sets a sequence.
pub(crate) fn set_sequence(sequence: &Qualified, value: i64, is_called: bool) -> Sql {
    let name = Literal::new(&sequence.to_string());
    Sql(format!("SELECT pg_catalog.setval({name}, {value}, {is_called})"))
}

pub(crate) fn refresh(view: &Qualified) -> Sql {
    Sql(format!("REFRESH MATERIALIZED VIEW {view}"))
}

pub(crate) fn create_large_object(oid: u32) -> Sql {
    Sql(format!("SELECT pg_catalog.lo_create({oid})"))
}

/// Writes a part of a large object.
pub(crate) fn write_large_object(oid: u32, offset: i64, bytes: &[u8]) -> Sql {
    let mut text = String::with_capacity(bytes.len() * 2 + 64);
    let _ = write!(text, "SELECT pg_catalog.lo_put({oid}, {offset}, '\\x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str("')");
    Sql(text)
}

pub(crate) fn comment_on_large_object(oid: u32, comment: &str) -> Sql {
    Sql(format!("COMMENT ON LARGE OBJECT {oid} IS {}", Literal::new(comment)))
}

/// Grants a right on a large object; to PUBLIC if no role is named.
pub(crate) fn grant_on_large_object(oid: u32, update: bool, role: Option<&str>) -> Sql {
    let right = if update { "UPDATE" } else { "SELECT" };
    let role = role.map_or_else(|| "PUBLIC".to_owned(), |role| Ident::new(role).to_string());
    Sql(format!("GRANT {right} ON LARGE OBJECT {oid} TO {role}"))
}

/// Drops schema `public`, which the database that a dump is of may not have.
pub(crate) fn drop_public() -> Sql {
    Sql("DROP SCHEMA public".to_owned())
}
