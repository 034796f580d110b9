//! Keeping the tenant out of its database: for good before a drop, for a time before its last backup.

use std::time::Duration;

use driver_api::{DriverError, ErrorKind, Result};
use tokio::time::{Instant, sleep};

use crate::catalog::{self, ServerState};
use crate::connect::code_of;
use crate::fault::{Carries, code};
use crate::layout::Layout;
use crate::plan;
use crate::session::Session;
use crate::sql::{self, Sql};

/// How long sessions may take to end. One that rolls a long transaction back is slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// Locks both logins out of the database, and ends every session of theirs and in it.
///
/// When it has returned, nobody but administrators can write in the database: no session is left, none can come, nobody
/// else has a right to write, what runs as one of the logins (an event) has none, and no XA transaction waits for its end.
pub(crate) async fn lock_out(session: &mut Session, layout: &Layout) -> Result<()> {
    let state = catalog::read(session, layout).await?;
    if state.our_database(layout).is_none() {
        return Err(DriverError::new(
            ErrorKind::DatabaseMissing,
            format!("database {} is not at {}, or is not ours", layout.database, session.connection.place()),
        ));
    }
    refuse_other_writers(session, &state, layout)?;
    shut(session, &state, layout).await?;
    let doing = doing(layout);
    // A locked account logs in no more, but its events go on, and what others call with its rights.
    for name in layout.accounts() {
        if state.our_account(name, layout).is_none() {
            continue;
        }
        let writes = plan::rights_to_write(&state, layout, session.about, name);
        if !writes.is_empty() {
            let pattern = sql::pattern(&layout.database, session.about.wildcards);
            session.effect(&sql::revoke(&writes, &pattern, name), &doing, Carries::Ours).await?;
        }
    }
    end_sessions_of(session, layout, true).await?;
    refuse_xa_transactions(session, layout).await
}

fn doing(layout: &Layout) -> String {
    format!("cannot lock the logins out of database {}", layout.database)
}

/// Locks the accounts that are ours.
pub(crate) async fn shut(session: &mut Session, state: &ServerState, layout: &Layout) -> Result<()> {
    for name in layout.accounts() {
        let is_open = state.our_account(name, layout).is_some_and(|account| !account.is_locked);
        if is_open {
            session.effect(&sql::lock(name), &doing(layout), Carries::Ours).await?;
        }
    }
    Ok(())
}

// The server's own threads have users of their own, and the event scheduler's workers that of the event.
const SESSIONS: &str = "SELECT ID, USER, DB FROM information_schema.PROCESSLIST \
    WHERE ID <> CONNECTION_ID() AND (USER IN (?, ?, 'unauthenticated user') OR DB = ?)";
const SERVERS_OWN: [&str; 3] = ["system user", "event_scheduler", BEGINNING];
const BEGINNING: &str = "unauthenticated user";

