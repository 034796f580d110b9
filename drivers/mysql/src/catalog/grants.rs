//! Who has rights on a database, as the server itself looks them up.

use driver_api::Result;

use crate::connect::Connection;
use crate::layout::Layout;
use crate::session::About;

/// Somebody's rights on the database, or on one of its tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) name: String,
    pub(crate) host: String,
    /// What the rights are stored under: a pattern, or a name.
    pub(crate) pattern: String,
    /// The table, if they are on one alone.
    pub(crate) table: Option<String>,
    /// The columns of `mysql.db` that say yes, such as `Select_priv`.
    pub(crate) columns: Vec<String>,
    /// It may change data or tables.
    pub(crate) may_write: bool,
}

impl Grant {
    /// Whether it is not one of our accounts that has them.
    pub(crate) fn is_others(&self, layout: &Layout) -> bool {
        self.host != "%" || !layout.accounts().contains(&self.name.as_str())
    }

    /// How errors name it.
    pub(crate) fn text(&self) -> String {
        let Self { name, host, pattern, table, .. } = self;
        match table {
            Some(table) => format!("{name}@{host} has rights on table {pattern}.{table}"),
            None => format!("{name}@{host} has rights on {pattern}"),
        }
    }
}

const WILDCARDS: &str = "SELECT * FROM mysql.db WHERE ? LIKE Db";
const LITERAL: &str = "SELECT * FROM mysql.db WHERE ? = Db";
const TABLES: &str = "SELECT User, Host, Table_name, CONCAT(Table_priv, ',', Column_priv) \
    FROM mysql.tables_priv WHERE Db = ?";

/// The columns of `mysql.db` by which nothing can be written.
const READING: [&str; 6] = [
    "select_priv",
    "show_view_priv",
    "lock_tables_priv",
    "references_priv",
    "show_create_routine_priv",
    "grant_priv",
];

/// Reads all rights that are on this database, under its own name or a pattern.
pub(crate) async fn read(connection: &mut Connection, layout: &Layout, about: About) -> Result<Vec<Grant>> {
    let doing = "cannot look who has rights on the database";
    let query = if about.wildcards { WILDCARDS } else { LITERAL };
    let rows = connection.rows(query, (&layout.database,), doing).await?;
    let mut grants = Vec::new();
    for row in &rows {
        let mut grant = Grant::default();
        for (at, column) in row.columns_ref().iter().enumerate() {
            let name = column.name_str();
            match name.to_lowercase().as_str() {
                "user" => grant.name = connection.cell(row, at)?,
                "host" => grant.host = connection.cell(row, at)?,
                "db" => grant.pattern = connection.cell(row, at)?,
                privilege if privilege.ends_with("_priv") => {
                    if connection.cell::<String>(row, at)? == "Y" {
                        grant.may_write |= !READING.contains(&privilege);
                        grant.columns.push(name.into_owned());
                    }
                }
                _ => {}
            }
        }
        grants.push(grant);
    }
    let rows = connection.rows(TABLES, (&layout.database,), doing).await?;
    for row in &rows {
        let privileges = connection.cell::<Option<String>>(row, 3)?.unwrap_or_default().to_lowercase();
        let reads = ["select", "references", "grant", "show view", ""];
        grants.push(Grant {
            name: connection.cell(row, 0)?,
            host: connection.cell(row, 1)?,
            pattern: layout.database.clone(),
            table: Some(connection.cell(row, 2)?),
            columns: Vec::new(),
            may_write: privileges.split(',').any(|privilege| !reads.contains(&privilege)),
        });
    }
    Ok(grants)
}
