//! Connections to one server: how they are opened, and what is asked over them.

use std::time::Duration;

use bytes::Bytes;
use driver_api::kit::reach::{self, Addresses};
use driver_api::kit::tls;
use driver_api::{DriverError, Login, Result, Server};
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, CopyInSink, CopyOutStream, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fault::{Carries, Place, Refusal, fault};
use crate::settings::OPTIONS;
use crate::sql::Sql;

/// How long a session that moves data waits for the other side to take what was sent.
pub(crate) const MOVING_TIMEOUT: Duration = Duration::from_mins(15);

/// How to open sessions on one server.
pub(crate) struct Dialer {
    server: Server,
    tls: Option<MakeRustlsConnect>,
    /// Looked up by us, since tokio-postgres does not tell an unknown name from a closed port.
    addresses: Addresses,
}

impl Dialer {
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let tls = tls::client_config(&server.tls)?.map(MakeRustlsConnect::new);
        Ok(Self { server: server.clone(), tls, addresses: Addresses::new(server) })
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
        reach::connect(&self.server, self.dial(login, database, options)).await
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
        for address in self.addresses.get().await? {
            config.host(host).hostaddr(address.ip());
        }
        match self.tls.clone() {
            None => {
                config.ssl_mode(SslMode::Disable);
                let (client, connection) = config.connect(NoTls).await.map_err(Refusal::Postgres)?;
                // It ends with the client; its error comes back from the client's calls.
                Ok((client, tokio::spawn(connection).abort_handle()))
            }
            // Channel binding is used if server and certificate can (`prefer`, the default): to insist
            // would shut out servers with md5 passwords or an Ed25519 certificate.
            Some(tls) => {
                config.ssl_mode(SslMode::Require);
                let (client, connection) = config.connect(tls).await.map_err(Refusal::Postgres)?;
                Ok((client, tokio::spawn(connection).abort_handle()))
            }
        }
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

    /// Reads rows with the tenant's rights.
    pub(crate) async fn rows_of_data(
        &self,
        query: &str,
        binds: &[Bind<'_>],
        doing: &str,
    ) -> Result<Vec<Row>> {
        self.query(query, binds).await.map_err(|error| fault(error, &self.place, doing, Carries::Data))
    }

    /// Runs what changes something.
    pub(crate) async fn run(&self, sql: &Sql, doing: &str, carries: Carries) -> Result<()> {
        let done = self.client.batch_execute(sql.text()).await;
        done.map_err(|error| fault(error, &self.place, doing, carries))
    }

    async fn query(
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

    /// How errors name this session.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}