/// Ends the accounts' sessions, and all others in the database if it is ours, and waits until none is left. A session that was about to
/// log in when the accounts were locked may have been let in: it is waited for as well.
pub(crate) async fn end_sessions_of(session: &mut Session, layout: &Layout, is_ours: bool) -> Result<()> {
    let Layout { active, standby, .. } = layout;
    // No session is in a database without a name.
    let database = if is_ours { layout.database.as_str() } else { "" };
    let doing = doing(layout);
    let (begin, mut entering) = (Instant::now(), None);
    loop {
        session.check_lock().await?;
        let binds = (active, standby, database);
        let rows = session.connection.rows(SESSIONS, binds, &doing).await?;
        let mut left = Vec::new();
        let mut unknown = Vec::new();
        for row in &rows {
            let id: u64 = session.connection.cell(row, 0)?;
            let user: String = session.connection.cell(row, 1)?;
            // The list does not tell upper from lower case, and we do.
            let is_inside = session.connection.cell::<Option<String>>(row, 2)?.as_deref() == Some(database);
            if user == *active || user == *standby || (is_inside && !SERVERS_OWN.contains(&user.as_str())) {
                left.push((id, user));
            } else if user == BEGINNING {
                unknown.push(id);
            }
        }
        // Whoever comes later finds the accounts locked.
        let entering = entering.get_or_insert_with(|| unknown.clone());
        entering.retain(|id| unknown.contains(id));
        if left.is_empty() && entering.is_empty() {
            return Ok(());
        }
        for (id, user) in &left {
            kill(session, *id, user, &doing).await?;
        }
        if begin.elapsed() > PATIENCE {
            let who = left.first().map_or_else(
                || "a session that is about to begin".to_owned(),
                |(id, user)| format!("session {id} of {user}"),
            );
            let seconds = PATIENCE.as_secs();
            return Err(DriverError::new(
                ErrorKind::InUse,
                format!("{doing}: {who} does not end within {seconds} s: end it, and this goes on"),
            ));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn kill(session: &mut Session, id: u64, user: &str, doing: &str) -> Result<()> {
    let Err(error) = session.connection.attempt(&sql::kill(id)).await else { return Ok(()) };
    match code_of(&error) {
        Some(code::NO_SESSION) => Ok(()),
        Some(denied) if code::KILL_DENIED.contains(&denied) => Err(DriverError::new(
            ErrorKind::InUse,
            format!(
                "{doing} at {}: the administrator may not end session {id} of {user}: end it, or give the administrator's login {} (and SYSTEM_USER, if that user has it)",
                session.connection.place(),
                session.about.flavor().kill_privilege()
            ),
        )
        .with_source(error)),
        _ => Err(session.connection.fault(error, doing, Carries::Ours)),
    }
}

/// Names who else has a right to write in the database. Whoever has rights on all databases is an administrator.
fn refuse_other_writers(session: &Session, state: &ServerState, layout: &Layout) -> Result<()> {
    let others: Vec<_> = state
        .grants
        .iter()
        .filter(|grant| grant.may_write && grant.is_others(layout))
        .map(catalog::grants::Grant::text)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(DriverError::new(
        ErrorKind::InUse,
        format!(
            "{} at {}: {}, and can still write: REVOKE that, and this goes on",
            doing(layout),
            session.connection.place(),
            others.join(", ")
        ),
    ))
}

const TABLES: &str = "SELECT TABLE_NAME FROM information_schema.TABLES \
    WHERE TABLE_SCHEMA = ? AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')";

/// Names XA transactions that wait for their end and have written here: they commit without a session.
///
/// They outlive their session, and the server does not say what they have written to: `INNODB_TRX` may be older than the
/// end of the session. It says whether a lock on all tables comes about.
pub(crate) async fn refuse_xa_transactions(session: &mut Session, layout: &Layout) -> Result<()> {
    let doing = doing(layout);
    let connection = &mut session.connection;
    let rows = connection.rows(TABLES, (&layout.database,), &doing).await?;
    let tables = rows.iter().map(|row| connection.cell(row, 0)).collect::<Result<Vec<String>>>()?;
    if tables.is_empty() {
        return Ok(());
    }
    let held = lock_all(session, &sql::lock_tables(&layout.database, &tables)).await;
    match held {
        Ok(()) => Ok(()),
        Err(error) if code_of(&error) == Some(code::LOCK_WAIT_TIMEOUT) => {
            let waiting = xa_names(session).await;
            Err(DriverError::new(
                ErrorKind::InUse,
                format!(
                    "{doing} at {}: a prepared XA transaction{waiting} or an administrator's has written to it: end it (XA COMMIT, XA ROLLBACK), and this goes on",
                    session.connection.place()
                ),
            ))
        }
        Err(error) => Err(session.connection.fault(error, &doing, Carries::Ours)),
    }
}

/// Takes the locks and gives them back.
async fn lock_all(session: &mut Session, lock: &Sql) -> mysql_async::Result<()> {
    let connection = &mut session.connection;
    // Without autocommit InnoDB takes its own lock too, which is where an XA transaction shows after a restart.
    let begin = "SET SESSION autocommit = 0, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1";
    connection.attempt(&sql::plain(begin)).await?;
    let held = connection.attempt(lock).await;
    connection.attempt(&sql::plain("ROLLBACK")).await?;
    connection.attempt(&sql::plain("UNLOCK TABLES")).await?;
    let end = "SET SESSION autocommit = 1, lock_wait_timeout = 10, innodb_lock_wait_timeout = 10";
    connection.attempt(&sql::plain(end)).await?;
    held
}

/// The names of the XA transactions that wait, if the administrator may read them.
async fn xa_names(session: &mut Session) -> String {
    let connection = &mut session.connection;
    let rows = connection.try_rows("XA RECOVER", ()).await.unwrap_or_default();
    let names: Vec<String> = rows
        .iter()
        .filter_map(|row| connection.cell::<String>(row, 3).ok())
        .map(|xid| format!("{xid:?}"))
        .collect();
    if names.is_empty() { String::new() } else { format!(" (one of {})", names.join(", ")) }
}
