//! A load: the statements of a dump one by one, and the rows by two sessions.

pub(crate) mod occupancy;
mod parallel;
mod rewrite;
mod stream;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use driver_api::dump::{Reader, Source};
use driver_api::{DriverError, ErrorKind, Result};
use futures::SinkExt;

use crate::connect::Connection;
use crate::data_session::{self, DataSession};
use crate::dump::contents::{
    AFTER_DATA, BEFORE_DATA, Contents, LARGE_OBJECTS, SEQUENCES, TableStream, VIEWS,
};
use crate::dump::roles::Roles;
use crate::fault::Carries;
use crate::layout::Layout;
use crate::load::rewrite::Facts;
use crate::load::stream::{Statements, run_statement};
use crate::session::Session;
use crate::sql::data::{self, Qualified};

/// Loads a dump into an empty database.
pub(crate) async fn load<S: Source>(session: &Session, layout: &Layout, source: &S) -> Result<()> {
    let contents = Contents::of(source.description())?;
    let tables = tables(&contents, source)?;
    let (first, second) = data_session::writing(session, layout).await?;
    let facts = facts(&first.connection, &contents, layout).await?;
    if !contents.has_public && facts.schemas.iter().any(|schema| schema == "public") {
        first.connection.run(&data::drop_public(), "cannot drop schema public", Carries::Data).await?;
    }
    statements(&first, source, BEFORE_DATA, &facts).await?;
    let queue = Mutex::new(tables);
    let beside = async {
        match &second {
            Some(second) => rows(second, &queue, source).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(rows(&first, &queue, source), beside)?;
    for stream in [LARGE_OBJECTS, SEQUENCES] {
        if source.streams().iter().any(|is| is.info.name == stream) {
            statements(&first, source, stream, &facts).await?;
        }
    }
    let mut after = Statements::open(source, AFTER_DATA).await?;
    parallel::run(&mut after, &first, second.as_ref(), &facts).await?;
    statements(&first, source, VIEWS, &facts).await
}

/// The streams of rows, with how many rows each has. All must be there.
fn tables<S: Source>(contents: &Contents, source: &S) -> Result<VecDeque<(TableStream, u64)>> {
    let streams = source.streams();
    let rows = |table: &TableStream| {
        let stream = streams.iter().find(|stream| stream.info.name == table.stream);
        let rows = stream.and_then(|stream| stream.rows).ok_or_else(|| {
            DriverError::new(
                ErrorKind::BackupDamaged,
                format!("the dump has no stream {:?}, or does not say how many rows it has", table.stream),
            )
        })?;
        Ok((table.clone(), rows))
    };
    contents.tables.iter().map(rows).collect()
}

const SCHEMAS: &str = "SELECT nspname::text FROM pg_namespace";
const EXTENSIONS: &str = "SELECT extname::text FROM pg_extension";

async fn facts(connection: &Connection, contents: &Contents, layout: &Layout) -> Result<Facts> {
    let doing = "cannot look into the database";
    let (schemas, extensions) =
        tokio::try_join!(connection.rows(SCHEMAS, &[], doing), connection.rows(EXTENSIONS, &[], doing))?;
    let names = |rows: &[tokio_postgres::Row]| {
        rows.iter().map(|row| connection.cell(row, 0)).collect::<Result<Vec<String>>>()
    };
    Ok(Facts {
        source: contents.roles.clone(),
        target: Roles::of(layout),
        schemas: names(&schemas)?,
        extensions: names(&extensions)?,
    })
}

async fn statements<S: Source>(
    session: &DataSession,
    source: &S,
    stream: &'static str,
    facts: &Facts,
) -> Result<()> {
    let mut statements = Statements::open(source, stream).await?;
    while let Some(statement) = statements.next().await? {
        run_statement(session, stream, &statement, facts).await?;
    }
    Ok(())
}

/// Loads one table after the other, until none is left.
async fn rows<S: Source>(
    session: &DataSession,
    queue: &Mutex<VecDeque<(TableStream, u64)>>,
    source: &S,
) -> Result<()> {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    while let Some((table, rows)) = next() {
        table_rows(session, &table, rows, source).await?;
    }
    Ok(())
}

async fn table_rows<S: Source>(
    session: &DataSession,
    table: &TableStream,
    rows: u64,
    source: &S,
) -> Result<()> {
    let TableStream { stream, schema, table, columns } = table;
    let doing = format!("cannot load {stream}");
    let fault = |error| session.connection.fault(error, &doing, Carries::Data);
    let mut reader = source.open(stream).await?;
    let copy = data::copy_in(&Qualified::new(schema, table), columns);
    let mut sink = Box::pin(session.connection.copy_in(&copy).await.map_err(fault)?);
    while let Some(chunk) = reader.read().await? {
        let chunk: Bytes = chunk;
        if sink.feed(chunk).await.is_err() {
            // The server has ended it; `finish` says why.
            break;
        }
    }
    let loaded = sink.as_mut().finish().await.map_err(fault)?;
    if loaded == rows {
        return Ok(());
    }
    Err(DriverError::new(
        ErrorKind::BackupDamaged,
        format!("{doing}: it has {loaded} rows, and the dump says {rows}"),
    ))
}
