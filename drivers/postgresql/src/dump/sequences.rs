//! Where the sequences are, as statements that set them.

use bytes::{BufMut, BytesMut};
use driver_api::Result;
use driver_api::dump::{Sink, Writer};

use crate::connect::Connection;
use crate::dump::contents::{SEQUENCES, line, statements};
use crate::sql::data::{self, Qualified};

/// How many are read by one statement.
const BATCH: usize = 100;

const LIST: &str = "SELECT n.nspname::text, c.relname::text FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' \
    AND n.nspname <> ALL ('{pg_catalog,information_schema,pg_toast}') \
    AND (EXISTS (SELECT FROM pg_extension x WHERE c.oid = ANY (x.extconfig)) \
         OR NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
                        AND d.objid = c.oid AND d.deptype = 'e')) \
    ORDER BY 1, 2";

/// Writes the sequences. They are of no snapshot; read after the rows, they are past every row that was read.
pub(crate) async fn write<S: Sink>(connection: &Connection, sink: &S) -> Result<()> {
    let doing = "cannot read the sequences";
    let rows = connection.rows(LIST, &[], doing).await?;
    let mut sequences = Vec::new();
    for row in &rows {
        sequences.push(Qualified::new(connection.cell(row, 0)?, connection.cell(row, 1)?));
    }
    let mut writer = sink.open(statements(SEQUENCES)).await?;
    for batch in sequences.chunks(BATCH) {
        let rows = connection.rows_of_data(data::read_sequences(batch).text(), &[], doing).await?;
        let mut chunk = BytesMut::new();
        for row in &rows {
            let at: i32 = connection.cell(row, 0)?;
            let (value, is_called): (i64, bool) = (connection.cell(row, 1)?, connection.cell(row, 2)?);
            let sequence = usize::try_from(at).ok().and_then(|at| batch.get(at));
            if let Some(sequence) = sequence {
                chunk.put(line(&data::set_sequence(sequence, value, is_called)));
            }
        }
        writer.write(chunk.freeze()).await?;
    }
    writer.finish(None).await
}
