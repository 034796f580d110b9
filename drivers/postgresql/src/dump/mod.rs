//! A dump: the schema as `pg_dump` writes it, and the rows by sessions of our own, all of one snapshot.

pub(crate) mod contents;
mod large_objects;
mod libpq;
mod pg_dump;
pub(crate) mod roles;
mod sequences;
mod snapshot;
pub(crate) mod tables;
mod views;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use driver_api::dump::{Description, Sink};
use driver_api::{DriverError, ErrorKind, Result};

use crate::data_session::DataSession;
use crate::dump::contents::{AFTER_DATA, BEFORE_DATA, Contents, statements};
use crate::dump::roles::Roles;
use crate::dump::snapshot::Snapshot;
use crate::dump::tables::Table;
use crate::fault::Carries;
use crate::layout::Layout;
use crate::session::Session;
use crate::sql;

/// Writes a dump.
pub(crate) async fn dump<S: Sink>(session: &Session, layout: &Layout, sink: &S) -> Result<Description> {
    let Snapshot { first, second, tables, position, encoding, has_public, server_version, before, after } =
        snapshot::take(session, layout).await?;
    let with_rows: Vec<Table> = tables.into_iter().filter(|table| table.has_rows).collect();
    let bytes: i64 = with_rows.iter().map(|table| table.bytes).sum();
    sink.expect(bytes.unsigned_abs());
    let mut contents = Contents {
        roles: Roles::of(layout),
        other_roles: BTreeSet::new(),
        encoding,
        has_public,
        tables: with_rows.iter().map(Table::stream).collect(),
    };
    let tool_version = before.version();

    let mut named = before.write(sink.open(statements(BEFORE_DATA)).await?, &contents.roles).await?;
    let queue = Mutex::new(VecDeque::from(with_rows));
    tokio::try_join!(rows(&first, &queue, sink), rows(&second, &queue, sink))?;
    named.extend(large_objects::write(&first.connection, sink).await?);
    sequences::write(&first.connection, sink).await?;
    named.extend(after.write(sink.open(statements(AFTER_DATA)).await?, &contents.roles).await?);
    named.retain(|role| !contents.roles.has(role));
    contents.other_roles = named;
    views::write(&first.connection, sink).await?;

    // Both must still see the snapshot, and with them the locks have held all the time.
    for session in [&first, &second] {
        session.connection.run(&sql::data::rollback(), "cannot end the dump", Carries::Ours).await?;
    }
    let details = serde_json::to_value(&contents).map_err(|error| {
        DriverError::new(ErrorKind::Internal, "cannot describe the dump").with_source(error)
    })?;
    Ok(Description { server_version, tool_version, snapshot: Some(position), details })
}

/// Writes one table after the other, until none is left.
async fn rows<S: Sink>(session: &DataSession, queue: &Mutex<VecDeque<Table>>, sink: &S) -> Result<()> {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    while let Some(table) = next() {
        table.write(&session.connection, sink).await?;
    }
    Ok(())
}
