//! Large objects, as statements that make and fill them.
//!
//! `pg_dump` writes them too, in another section in each version, and all else of that section with them.

use std::collections::BTreeSet;

use driver_api::Result;
use driver_api::dump::{Sink, Writer};
use tokio_postgres::types::Type;

use crate::connect::{Bind, Connection};
use crate::dump::contents::{LARGE_OBJECTS, line, statements};
use crate::sql::data;

/// How many are asked for at once.
const PAGE: i64 = 1000;

/// How many bytes of one are read at once, and written by one statement.
const PART: i32 = 256 << 10;

const DOING: &str = "cannot read the large objects";

const LIST: &str = "SELECT m.oid, obj_description(m.oid, 'pg_largeobject'), \
      ARRAY(SELECT a.privilege_type FROM aclexplode(m.lomacl) a WHERE a.grantee <> m.lomowner ORDER BY a.grantee), \
      ARRAY(SELECT CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee)::text END \
            FROM aclexplode(m.lomacl) a WHERE a.grantee <> m.lomowner ORDER BY a.grantee) \
    FROM pg_largeobject_metadata m WHERE m.oid > $1 ORDER BY m.oid LIMIT $2";

const READ: &str = "SELECT lo_get($1, $2, $3)";

/// Writes the large objects, if there are any. Answers which roles that names.
pub(crate) async fn write<S: Sink>(connection: &Connection, sink: &S) -> Result<BTreeSet<String>> {
    let mut named = BTreeSet::new();
    let mut page = list(connection, 0).await?;
    if page.is_empty() {
        return Ok(named);
    }
    let mut writer = sink.open(statements(LARGE_OBJECTS)).await?;
    while let Some(last) = page.last().map(|object| object.oid) {
        for object in &page {
            object.write(connection, &mut writer).await?;
            named.extend(object.grants.iter().filter_map(|(_, role)| role.clone()));
        }
        page = list(connection, last).await?;
    }
    writer.finish(None).await?;
    Ok(named)
}

struct LargeObject {
    oid: u32,
    comment: Option<String>,
    /// Rights, and whose. None is everybody.
    grants: Vec<(String, Option<String>)>,
}

async fn list(connection: &Connection, after: u32) -> Result<Vec<LargeObject>> {
    let rows = connection.rows(LIST, &[(&after, Type::OID), (&PAGE, Type::INT8)], DOING).await?;
    let object = |row: &tokio_postgres::Row| {
        let rights: Vec<String> = connection.cell(row, 2)?;
        let roles: Vec<Option<String>> = connection.cell(row, 3)?;
        let grants = rights.into_iter().zip(roles).collect();
        Ok(LargeObject { oid: connection.cell(row, 0)?, comment: connection.cell(row, 1)?, grants })
    };
    rows.iter().map(object).collect()
}

impl LargeObject {
    async fn write<W: Writer>(&self, connection: &Connection, writer: &mut W) -> Result<()> {
        let Self { oid, comment, grants } = self;
        writer.write(line(&data::create_large_object(*oid))).await?;
        let mut offset = 0_i64;
        loop {
            let binds: [Bind<'_>; 3] = [(oid, Type::OID), (&offset, Type::INT8), (&PART, Type::INT4)];
            let rows =
                connection.rows_of_data(READ, &binds, &format!("cannot read large object {oid}")).await?;
            let Some(row) = rows.first() else { break };
            let part: &[u8] = connection.cell(row, 0)?;
            if part.is_empty() {
                break;
            }
            writer.write(line(&data::write_large_object(*oid, offset, part))).await?;
            offset += i64::try_from(part.len()).unwrap_or(i64::MAX);
            if part.len() < PART.unsigned_abs() as usize {
                break;
            }
        }
        if let Some(comment) = comment {
            writer.write(line(&data::comment_on_large_object(*oid, comment))).await?;
        }
        for (right, role) in grants {
            let grant = data::grant_on_large_object(*oid, right == "UPDATE", role.as_deref());
            writer.write(line(&grant)).await?;
        }
        Ok(())
    }
}
