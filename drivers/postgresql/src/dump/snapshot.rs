//! One state of the database that several sessions see, with every table kept as it is.

use driver_api::{DriverError, ErrorKind, Result};

use crate::connect::Connection;
use crate::data_session::DataSession;
use crate::dump::pg_dump::{PgDump, Section};
use crate::dump::tables::{self, Table};
use crate::fault::Carries;
use crate::layout::Layout;
use crate::session::Session;
use crate::sql::Sql;
use crate::sql::data::{self, Qualified};

/// How often a snapshot is tried while tables come, go or change.
const ATTEMPTS: u32 = 5;

/// How many tables are locked by one statement.
const BATCH: usize = 100;

/// Everything that reads a dump, all of it at the same snapshot and with every lock that it needs.
///
/// Nothing of it waits for a lock after this: somebody who wants to change a table meanwhile waits for these locks, and
/// would stand before it in the queue.
pub(crate) struct Snapshot {
    pub(crate) first: DataSession,
    pub(crate) second: DataSession,
    pub(crate) tables: Vec<Table>,
    /// Its position in the server's log.
    pub(crate) position: String,
    pub(crate) encoding: String,
    pub(crate) has_public: bool,
    pub(crate) server_version: String,
    /// What writes the schema, before and after the rows.
    pub(crate) before: PgDump,
    pub(crate) after: PgDump,
}

/// Takes a snapshot.
pub(crate) async fn take(session: &Session, layout: &Layout) -> Result<Snapshot> {
    let mut moved = String::new();
    for _ in 0..ATTEMPTS {
        match attempt(session, layout).await? {
            Taken::Whole(snapshot) => return Ok(*snapshot),
            Taken::Moved(why) => {
                tracing::info!(why, "the tables changed while they were locked: once more");
                moved = why;
            }
        }
    }
    Err(DriverError::new(
        ErrorKind::InUse,
        format!(
            "cannot take a snapshot of database {}: {ATTEMPTS} times its tables changed or were locked meanwhile ({moved}): end what creates, alters or drops tables all the time",
            layout.database
        ),
    ))
}

enum Taken {
    Whole(Box<Snapshot>),
    /// Something changed, or is about to. What was taken is let go, so that it can.
    Moved(String),
}

const STATE: &str = "SELECT pg_export_snapshot(), pg_current_wal_lsn()::text, \
    pg_encoding_to_char(encoding)::text, current_setting('server_version'), \
    EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public') \
    FROM pg_database WHERE datname = current_database()";

async fn attempt(session: &Session, layout: &Layout) -> Result<Taken> {
    let (first, second) =
        tokio::try_join!(DataSession::reading(session, layout), DataSession::reading(session, layout))?;
    let listed = tables::list(&first.connection, false).await?;
    // To lock takes no snapshot. So the snapshot comes after the locks, and sees all that was committed before.
    for connection in [&first.connection, &second.connection] {
        begin(connection).await?;
        if let Some(why) = lock(connection, &listed).await? {
            return Ok(Taken::Moved(why));
        }
    }
    let rows = first.connection.rows(STATE, &[], "cannot take a snapshot").await?;
    let Some(row) = rows.first() else {
        return Err(DriverError::new(ErrorKind::Internal, "the server gives no snapshot"));
    };
    let snapshot: String = first.connection.cell(row, 0)?;
    let tables = tables::list(&first.connection, true).await?;
    if keys(&tables) != keys(&listed) {
        return Ok(Taken::Moved("a table came, went or got another name".to_owned()));
    }
    second.connection.run(&data::see_snapshot(&snapshot), "cannot share the snapshot", Carries::Ours).await?;
    let programs = programs(session, layout, &snapshot).await?;
    let (before, after) = match programs {
        Ok(programs) => programs,
        Err(why) => return Ok(Taken::Moved(why)),
    };
    Ok(Taken::Whole(Box::new(Snapshot {
        position: first.connection.cell(row, 1)?,
        encoding: first.connection.cell(row, 2)?,
        server_version: first.connection.cell(row, 3)?,
        has_public: first.connection.cell(row, 4)?,
        first,
        second,
        tables,
        before,
        after,
    })))
}

/// Starts both programs, or says which lock one of them did not get.
async fn programs(
    session: &Session,
    layout: &Layout,
    snapshot: &str,
) -> Result<std::result::Result<(PgDump, PgDump), String>> {
    let version = session.administrator.version;
    let start = |section| PgDump::start(&session.dialer, layout, version, section, snapshot);
    match tokio::try_join!(start(Section::BeforeData), start(Section::AfterData)) {
        Ok(programs) => Ok(Ok(programs)),
        Err(error) if error.kind() == ErrorKind::InUse => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

async fn begin(connection: &Connection) -> Result<()> {
    connection.run(&data::begin_reading(), "cannot begin to read", Carries::Ours).await
}

/// Locks the tables, or says why one of them cannot be locked now.
async fn lock(connection: &Connection, tables: &[Table]) -> Result<Option<String>> {
    for batch in tables.chunks(BATCH) {
        let names: Vec<Qualified> = batch.iter().map(Table::qualified).collect();
        let statement: Sql = data::lock_tables(&names);
        let Err(error) = connection.attempt(&statement).await else { continue };
        let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
        let error = connection.fault(error, "cannot lock the tables for reading", Carries::Data);
        // It is gone, or somebody else has or wants it for himself.
        if matches!(code.as_str(), "42P01" | "3F000" | "55P03" | "40P01") {
            return Ok(Some(error.to_string()));
        }
        return Err(error);
    }
    Ok(None)
}

/// What locks are taken by.
fn keys(tables: &[Table]) -> Vec<(u32, &str, &str)> {
    let mut keys: Vec<_> =
        tables.iter().map(|table| (table.oid, table.schema.as_str(), table.name.as_str())).collect();
    keys.sort_unstable();
    keys
}
