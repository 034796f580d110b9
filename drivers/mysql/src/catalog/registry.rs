//! Our own table on the server: whose is what. Neither engine has a place for a mark at a database or an account.
//!
//! An entry is an intent until what it is about has been created by the statement that came after it. No tenant has a
//! right on that schema.

use driver_api::Result;

use crate::connect::{Connection, code_of};
use crate::fault::{Carries, code};
use crate::layout::Layout;
use crate::session::Session;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Database,
    Account,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Account => "account",
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) mark: String,
    /// It was created by us, and is no intent any more.
    pub(crate) confirmed: bool,
    /// By what an account is known that is an intent.
    pub(crate) proof: String,
}

const READ: &str = "SELECT kind, name, mark, confirmed, proof FROM db_operator.objects \
    WHERE (kind = 'database' AND name = ?) OR (kind = 'account' AND name IN (?, ?))";

/// The entries of these names, or none if there is no registry.
pub(crate) async fn read(connection: &mut Connection, layout: &Layout) -> Result<Option<Vec<Entry>>> {
    let Layout { database, active, standby, .. } = layout;
    let rows = match connection.try_rows(READ, (database, active, standby)).await {
        Ok(rows) => rows,
        Err(error) if matches!(code_of(&error), Some(code::NO_TABLE | code::NO_DATABASE)) => {
            return Ok(None);
        }
        Err(error) => return Err(connection.fault(error, "cannot read the registry", Carries::Ours)),
    };
    let mut entries = Vec::new();
    for row in &rows {
        let kind = if connection.cell::<String>(row, 0)? == Kind::Database.text() {
            Kind::Database
        } else {
            Kind::Account
        };
        entries.push(Entry {
            kind,
            name: connection.cell(row, 1)?,
            mark: connection.cell(row, 2)?,
            confirmed: connection.cell::<i64>(row, 3)? != 0,
            proof: connection.cell(row, 4)?,
        });
    }
    Ok(Some(entries))
}

/// Writes down that something is about to be created. It takes the place of an entry whose object is gone.
pub(crate) async fn intend(
    session: &mut Session,
    layout: &Layout,
    kind: Kind,
    name: &str,
    proof: &str,
) -> Result<()> {
    let text = "REPLACE INTO db_operator.objects (kind, name, mark, confirmed, proof) VALUES (?, ?, ?, 0, ?)";
    session.check_lock().await?;
    let binds = (kind.text(), name, &layout.mark, proof);
    session.connection.rows(text, binds, "cannot write to the registry").await.map(|_| ())
}

/// Writes down that it has been created, by us.
pub(crate) async fn confirm(session: &mut Session, layout: &Layout, kind: Kind, name: &str) -> Result<()> {
    let text = "UPDATE db_operator.objects SET confirmed = 1, proof = '' \
        WHERE kind = ? AND name = ? AND mark = ?";
    session.check_lock().await?;
    let binds = (kind.text(), name, &layout.mark);
    session.connection.rows(text, binds, "cannot write to the registry").await.map(|_| ())
}

/// Removes the entry of something that is gone.
pub(crate) async fn forget(session: &mut Session, layout: &Layout, kind: Kind, name: &str) -> Result<()> {
    let text = "DELETE FROM db_operator.objects WHERE kind = ? AND name = ? AND mark = ?";
    session.check_lock().await?;
    let binds = (kind.text(), name, &layout.mark);
    session.connection.rows(text, binds, "cannot write to the registry").await.map(|_| ())
}
