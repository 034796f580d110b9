//! Dropping the database and its accounts.

use driver_api::{DriverError, ErrorKind, Result};

use crate::catalog::grants::Grant;
use crate::catalog::registry::{self, Kind};
use crate::catalog::{self, ServerState};
use crate::connect::code_of;
use crate::fault::{Carries, code};
use crate::layout::Layout;
use crate::lockout;
use crate::session::{About, Session};
use crate::sql;

/// Locks the accounts, ends their sessions, drops the database, the rights on it, the accounts, and what the registry
/// says of them. What is foreign stays.
///
/// A run that dies in between leaves entries of the registry; the next run goes on from there.
pub(crate) async fn ensure(session: &mut Session, layout: &Layout) -> Result<()> {
    let state = catalog::read(session, layout).await?;
    if state.ours(layout).is_empty() {
        return Ok(());
    }
    lockout::shut(session, &state, layout).await?;
    let is_ours = state.our_database(layout).is_some();
    if is_ours || state.accounts.iter().any(|account| state.our_account(&account.name, layout).is_some()) {
        lockout::end_sessions_of(session, layout, is_ours).await?;
    }
    if is_ours {
        // MariaDB does not always wait for one, and drops what it has written to.
        lockout::refuse_xa_transactions(session, layout).await?;
        let doing = format!("cannot drop database {}", layout.database);
        session.effect(&sql::drop_database(&layout.database), &doing, Carries::Ours).await?;
    }
    if is_ours || state.database.is_none() {
        // At once, so that a database that somebody creates from here on is not ours.
        registry::forget(session, layout, Kind::Database, &layout.database).await?;
    }
    if is_ours {
        revoke_leftovers(session, &state, layout).await?;
    }
    for name in layout.accounts().into_iter().rev() {
        if state.our_account(name, layout).is_some() {
            drop_account(session, layout, name).await?;
        }
    }
    for entry in state.entries.iter().filter(|entry| entry.mark == layout.mark) {
        registry::forget(session, layout, entry.kind, &entry.name).await?;
    }
    Ok(())
}

/// The rights of others that are on a database of this very name: they outlive it, and would be rights on the next one.
/// What is under a pattern was meant for more than this database.
pub(crate) fn leftovers<'a>(state: &'a ServerState, layout: &Layout, about: About) -> Vec<&'a Grant> {
    let names = [sql::pattern(&layout.database, about.wildcards), layout.database.clone()];
    let grants = state.grants.iter();
    grants.filter(|grant| grant.is_others(layout) && names.contains(&grant.pattern)).collect()
}

async fn revoke_leftovers(session: &mut Session, state: &ServerState, layout: &Layout) -> Result<()> {
    let doing = format!("cannot revoke the rights on database {}", layout.database);
    for grant in leftovers(state, layout, session.about) {
        let Grant { name, host, pattern, table, privileges, .. } = grant;
        if privileges.is_empty() {
            continue;
        }
        let statement = match table {
            Some(table) => sql::revoke_table(privileges, &layout.database, table, name, host),
            None => sql::revoke_database(privileges, pattern, name, host),
        };
        session.check_lock().await?;
        match session.connection.attempt(&statement).await {
            Ok(()) => {}
            Err(error) if code_of(&error).is_some_and(|code| code::NO_GRANT.contains(&code)) => {}
            Err(error) => return Err(session.connection.fault(error, &doing, Carries::Ours)),
        }
    }
    Ok(())
}

// In other databases, where they are somebody else's.
const DEFINED: &str = "SELECT CONCAT('view ', TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.VIEWS \
    WHERE DEFINER = ? \
    UNION ALL SELECT CONCAT(LOWER(ROUTINE_TYPE), ' ', ROUTINE_SCHEMA, '.', ROUTINE_NAME) \
    FROM information_schema.ROUTINES WHERE DEFINER = ? \
    UNION ALL SELECT CONCAT('trigger ', TRIGGER_SCHEMA, '.', TRIGGER_NAME) \
    FROM information_schema.TRIGGERS WHERE DEFINER = ? \
    UNION ALL SELECT CONCAT('event ', EVENT_SCHEMA, '.', EVENT_NAME) \
    FROM information_schema.EVENTS WHERE DEFINER = ?";

/// Drops an account, unless something in another database would run with its name.
///
/// `MySQL` refuses then by itself, but to administrators with more rights than ours; `MariaDB` does not. The name might be
/// given out again, and what others made would run with the rights of the new account.
async fn drop_account(session: &mut Session, layout: &Layout, name: &str) -> Result<()> {
    let doing = format!("cannot drop account {name}");
    let definer = format!("{name}@%");
    let binds = (&definer, &definer, &definer, &definer);
    let rows = session.connection.rows(DEFINED, binds, &doing).await?;
    let objects = rows.iter().map(|row| session.connection.cell(row, 0)).collect::<Result<Vec<String>>>()?;
    if !objects.is_empty() {
        return Err(DriverError::new(
            ErrorKind::InUse,
            format!(
                "{doing} at {}: it is the definer of {}; give it another definer or drop it, and the drop goes on",
                session.connection.place(),
                objects.join(", ")
            ),
        ));
    }
    session.effect(&sql::drop_user(name), &doing, Carries::Ours).await?;
    registry::forget(session, layout, Kind::Account, name).await
}
