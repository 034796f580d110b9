//! Who has rights on a database, as the server itself looks them up.

use driver_api::Result;

use crate::connect::Connection;
use crate::layout::Layout;
use crate::session::About;
use crate::sql;

/// Somebody's rights on the database, or on one of its tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) name: String,
    pub(crate) host: String,
    /// What the rights are stored under: a pattern, or a name.
    pub(crate) pattern: String,
    /// The table, if they are on one alone.
    pub(crate) table: Option<String>,
    /// What it may, such as `CREATE VIEW`.
    pub(crate) privileges: Vec<String>,
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

/// What nothing can be written with.
const READING: [&str; 6] =
    ["SELECT", "SHOW VIEW", "LOCK TABLES", "REFERENCES", "SHOW CREATE ROUTINE", "GRANT OPTION"];

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
                privilege if privilege.ends_with("_priv") && connection.cell::<String>(row, at)? == "Y" => {
                    grant.privileges.push(sql::privilege(privilege));
                }
                _ => {}
            }
        }
        grant.may_write = may_write(&grant.privileges);
        grants.push(grant);
    }
    let rows = connection.rows(TABLES, (&layout.database,), doing).await?;
    for row in &rows {
        let spelled = connection.cell::<Option<String>>(row, 3)?.unwrap_or_default();
        let mut privileges: Vec<_> =
            spelled.split(',').filter(|spelled| !spelled.is_empty()).map(sql::privilege).collect();
        privileges.sort();
        privileges.dedup();
        let may_write = may_write(&privileges);
        grants.push(Grant {
            name: connection.cell(row, 0)?,
            host: connection.cell(row, 1)?,
            pattern: layout.database.clone(),
            table: Some(connection.cell(row, 2)?),
            privileges,
            may_write,
        });
    }
    Ok(grants)
}

fn may_write(privileges: &[String]) -> bool {
    privileges.iter().any(|privilege| !READING.contains(&privilege.as_str()))
}
