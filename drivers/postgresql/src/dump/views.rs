//! The materialized views that hold rows, as statements that fill them in an order that works.

use std::collections::{BTreeMap, BTreeSet};

use driver_api::Result;
use driver_api::dump::{Sink, Writer};

use crate::connect::Connection;
use crate::dump::contents::{VIEWS, line, statements};
use crate::sql::data::{self, Qualified};

/// A view, and what it reads.
#[derive(Clone, Debug)]
struct View {
    schema: String,
    name: String,
    is_materialized: bool,
    /// It holds rows, so that it is filled.
    is_populated: bool,
    reads: Vec<u32>,
}

const LIST: &str = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'm', c.relispopulated, \
      ARRAY(SELECT DISTINCT d.refobjid FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass \
            AND d.objid = w.oid WHERE w.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass \
            AND d.refobjid <> c.oid) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('v', 'm') AND n.nspname <> ALL ('{pg_catalog,information_schema,pg_toast}') \
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
                    AND d.objid = c.oid AND d.deptype = 'e') \
    ORDER BY 2, 3";

/// Writes what fills the materialized views.
pub(crate) async fn write<S: Sink>(connection: &Connection, sink: &S) -> Result<()> {
    let rows = connection.rows(LIST, &[], "cannot list the views").await?;
    let mut views = BTreeMap::new();
    let mut order = Vec::new();
    for row in &rows {
        let oid: u32 = connection.cell(row, 0)?;
        let view = View {
            schema: connection.cell(row, 1)?,
            name: connection.cell(row, 2)?,
            is_materialized: connection.cell(row, 3)?,
            is_populated: connection.cell(row, 4)?,
            reads: connection.cell(row, 5)?,
        };
        order.push(oid);
        views.insert(oid, view);
    }
    let mut writer = sink.open(statements(VIEWS)).await?;
    for oid in in_order(&views, &order) {
        if let Some(view) = views.get(&oid) {
            let refresh = data::refresh(&Qualified::new(&view.schema, &view.name));
            writer.write(line(&refresh)).await?;
        }
    }
    writer.finish(None).await
}

/// Those that are filled, each after all that it reads. One that reads what is not filled cannot be filled
/// again, and stays empty, as with `pg_dump`.
fn in_order(views: &BTreeMap<u32, View>, names: &[u32]) -> Vec<u32> {
    let mut order = Vec::new();
    let mut seen = BTreeMap::new();
    for oid in names {
        visit(*oid, views, &mut BTreeSet::new(), &mut seen, &mut order);
    }
    order
}

/// Says whether what a view holds or reads can be read.
fn visit(
    oid: u32,
    views: &BTreeMap<u32, View>,
    path: &mut BTreeSet<u32>,
    seen: &mut BTreeMap<u32, bool>,
    order: &mut Vec<u32>,
) -> bool {
    let Some(view) = views.get(&oid) else { return true };
    if let Some(can_be_read) = seen.get(&oid) {
        return *can_be_read;
    }
    // A view cannot read itself; a rule of one may name it.
    if !path.insert(oid) {
        return true;
    }
    let mut can_be_read = !view.is_materialized || view.is_populated;
    for read in &view.reads {
        can_be_read &= visit(*read, views, path, seen, order);
    }
    path.remove(&oid);
    if can_be_read && view.is_materialized {
        order.push(oid);
    }
    seen.insert(oid, can_be_read);
    can_be_read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(views: &[(u32, bool, bool, &[u32])]) -> Vec<u32> {
        let names: Vec<_> = views.iter().map(|(oid, ..)| *oid).collect();
        let view = |(oid, is_materialized, is_populated, reads): &(u32, bool, bool, &[u32])| {
            let (schema, name) = ("s".to_owned(), format!("v{oid}"));
            let (is_materialized, is_populated) = (*is_materialized, *is_populated);
            (*oid, View { schema, name, is_materialized, is_populated, reads: reads.to_vec() })
        };
        in_order(&views.iter().map(view).collect(), &names)
    }

    #[test]
    fn a_view_comes_after_what_it_reads() {
        // 1 reads 3 through the plain view 2; 9 is a table.
        assert_eq!(order(&[(1, true, true, &[2, 9]), (2, false, true, &[3]), (3, true, true, &[9])]), [3, 1]);
    }

    #[test]
    fn what_reads_an_empty_one_stays_empty() {
        assert_eq!(
            order(&[(1, true, true, &[2]), (2, false, true, &[3]), (3, true, false, &[])]),
            [0_u32; 0]
        );
        assert_eq!(order(&[(1, true, true, &[1, 2]), (2, false, true, &[1])]), [1]);
    }
}
