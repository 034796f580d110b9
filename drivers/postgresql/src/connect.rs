//! Sessions: as the administrator, which hold the lock, and as the tenant, to prove that the login works.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use driver_api::names::short_hash;
use driver_api::{DriverError, ErrorKind, Login, Result, Server};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, CopyInSink, CopyOutStream, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fault::{Carries, Place, Refusal, fault};
use crate::layout::Layout;
use crate::settings::OPTIONS;
use crate::sql::Sql;
use crate::tls;

/// How long a session may take to come about, all of name, TCP, TLS and login together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the administrator works; the lock is there too. The second one serves where the first was dropped.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// The oldest major version that is supported: 13 brought DROP DATABASE WITH (FORCE) and trusted extensions.
const OLDEST: i32 = 13;

/// How long a session that moves data waits for the other side to take what was sent.
pub(crate) const MOVING_TIMEOUT: Duration = Duration::from_mins(15);

/// How to open sessions on one server.
pub(crate) struct Dialer {
    server: Server,
    tls: Option<MakeRustlsConnect>,
    /// Where the name leads, looked up once a run: a name server that loses one answer costs five seconds.
    addresses: OnceCell<Vec<SocketAddr>>,
}

/// What the administrator's login is and may do.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "it mirrors the catalog")]
pub(crate) struct Administrator {
    /// Its name.
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

impl Dialer {
    pub(crate) fn new(server: &Server) -> Result<Self> {
        Ok(Self { server: server.clone(), tls: tls::connector(server)?, addresses: OnceCell::new() })
    }

    /// How errors name a database of this server and a login.
    pub(crate) fn place(&self, role: &str, database: &str) -> Place {
        Place::new(&self.server, role, database)
    }

    /// A session of the administrator in `database`.
    pub(crate) async fn enter(&self, database: &str) -> Result<Connection> {
        let admin = &self.server.admin;
        let place = self.place(&admin.username, database);
        let opened = self.open(admin, database, OPTIONS).await;
        opened
            .map(|(client, _)| Connection { client, place: place.clone() })
            .map_err(|refusal| refusal.at(&place))
    }

    /// The administrator's login.
    pub(crate) fn admin(&self) -> &Login {
        &self.server.admin
    }

    /// The server, for a program that connects by itself.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// A session of its own options, and what ends it at once.
    pub(crate) async fn open_with(
        &self,
        login: &Login,
        database: &str,
        options: &str,
    ) -> std::result::Result<(Connection, AbortHandle), Refusal> {
        let (client, closer) = self.open(login, database, options).await?;
        Ok((Connection { client, place: self.place(&login.username, database) }, closer))
    }

    /// A session of a tenant's login, or why there is none.
    pub(crate) async fn log_in(
        &self,
        login: &Login,
        database: &str,
    ) -> std::result::Result<Connection, Refusal> {
        let (client, _) = self.open(login, database, OPTIONS).await?;
        Ok(Connection { client, place: self.place(&login.username, database) })
    }

    async fn open(
        &self,
        login: &Login,
        database: &str,
        options: &str,
    ) -> std::result::Result<(Client, AbortHandle), Refusal> {
        timeout(CONNECT_TIMEOUT, self.dial(login, database, options)).await.map_err(|_| Refusal::Silence)?
    }

    async fn dial(
        &self,
        login: &Login,
        database: &str,
        options: &str,
    ) -> std::result::Result<(Client, AbortHandle), Refusal> {
        let Server { host, port, .. } = &self.server;
        let mut config = Config::new();
        config
            .port(*port)
            .user(&login.username)
            .password(login.password.expose())
            .dbname(database)
            .options(options)
            .application_name("db-operator")
            .keepalives_idle(Duration::from_secs(30))
            // As long as the server's own in those options.
            .tcp_user_timeout(if options == OPTIONS { Duration::from_secs(30) } else { MOVING_TIMEOUT });
        for address in self.addresses.get_or_try_init(|| self.look_up()).await? {
            config.host(host).hostaddr(address.ip());
        }
        match self.tls.clone() {
            None => {
                config.ssl_mode(SslMode::Disable);
                let (client, connection) = config.connect(NoTls).await.map_err(Refusal::Postgres)?;
                // It ends with the client; its error comes back from the client's calls.
                Ok((client, tokio::spawn(connection).abort_handle()))
            }
            // Channel binding is used where server and certificate can (`prefer`, the default): to insist
            // would shut out servers with md5 passwords or an Ed25519 certificate.
            Some(tls) => {
                config.ssl_mode(SslMode::Require);
                let (client, connection) = config.connect(tls).await.map_err(Refusal::Postgres)?;
                Ok((client, tokio::spawn(connection).abort_handle()))
            }
        }
    }

