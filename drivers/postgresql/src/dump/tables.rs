//! The tables of a database: which ones there are, and their rows as a stream.

use bytes::BytesMut;
use driver_api::Result;
use driver_api::dump::{Sink, StreamInfo, Writer};
use futures::StreamExt;
use tokio_postgres::types::Type;

use crate::connect::Connection;
use crate::dump::contents::TableStream;
use crate::fault::Carries;
use crate::sql::data::{self, Qualified};

/// How much is given to a stream at once.
const CHUNK: usize = 64 << 10;

/// A table, and what a dump must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// It has rows of its own, which a partitioned table has not.
    pub(crate) has_rows: bool,
    /// The columns that are stored.
    pub(crate) columns: Vec<String>,
    /// Of an extension's table: which of its rows are the tenant's, as its script says.
    pub(crate) condition: Option<String>,
    /// The table that takes its rows at a load.
    pub(crate) into: (String, String),
    /// Its length in bytes, which is known of locked tables only.
    pub(crate) bytes: i64,
}

// Not the system's tables, nor temporary, foreign and extensions' ones, but those of their tables that the
// extensions mark. A table that is partitioned by the hash of an enum takes its partitions' rows itself, for such
// a hash is another one in each database.
const TABLES: &str = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'r', \
      ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
            AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum), \
      x.condition, rn.nspname::text, r.relname::text, \
      CASE WHEN $1 AND c.relkind = 'r' THEN pg_table_size(c.oid) ELSE 0 END \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN (SELECT unnest(extconfig) AS oid, unnest(extcondition) AS condition FROM pg_extension) x ON x.oid = c.oid \
    JOIN pg_class r ON r.oid = CASE WHEN c.relispartition AND EXISTS ( \
        SELECT FROM pg_partition_ancestors(c.oid) p(relid) JOIN pg_partitioned_table t ON t.partrelid = p.relid \
        JOIN pg_attribute a ON a.attrelid = t.partrelid AND a.attnum = ANY(t.partattrs::int2[]) \
        JOIN pg_type y ON y.oid = a.atttypid WHERE t.partstrat = 'h' AND y.typtype = 'e') \
      THEN pg_partition_root(c.oid)::oid ELSE c.oid END \
    JOIN pg_namespace rn ON rn.oid = r.relnamespace \
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' \
    AND n.nspname <> ALL ('{pg_catalog,information_schema,pg_toast}') \
    AND (x.oid IS NOT NULL OR NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
         AND d.objid = c.oid AND d.deptype = 'e')) \
    ORDER BY 9 DESC, 2, 3";

/// Lists the tables, the biggest first if they are locked: to ask for the length waits for a lock.
pub(crate) async fn list(connection: &Connection, are_locked: bool) -> Result<Vec<Table>> {
    let rows = connection.rows(TABLES, &[(&are_locked, Type::BOOL)], "cannot list the tables").await?;
    let table = |row: &tokio_postgres::Row| {
        Ok(Table {
            oid: connection.cell(row, 0)?,
            schema: connection.cell(row, 1)?,
            name: connection.cell(row, 2)?,
            has_rows: connection.cell(row, 3)?,
            columns: connection.cell(row, 4)?,
            // What has no condition is whole, and of an extension all the same.
            condition: connection.cell(row, 5)?,
            into: (connection.cell(row, 6)?, connection.cell(row, 7)?),
            bytes: connection.cell(row, 8)?,
        })
    };
    rows.iter().map(table).collect()
}

impl Table {
    /// The table's quoted name.
    pub(crate) fn qualified(&self) -> Qualified {
        Qualified::new(&self.schema, &self.name)
    }

    /// What a load must know of its stream.
    pub(crate) fn stream(&self) -> TableStream {
        TableStream {
            stream: format!("table {}.{}", self.schema, self.name),
            schema: self.into.0.clone(),
            table: self.into.1.clone(),
            columns: self.columns.clone(),
        }
    }

    /// Writes the rows to a stream of their own.
    pub(crate) async fn write<S: Sink>(&self, connection: &Connection, sink: &S) -> Result<()> {
        let TableStream { stream, schema, table, columns } = self.stream();
        let restore_with = data::copy_in(&Qualified::new(&schema, &table), &columns).text().to_owned();
        let doing = format!("cannot read {stream}");
        let fault = |error| connection.fault(error, &doing, Carries::Data);
        let mut writer = sink.open(StreamInfo { name: stream, restore_with }).await?;
        let copy = data::copy_out(&self.qualified(), &self.columns, self.condition.as_deref());
        let mut rows = Box::pin(connection.copy_out(&copy).await.map_err(fault)?);
        let mut chunk = BytesMut::with_capacity(CHUNK + CHUNK / 4);
        let mut count = 0;
        while let Some(row) = rows.next().await {
            let row = row.map_err(fault)?;
            chunk.extend_from_slice(&row);
            if chunk.len() >= CHUNK {
                let full = std::mem::replace(&mut chunk, BytesMut::with_capacity(CHUNK + CHUNK / 4));
                count += ends_of_lines(&full);
                writer.write(full.freeze()).await?;
            }
        }
        if !chunk.is_empty() {
            count += ends_of_lines(&chunk);
            writer.write(chunk.freeze()).await?;
        }
        writer.finish(Some(count)).await
    }
}

/// How many rows end in `text`. A line break within a value is written as `\n`.
fn ends_of_lines(text: &[u8]) -> u64 {
    // The server sends a message a row; the protocol does not promise it.
    memchr::memchr_iter(b'\n', text).count() as u64
}
