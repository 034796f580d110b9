//! What is inside the tenant's database, in a session of the tenant or of the administrator.

use driver_api::Result;
use tokio_postgres::types::Type;

use crate::connect::{Bind, Connection};
use crate::layout::Layout;

/// What is inside the tenant's database, as far as it is ours to arrange.
#[derive(Clone, Debug, Default)]
pub(crate) struct InsideState {
    /// Who the session acts as.
    pub(crate) acting_as: String,
    /// Schema `public`: its owner, and whether the group may use it and create in it. A tenant may drop it.
    pub(crate) public: Option<(String, bool)>,
    /// Those of the wanted schemas that exist, with their owners.
    pub(crate) schemas: Vec<(String, String)>,
    /// Those of the wanted extensions that exist: name, version, schema.
    pub(crate) extensions: Vec<(String, String, String)>,
}

const PUBLIC: &str = "SELECT current_user::text, pg_get_userbyid(n.nspowner)::text, \
    has_schema_privilege($1, n.oid, 'CREATE') AND has_schema_privilege($1, n.oid, 'USAGE') \
    FROM (VALUES (1)) one LEFT JOIN pg_namespace n ON n.nspname = 'public'";

const SCHEMAS: &str = "SELECT nspname::text, pg_get_userbyid(nspowner)::text FROM pg_namespace \
    WHERE nspname = ANY($1)";

const EXTENSIONS: &str = "SELECT x.extname::text, x.extversion, n.nspname::text FROM pg_extension x \
    JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname = ANY($1)";

/// Reads what is inside, in one round trip, in a session of the tenant or of the administrator.
pub(crate) async fn read(
    connection: &Connection,
    layout: &Layout,
    schemas: &[String],
    extensions: &[&str],
) -> Result<InsideState> {
    let doing = "cannot look into the database";
    let group: [Bind<'_>; 1] = [(&layout.group, Type::TEXT)];
    let schemas: [Bind<'_>; 1] = [(&schemas, Type::TEXT_ARRAY)];
    let extensions: [Bind<'_>; 1] = [(&extensions, Type::TEXT_ARRAY)];
    let (public, schemas, extensions) = tokio::try_join!(
        connection.rows(PUBLIC, &group, doing),
        connection.rows(SCHEMAS, &schemas, doing),
        connection.rows(EXTENSIONS, &extensions, doing),
    )?;
    let mut state = InsideState::default();
    if let Some(row) = public.first() {
        state.acting_as = connection.cell(row, 0)?;
        state.public = connection.cell::<Option<String>>(row, 1)?.zip(connection.cell(row, 2)?);
    }
    for row in &schemas {
        state.schemas.push((connection.cell(row, 0)?, connection.cell(row, 1)?));
    }
    for row in &extensions {
        state.extensions.push((connection.cell(row, 0)?, connection.cell(row, 1)?, connection.cell(row, 2)?));
    }
    Ok(state)
}
