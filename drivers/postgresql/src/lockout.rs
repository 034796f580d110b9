//! Keeping the tenant out of its database: for good before a drop, for a time before its last backup.

use std::time::Duration;

use driver_api::{DriverError, ErrorKind, Result};
use tokio::time::{Instant, sleep};
use tokio_postgres::types::Type;

use crate::catalog::{self, DatabaseState, ServerState};
use crate::connect::Connection;
use crate::fault::Carries;
use crate::layout::Layout;
use crate::session::Administrator;
use crate::session::Session;
use crate::sql::{self, Attribute, Ident, Sql};

/// How long sessions may take to end. One that rolls a long transaction back is slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// Locks both logins out of the database, and ends every session that is not the administrator's.
///
/// When it has returned, nobody can commit in the database: no session is left, none can come, and no
/// prepared transaction or subscription writes without a session.
pub(crate) async fn lock_out(session: &mut Session, layout: &Layout) -> Result<()> {
    let Session { connection, administrator, .. } = session;
    let state = catalog::read(connection, layout, administrator).await?;
    let Some(database) = state.our_database(layout) else {
        return Err(DriverError::new(
            ErrorKind::DatabaseMissing,
            format!("database {} is not at {}, or is not ours", layout.database, connection.place()),
        ));
    };
    let doing = format!("cannot lock the logins out of database {}", layout.database);
    let statements = statements(&state, database, layout, administrator);
    if !statements.is_empty() {
        connection.run(&Sql::batch(&statements), &doing, Carries::Ours).await?;
    }
    let begin = Instant::now();
    while let Some(who) = end_sessions(connection, layout, &doing).await? {
        if begin.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(DriverError::new(
                ErrorKind::InUse,
                format!("{doing}: {who} does not end within {seconds} s: end it, and this goes on"),
            ));
        }
        sleep(Duration::from_millis(20)).await;
    }
    // Once no session is left, nothing new can be prepared.
    refuse_what_writes_alone(connection, layout, &doing).await
}

// A session that is about to begin holds this lock from before it looks whether it may enter until it is in
// pg_stat_activity. So who came before the logins were locked out is in one of both, read in this order.
const ENTERING: &str = "SELECT 'a session that is about to begin' FROM pg_locks l \
    JOIN pg_database d ON d.oid = l.objid WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass \
    AND d.datname = $1 AND l.pid <> pg_backend_pid() LIMIT 1";

// The server's own workers, such as autovacuum's, have no user. A logical replication worker has one.
const SESSIONS: &str = "SELECT format('session %s of %s', pid, usename) FROM pg_stat_activity \
    WHERE datname = $1 AND usesysid IS NOT NULL AND pid <> pg_backend_pid() \
    AND usename IS DISTINCT FROM session_user";

const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = $1 AND usesysid IS NOT NULL AND pid <> pg_backend_pid() \
    AND usename IS DISTINCT FROM session_user";

/// Asks the sessions to end, and names one that is left.
async fn end_sessions(connection: &Connection, layout: &Layout, doing: &str) -> Result<Option<String>> {
    let database = &layout.database;
    let binds = [(database as _, Type::TEXT)];
    let entering = connection.rows(ENTERING, &binds, doing).await?;
    let sessions = connection.rows(SESSIONS, &binds, doing).await?;
    let Some(row) = entering.first().or_else(|| sessions.first()) else { return Ok(None) };
    let who: String = connection.cell(row, 0)?;
    match connection.rows(END, &binds, doing).await {
        Ok(_) => Ok(Some(who)),
        Err(error) if error.kind() == ErrorKind::InsufficientPrivilege => {
            let sessions =
                sessions.iter().map(|row| connection.cell(row, 0)).collect::<Result<Vec<String>>>()?;
            Err(DriverError::new(
                ErrorKind::InUse,
                format!(
                    "{doing} at {}: the administrator may not end one of {}: end it, or GRANT pg_signal_backend TO {}",
                    connection.place(),
                    sessions.join(", "),
                    Ident::new(connection.place().role()),
                ),
            )
            .with_source(error))
        }
        Err(error) => Err(error),
    }
}

// Prepared transactions commit without a session of their own; a subscription's worker comes back by itself.
const WRITERS: &str = "SELECT format('prepared transaction %L of %I', gid, owner) FROM pg_prepared_xacts \
    WHERE database = $1 \
    UNION ALL SELECT format('subscription %I', s.subname) FROM pg_subscription s \
    JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = $1 AND s.subenabled";

async fn refuse_what_writes_alone(connection: &Connection, layout: &Layout, doing: &str) -> Result<()> {
    let rows = connection.rows(WRITERS, &[(&layout.database, Type::TEXT)], doing).await?;
    let objects = rows.iter().map(|row| connection.cell(row, 0)).collect::<Result<Vec<String>>>()?;
    if objects.is_empty() {
        Ok(())
    } else {
        Err(in_the_way(&objects, "this", &DriverError::new(ErrorKind::InUse, doing)))
    }
}

/// Says that what writes or holds the database is in the way.
pub(crate) fn in_the_way(objects: &[String], what_goes_on: &str, error: &DriverError) -> DriverError {
    DriverError::new(
        ErrorKind::InUse,
        format!(
            "{} is in the way: remove it (ROLLBACK PREPARED, DROP SUBSCRIPTION, stop the subscriber), and {what_goes_on} goes on; {error}",
            objects.join(", ")
        ),
    )
}

/// What keeps the tenant from coming back once its sessions have ended, and what would make a drop fail.
pub(crate) fn statements(
    state: &ServerState,
    database: &DatabaseState,
    layout: &Layout,
    administrator: &Administrator,
) -> Vec<Sql> {
    let ident = Ident::new(&layout.database);
    let mut statements = Vec::new();
    for name in layout.roles() {
        let Some(role) = state.our_role(name, layout) else { continue };
        let role_ident = Ident::new(name);
        // Only a member may end a role's sessions, and drop the owner's database.
        if !role.administrator_in {
            statements.push(sql::grant_role_to_administrator(&role_ident, administrator.version >= 16));
        }
        if role.may_log_in {
            statements.push(sql::alter_role(&role_ident, Attribute::NoLogin));
        }
    }
    // The rest of an interrupted DROP takes no ALTER, and needs none.
    if database.valid {
        if state.our_role(&layout.group, layout).is_some() {
            statements.push(sql::revoke_connect(&ident, &Ident::new(&layout.group)));
        }
        statements.push(sql::revoke_database_from_public(&ident));
        if database.is_template {
            statements.push(sql::no_template(&ident));
        }
    }
    statements
}