    /// Looks the name up, since tokio-postgres does not tell an unknown name from a closed port.
    async fn look_up(&self) -> std::result::Result<Vec<SocketAddr>, Refusal> {
        let Server { host, port, .. } = &self.server;
        Ok(tokio::net::lookup_host((host.as_str(), *port)).await.map_err(Refusal::Lookup)?.collect())
    }
}

/// An open session, and its place for errors.
pub(crate) struct Connection {
    client: Client,
    place: Place,
}

/// A bind parameter with its type, so that a query takes one round trip.
pub(crate) type Bind<'a> = (&'a (dyn tokio_postgres::types::ToSql + Sync), Type);

impl Connection {
    /// Reads rows. `doing` begins the sentence of an error.
    pub(crate) async fn rows(&self, query: &str, binds: &[Bind<'_>], doing: &str) -> Result<Vec<Row>> {
        self.query(query, binds).await.map_err(|error| fault(error, &self.place, doing, Carries::Ours))
    }

    /// Runs what changes something.
    pub(crate) async fn run(&self, sql: &Sql, doing: &str, carries: Carries) -> Result<()> {
        let done = self.client.batch_execute(sql.text()).await;
        done.map_err(|error| fault(error, &self.place, doing, carries))
    }

    /// Reads rows, and leaves the error as it is.
    pub(crate) async fn query(
        &self,
        query: &str,
        binds: &[Bind<'_>],
    ) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        self.client.query_typed(query, binds).await
    }

    /// Runs a statement, and leaves the error as it is.
    pub(crate) async fn attempt(&self, sql: &Sql) -> std::result::Result<(), tokio_postgres::Error> {
        self.client.batch_execute(sql.text()).await
    }

    /// The rows of a table, as the server sends them.
    pub(crate) async fn copy_out(
        &self,
        sql: &Sql,
    ) -> std::result::Result<CopyOutStream, tokio_postgres::Error> {
        self.client.copy_out(sql.text()).await
    }

    /// Takes the rows of a table. What is dropped before its end is rolled back.
    pub(crate) async fn copy_in(
        &self,
        sql: &Sql,
    ) -> std::result::Result<CopyInSink<Bytes>, tokio_postgres::Error> {
        self.client.copy_in(sql.text()).await
    }

    /// The error for a person. `doing` begins the sentence.
    pub(crate) fn fault(&self, error: tokio_postgres::Error, doing: &str, carries: Carries) -> DriverError {
        fault(error, &self.place, doing, carries)
    }

    /// Turns a row's cell into a value.
    pub(crate) fn cell<'a, T>(&self, row: &'a Row, column: usize) -> Result<T>
    where
        T: tokio_postgres::types::FromSql<'a>,
    {
        row.try_get(column)
            .map_err(|error| fault(error, &self.place, "cannot read the server's catalog", Carries::Ours))
    }

    /// Where this session is.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

const PROBE: &str = "SELECT pg_try_advisory_lock($1), current_setting('server_version_num')::int4, \
    pg_is_in_recovery(), rolname::text, rolsuper, rolcreaterole, rolcreatedb, rolinherit \
    FROM pg_roles WHERE rolname = current_user";

/// Opens the administrator's session, and takes the lock on the database's name.
pub(crate) async fn administer(dialer: &Dialer, layout: &Layout) -> Result<(Connection, Administrator)> {
    let connection = enter_maintenance(dialer).await?;
    let key = lock_key(&layout.database);
    let rows = connection.rows(PROBE, &[(&key, Type::INT8)], "cannot take the lock").await?;
    let Some(row) = rows.first() else {
        return Err(DriverError::new(
            ErrorKind::Internal,
            format!("{} does not know its own role", connection.place),
        ));
    };
    let version_num: i32 = connection.cell(row, 1)?;
    check_server(version_num, connection.cell(row, 2)?, &connection.place)?;
    if !connection.cell::<bool>(row, 0)? {
        return Err(locked(&connection, &layout.database, key).await);
    }
    let administrator = Administrator {
        name: connection.cell(row, 3)?,
        superuser: connection.cell(row, 4)?,
        createrole: connection.cell(row, 5)?,
        createdb: connection.cell(row, 6)?,
        inherit: connection.cell(row, 7)?,
        version: version_num / 10000,
    };
    Ok((connection, administrator))
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

/// Says who keeps the lock. Anybody who may connect to the maintenance database can take it, and would be in
/// the way for ever: a run of ours is short and comes as this login.
async fn locked(connection: &Connection, database: &str, key: i64) -> DriverError {
    let place = &connection.place;
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
        let login = Login::new("admin", driver_api::Secret::new("p"));
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
