//! Whether a database can take a dump.

use driver_api::dump::{Description, Occupancy};
use driver_api::{DriverError, ErrorKind, Result};
use tokio_postgres::types::Type;

use crate::data_session::DataSession;
use crate::dump::contents::{self, Contents};
use crate::dump::tables;
use crate::layout::Layout;
use crate::session::Session;
use crate::sql::{Ident, data};

// All that somebody made, and no extension: a table's row type, array types and the like are not made by anybody.
const FOUND: &str = "WITH ours(nsp, name) AS (SELECT oid, nspname FROM pg_namespace \
      WHERE nspname <> ALL ('{pg_catalog,information_schema,pg_toast}') AND nspname !~ '^pg_(toast_)?temp_'), \
    extended AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'), \
    found(rank, what) AS ( \
      SELECT position(c.relkind::text IN 'rpmvfSc'), format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'type' \
        WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END, o.name, c.relname) \
      FROM pg_class c JOIN ours o ON o.nsp = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') \
      AND ('pg_class'::regclass, c.oid) NOT IN (TABLE extended) \
      UNION ALL SELECT 10, format('function %I.%I', o.name, p.proname) FROM pg_proc p JOIN ours o ON o.nsp = p.pronamespace \
      WHERE ('pg_proc'::regclass, p.oid) NOT IN (TABLE extended) \
      UNION ALL SELECT 11, format('type %I.%I', o.name, t.typname) FROM pg_type t JOIN ours o ON o.nsp = t.typnamespace \
      WHERE t.typtype IN ('e', 'd', 'r') AND ('pg_type'::regclass, t.oid) NOT IN (TABLE extended) \
      UNION ALL SELECT 12, format('large object %s', oid) FROM pg_largeobject_metadata) \
    SELECT what, count(*) OVER () FROM found ORDER BY rank, what LIMIT 1";

/// Says what is in the way of a load.
pub(crate) async fn check(
    session: &Session,
    layout: &Layout,
    description: &Description,
) -> Result<Occupancy> {
    let (is, wanted) = (session.administrator.version, contents::major(&description.server_version));
    if wanted.is_none_or(|wanted| wanted > is) {
        return Err(DriverError::new(
            ErrorKind::Unsupported,
            format!(
                "the dump is of PostgreSQL {}, and {} runs {is}: restore it into a server that is not older",
                description.server_version,
                session.connection.place()
            ),
        ));
    }
    check_roles(session, &Contents::of(description)?).await?;
    let inside = session.dialer.enter(&layout.database).await?;
    let rows = inside.rows(FOUND, &[], "cannot look what is in the database").await?;
    let Some(row) = rows.first() else {
        return match in_extensions(session, layout).await {
            // What nobody may read is content: a restore that overwrites gives it up unread, any other one stops here. Every
            // other error says nothing about what is there.
            Err(error) if error.kind() == ErrorKind::InsufficientPrivilege => {
                Ok(Occupancy::Occupied { what: format!("what cannot be looked into ({error})") })
            }
            occupancy => occupancy,
        };
    };
    let (first, count): (String, i64) = (inside.cell(row, 0)?, inside.cell(row, 1)?);
    let what = if count > 1 { format!("{first} and {} more", count - 1) } else { first };
    Ok(Occupancy::Occupied { what })
}

const MISSING: &str = "SELECT name FROM unnest($1) name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) ORDER BY name";

/// Fails if a statement of the dump names a role that the server does not have, as that statement would.
async fn check_roles(session: &Session, contents: &Contents) -> Result<()> {
    let needed: Vec<&String> = contents.other_roles.iter().collect();
    let rows =
        session.connection.rows(MISSING, &[(&needed, Type::TEXT_ARRAY)], "cannot look for roles").await?;
    let missing = rows.iter().map(|row| session.connection.cell(row, 0)).collect::<Result<Vec<String>>>()?;
    let Some(first) = missing.first() else { return Ok(()) };
    Err(DriverError::new(
        ErrorKind::Unsupported,
        format!(
            "the dump gives rights to {}, and {} has no such role: create it there (CREATE ROLE {}), which is enough, and have it tried again with the annotation db.isotoma.com/retry",
            missing.join(", "),
            session.connection.place(),
            Ident::new(first)
        ),
    ))
}

/// Looks for rows that the tenant has put into tables of extensions: those that a dump would hold. They are read with
/// the tenant's rights, as by a dump.
async fn in_extensions(session: &Session, layout: &Layout) -> Result<Occupancy> {
    let reading = DataSession::reading(session, layout).await?;
    let tables = tables::list(&reading.connection, false).await?;
    for table in tables.iter().filter(|table| table.has_rows) {
        let Some(condition) = &table.condition else { continue };
        let name = format!("{}.{}", table.schema, table.name);
        let query = data::first_row(&table.qualified(), condition);
        let doing = format!("cannot look into table {name}");
        let rows = reading.connection.rows_of_data(query.text(), &[], &doing).await?;
        if !rows.is_empty() {
            return Ok(Occupancy::Occupied { what: format!("rows in table {name} of an extension") });
        }
    }
    Ok(Occupancy::Empty)
}
