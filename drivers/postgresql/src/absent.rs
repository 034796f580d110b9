//! Dropping the database and its logins.

use driver_api::{DriverError, ErrorKind, Result};
use tokio_postgres::types::Type;

use crate::catalog::{self, ServerState};
use crate::connect::Connection;
use crate::fault::Carries;
use crate::layout::Layout;
use crate::lockout;
use crate::session::Session;
use crate::sql::{self, Ident, Sql};

/// Locks the logins out, ends their sessions, drops the database, then the roles. What is foreign stays.
///
/// A run that dies in between leaves marked roles, or a database that is the rest of a DROP; the next run
/// goes on from there.
pub(crate) async fn ensure(session: &mut Session, layout: &Layout) -> Result<()> {
    let Session { connection, administrator, .. } = session;
    let state = catalog::read(connection, layout, administrator).await?;
    if let Some(database) = state.our_database(layout) {
        let doing = format!("cannot lock the logins out of database {}", layout.database);
        let statements = lockout::statements(&state, database, layout, administrator);
        if !statements.is_empty() {
            connection.run(&Sql::batch(&statements), &doing, Carries::Ours).await?;
        }
        drop_database(connection, layout).await?;
    }
    drop_roles(connection, &state, layout).await
}

async fn drop_database(connection: &Connection, layout: &Layout) -> Result<()> {
    let doing = format!("cannot drop database {}", layout.database);
    let Err(error) =
        connection.run(&sql::drop_database(&Ident::new(&layout.database)), &doing, Carries::Ours).await
    else {
        return Ok(());
    };
    match error.kind() {
        // Somebody else dropped it in this moment.
        ErrorKind::DatabaseMissing => Ok(()),
        ErrorKind::InUse => Err(in_the_way(connection, layout, error).await),
        ErrorKind::InsufficientPrivilege => Err(DriverError::new(
            ErrorKind::InsufficientPrivilege,
            format!(
                "{error} (to end the sessions of other roles it needs GRANT pg_signal_backend, to drop a database that it does not own a superuser)"
            ),
        )),
        ErrorKind::Unreachable
        | ErrorKind::NotServing
        | ErrorKind::ResourceExhausted
        | ErrorKind::TlsRefused
        | ErrorKind::Untrusted
        | ErrorKind::AuthenticationFailed
        | ErrorKind::Invalid
        | ErrorKind::NameTaken
        | ErrorKind::Unsupported
        | ErrorKind::Busy
        | ErrorKind::NotEmpty
        | ErrorKind::BackupDamaged
        | ErrorKind::Internal
        | ErrorKind::StorageUnreachable
        | ErrorKind::StorageDenied
        | ErrorKind::BucketMissing
        | ErrorKind::DecryptionFailed => Err(error),
    }
}

// Slots that are not active go with the database. Subscriptions are shown to everybody, without their secrets.
const IN_THE_WAY: &str = "SELECT format('prepared transaction %L of %I', gid, owner) FROM pg_prepared_xacts \
    WHERE database = $1 \
    UNION ALL SELECT format('active replication slot %I', slot_name) FROM pg_replication_slots \
    WHERE database = $1 AND active \
    UNION ALL SELECT format('subscription %I', s.subname) FROM pg_subscription s \
    JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = $1 \
    UNION ALL SELECT format('session %s of %s', pid, coalesce(usename::text, backend_type)) \
    FROM pg_stat_activity WHERE datname = $1";

/// Names what keeps the database from being dropped.
async fn in_the_way(connection: &Connection, layout: &Layout, error: DriverError) -> DriverError {
    let database = &layout.database;
    let looked =
        connection.rows(IN_THE_WAY, &[(database, Type::TEXT)], "cannot look what is in the way").await;
    let Ok(rows) = looked else {
        return error;
    };
    let objects: Vec<String> = rows.iter().filter_map(|row| connection.cell(row, 0).ok()).collect();
    if objects.is_empty() {
        return error;
    }
    lockout::in_the_way(&objects, "the drop", &error)
}

// What a role owns or may do outside the database that is gone. Memberships end with the role.
const DEPENDENTS: &str = "SELECT format('role %I %s %s %s in %s', r.rolname, \
      CASE s.deptype WHEN 'o' THEN 'owns' ELSE 'has rights on' END, count(*), s.classid::regclass, \
      coalesce('database ' || quote_ident(d.datname), 'all databases')) \
    FROM pg_shdepend s JOIN pg_roles r ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid \
    LEFT JOIN pg_database d ON d.oid = s.dbid \
    WHERE r.rolname = ANY($1) AND s.classid <> 'pg_auth_members'::regclass \
    GROUP BY r.rolname, s.deptype, s.classid, d.datname ORDER BY 1";

/// Drops our roles, or none of them.
async fn drop_roles(connection: &Connection, state: &ServerState, layout: &Layout) -> Result<()> {
    let ours: Vec<&str> =
        layout.roles().into_iter().rev().filter(|name| state.our_role(name, layout).is_some()).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let doing = format!("cannot drop the roles of database {}", layout.database);
    let ours = ours.as_slice();
    let rows = connection.rows(DEPENDENTS, &[(&ours, Type::TEXT_ARRAY)], &doing).await?;
    let dependents = rows.iter().map(|row| connection.cell(row, 0)).collect::<Result<Vec<String>>>()?;
    if !dependents.is_empty() {
        return Err(DriverError::new(
            ErrorKind::InUse,
            format!(
                "{doing} at {}: {}; somebody's data may depend on it, so remove it there (REASSIGN OWNED BY, DROP OWNED BY), and the drop goes on",
                connection.place(),
                dependents.join(", ")
            ),
        ));
    }
    let statements: Vec<Sql> = ours.iter().map(|name| sql::drop_role(&Ident::new(name))).collect();
    connection.run(&Sql::batch(&statements), &doing, Carries::Ours).await
}
