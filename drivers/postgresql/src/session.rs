//! The administrator's session, which holds the lock on one database.

use driver_api::names::short_hash;
use driver_api::{DriverError, ErrorKind, Result, Server};
use tokio_postgres::types::Type;

use crate::connect::{Connection, Dialer};
use crate::fault::Place;
use crate::layout::Layout;

/// Where the administrator works; the lock is there too. The second one serves if the first was dropped.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// The oldest major version that is supported: 13 brought DROP DATABASE WITH (FORCE) and trusted extensions.
const OLDEST: i32 = 13;

/// An administrator's session, which holds the lock on one database.
pub struct Session {
    pub(crate) connection: Connection,
    pub(crate) dialer: Dialer,
    pub(crate) administrator: Administrator,
    /// The key of its lock.
    key: i64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("administrator", &self.administrator).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens the session, and takes the lock.
    pub(crate) async fn open(server: &Server, layout: &Layout) -> Result<Self> {
        let dialer = Dialer::new(server)?;
        let connection = enter_maintenance(&dialer).await?;
        let key = lock_key(&layout.database);
        let administrator = lock(&connection, layout, key).await?;
        Ok(Self { connection, dialer, administrator, key })
    }

    /// Gives the lock back. The server needs a moment to notice that a connection has ended, and a pooler may keep it.
    pub(crate) async fn close(self) -> Result<()> {
        let unlock = "SELECT pg_advisory_unlock($1)";
        self.connection
            .rows(unlock, &[(&self.key, Type::INT8)], "cannot give the lock back")
            .await
            .map(|_| ())
    }

    /// Asks the server for nothing: an error says that the lock is lost. To ask keeps the session from being ended
    /// as idle.
    pub(crate) async fn check_lock(&self) -> Result<()> {
        self.connection.rows("SELECT 1", &[], "the lock on the database is lost").await.map(|_| ())
    }
}

/// What the administrator's login is and may do.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "it mirrors the catalog")]
pub(crate) struct Administrator {
    /// The login.
    pub(crate) name: String,
    /// May do everything.
    pub(crate) superuser: bool,
    /// May create roles.
    pub(crate) createrole: bool,
    /// May create databases.
    pub(crate) createdb: bool,
    /// Has the rights of the roles that it is a member of.
    pub(crate) inherit: bool,
    /// The server's major version.
    pub(crate) version: i32,
}

const PROBE: &str = "SELECT pg_try_advisory_lock($1), current_setting('server_version_num')::int4, \
    pg_is_in_recovery(), rolname::text, rolsuper, rolcreaterole, rolcreatedb, rolinherit \
    FROM pg_roles WHERE rolname = current_user";

/// Takes the lock on the database's name, and reads what the administrator may do.
async fn lock(connection: &Connection, layout: &Layout, key: i64) -> Result<Administrator> {
    let rows = connection.rows(PROBE, &[(&key, Type::INT8)], "cannot take the lock").await?;
    let Some(row) = rows.first() else {
        return Err(DriverError::new(
            ErrorKind::Internal,
            format!("{} does not know its own role", connection.place()),
        ));
    };
    let version_num: i32 = connection.cell(row, 1)?;
    check_server(version_num, connection.cell(row, 2)?, connection.place())?;
    if !connection.cell::<bool>(row, 0)? {
        return Err(locked(connection, &layout.database, key).await);
    }
    Ok(Administrator {
        name: connection.cell(row, 3)?,
        superuser: connection.cell(row, 4)?,
        createrole: connection.cell(row, 5)?,
        createdb: connection.cell(row, 6)?,
        inherit: connection.cell(row, 7)?,
        version: version_num / 10000,
    })
}

/// Refuses a server that the driver cannot work on.
fn check_server(version_num: i32, in_recovery: bool, place: &Place) -> Result<()> {
    let major = version_num / 10000;
    if major < OLDEST {
        return Err(DriverError::new(
            ErrorKind::Unsupported,
            format!("{place} runs PostgreSQL {major}: {OLDEST} is the oldest that is supported"),
        ));
    }
    if in_recovery {
        return Err(DriverError::new(
            ErrorKind::Unreachable,
            format!("{place} is a standby, which only reads: give the address of the primary"),
        ));
    }
    Ok(())
}

