//! The administrator's session, which holds the lock on one database.

use driver_api::{DriverError, ErrorKind, Result, Server};

use crate::connect::{Connection, Dialer};
use crate::engine::{Engine, Flavor};
use crate::fault::{Carries, Place};
use crate::layout::Layout;
use crate::sql::Sql;

/// An administrator's session, which holds the lock on one database.
pub struct Session {
    pub(crate) connection: Connection,
    pub(crate) dialer: Dialer,
    pub(crate) about: About,
    lock: String,
}

/// What the server is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) engine: Engine,
    /// `_` and `%` in the database of a grant are wildcards.
    pub(crate) wildcards: bool,
}

impl About {
    pub(crate) fn flavor(&self) -> Flavor {
        self.engine.flavor
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("about", &self.about).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens the session, and takes the lock.
    pub(crate) async fn open(server: &Server, layout: &Layout) -> Result<Self> {
        let dialer = Dialer::new(server)?;
        let mut connection = dialer.enter().await?;
        let about = look_at(&mut connection, layout).await?;
        let lock = layout.lock();
        take(&mut connection, layout, &lock, dialer.admin()).await?;
        Ok(Self { connection, dialer, about, lock })
    }

    /// An error says that the lock is lost: somebody ended the session, or something in between hands each statement
    /// to another one.
    pub(crate) async fn check_lock(&mut self) -> Result<()> {
        let doing = "the lock on the database is lost";
        let rows =
            self.connection.rows("SELECT IS_USED_LOCK(?) <=> CONNECTION_ID()", (&self.lock,), doing).await?;
        let is_held = rows.first().map(|row| self.connection.cell::<i64>(row, 0)).transpose()?;
        if is_held == Some(1) {
            return Ok(());
        }
        Err(DriverError::new(
            ErrorKind::Unreachable,
            format!(
                "{doing} at {}: give the server's own address, for a pooler in between keeps no session",
                self.connection.place()
            ),
        ))
    }

    /// Gives the lock back. The server needs a moment to notice that a connection has ended, and a pooler may keep it.
    pub(crate) async fn close(mut self) -> Result<()> {
        let release = "SELECT RELEASE_LOCK(?)";
        self.connection.rows(release, (&self.lock,), "cannot give the lock back").await.map(|_| ())
    }

    /// Runs what changes something, while the lock is held.
    pub(crate) async fn effect(&mut self, sql: &Sql, doing: &str, carries: Carries) -> Result<()> {
        self.check_lock().await?;
        self.connection.run(sql, doing, carries).await
    }
}

const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
    ('version', 'read_only', 'super_read_only', 'partial_revokes', 'lower_case_table_names')";

/// Looks at the server, and refuses one that the driver cannot work on.
async fn look_at(connection: &mut Connection, layout: &Layout) -> Result<About> {
    let rows = connection.rows(VARIABLES, (), "cannot look at the server").await?;
    let mut variables = Vec::new();
    for row in &rows {
        variables.push((connection.cell::<String>(row, 0)?, connection.cell::<String>(row, 1)?));
    }
    let value =
        |name: &str| variables.iter().find(|(is, _)| is == name).map_or("", |(_, value)| value.as_str());
    let is_on = |name: &str| !matches!(value(name), "" | "OFF" | "0");
    let engine = Engine::of(value("version"), connection.place())?;
    if is_on("read_only") || is_on("super_read_only") {
        return Err(read_only(connection.place()));
    }
    // The server would write it in another way, and two databases would be one.
    if is_on("lower_case_table_names") && layout.database.chars().any(char::is_uppercase) {
        return Err(DriverError::new(
            ErrorKind::Invalid,
            format!(
                "{} does not tell upper from lower case in names (lower_case_table_names), and {:?} has an upper one: delete this Database and create it with another spec.name",
                connection.place(),
                layout.database
            ),
        ));
    }
    Ok(About { engine, wildcards: !is_on("partial_revokes") })
}

fn read_only(place: &Place) -> DriverError {
    DriverError::new(
        ErrorKind::Unreachable,
        format!(
            "{place} only reads (read_only or super_read_only is on): give the address of the primary, or turn it off there"
        ),
    )
}

/// Takes the lock at once, or says who has it.
async fn take(connection: &mut Connection, layout: &Layout, lock: &str, admin: &str) -> Result<()> {
    let rows = connection.rows("SELECT GET_LOCK(?, 0)", (lock,), "cannot take the lock").await?;
    let taken = rows.first().map(|row| connection.cell::<Option<i64>>(row, 0)).transpose()?.flatten();
    match taken {
        Some(1) => Ok(()),
        _ => Err(locked(connection, layout, lock, admin).await),
    }
}

const HOLDER: &str = "SELECT ID, USER FROM information_schema.PROCESSLIST WHERE ID = IS_USED_LOCK(?)";

/// Says who keeps the lock. Anybody who has a login can take it, and would stay in the way: a run of ours is short and
/// comes as this login.
async fn locked(connection: &mut Connection, layout: &Layout, lock: &str, admin: &str) -> DriverError {
    let looked = connection.try_rows(HOLDER, (lock,)).await;
    let place = connection.place();
    let holder = looked.ok().and_then(|rows| {
        let row = rows.first()?;
        Some((connection.cell::<u64>(row, 0).ok()?, connection.cell::<String>(row, 1).ok()?))
    });
    match holder {
        Some((id, user)) if user != admin => DriverError::new(
            ErrorKind::InUse,
            format!(
                "session {id} of {user} holds the lock on database {} at {place}, and is no run of this administrator: end that session (KILL {id})",
                layout.database
            ),
        ),
        Some(_) | None => DriverError::new(
            ErrorKind::Busy,
            format!("another run works on database {} at {place}", layout.database),
        ),
    }
}