// A key of 64 bits is shown in halves. A prepared transaction keeps a lock without a process. Everybody may see both views' columns that are read here.
const HOLDER: &str = "SELECT pid, a.usename::text, coalesce(a.application_name, '') \
    FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) \
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted \
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    AND (l.classid::int8 << 32) | l.objid::int8 = $1 \
    AND (pid IS NULL OR a.usesysid IS NOT NULL) \
    AND a.usename IS DISTINCT FROM session_user AND a.usename IS DISTINCT FROM current_user LIMIT 1";

/// Says who keeps the lock. Anybody who may connect to the maintenance database can take it, and would stay
/// in the way: a run of ours is short and comes as this login.
async fn locked(connection: &Connection, database: &str, key: i64) -> DriverError {
    let place = connection.place();
    let looked = connection.rows(HOLDER, &[(&key, Type::INT8)], "cannot look who holds the lock").await;
    let holder = looked.ok().and_then(|rows| {
        let row = rows.first()?;
        let role: Option<String> = connection.cell(row, 1).ok()?;
        Some((connection.cell::<Option<i32>>(row, 0).ok()?, role, connection.cell::<String>(row, 2).ok()?))
    });
    let Some((pid, role, application)) = holder else {
        return DriverError::new(
            ErrorKind::Busy,
            format!("another run works on database {database} at {place}"),
        );
    };
    tracing::debug!(pid, role, application, "something else holds the lock");
    let role = role.map_or_else(|| "a role that is gone".to_owned(), |role| format!("role {role}"));
    let (holder, cure) = match pid {
        Some(pid) => (
            format!("session {pid} of {role}"),
            format!("end that session (SELECT pg_terminate_backend({pid}))"),
        ),
        None => (
            "a prepared transaction".to_owned(),
            "find it in pg_prepared_xacts and roll it back (ROLLBACK PREPARED)".to_owned(),
        ),
    };
    DriverError::new(
        ErrorKind::InUse,
        format!(
            "{holder} holds the lock on database {database} at {place}, and is no run of this administrator: {cure}"
        ),
    )
}

async fn enter_maintenance(dialer: &Dialer) -> Result<Connection> {
    let [first, second] = MAINTENANCE;
    match dialer.enter(first).await {
        Err(error) if error.kind() == ErrorKind::DatabaseMissing => dialer.enter(second).await,
        other => other,
    }
}

/// The key of the lock: the name alone, so that it excludes runs of any cluster.
fn lock_key(database: &str) -> i64 {
    let hash = short_hash(&format!("db-operator/{database}"), 16);
    u64::from_str_radix(&hash, 16).unwrap_or_default().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_depends_on_the_name() {
        assert_eq!(lock_key("orders"), lock_key("orders"));
        assert_ne!(lock_key("orders"), lock_key("orders2"));
        assert_ne!(lock_key("orders"), 0);
    }

    #[test]
    fn old_servers_and_standbys_are_refused() {
        let login = driver_api::Login::new("admin", driver_api::Secret::new("p"));
        let tls = driver_api::ServerTls::new(driver_api::TlsMode::Disable, None);
        let place = Place::new(&Server::new("db", 5432, tls, login), "admin", "postgres");
        let refused = |version, in_recovery| check_server(version, in_recovery, &place).unwrap_err();

        let old = refused(120_022, false);
        assert_eq!(old.kind(), ErrorKind::Unsupported);
        for named in ["db:5432", "PostgreSQL 12", "13 is the oldest"] {
            assert!(old.to_string().contains(named), "{old}");
        }
        let standby = refused(170_002, true);
        assert_eq!(standby.kind(), ErrorKind::Unreachable);
        assert!(standby.to_string().contains("primary"), "{standby}");
        for version in [130_000, 180_001] {
            assert!(check_server(version, false, &place).is_ok());
        }
    }
}
