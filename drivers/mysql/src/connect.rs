//! Connections to one server: how they are opened, and what is asked over them.

use std::net::SocketAddr;
use std::time::Duration;

use driver_api::kit::reach::{self, Addresses};
use driver_api::kit::tls;
use driver_api::{DriverError, Login, Result, Server, ServerTls, TlsMode};
use mysql_async::prelude::{FromValue, Queryable};
use mysql_async::{ClientIdentity, Conn, Opts, OptsBuilder, Params, Row, SslOpts};

use crate::fault::{Carries, Place, Refusal, fault};
use crate::sql::Sql;

/// What is pinned of every session's settings, before anything else is said.
///
/// Statements and `LIKE` mean the same under any `sql_mode` of the server. A wait for somebody's lock ends after 10 s. A
/// session and its lock must not outlive this process: the server sees a closed connection; of a node that is lost it
/// sees nothing, and ends the session once it was idle for five minutes. `MariaDB` alone can bound a statement.
const SETTINGS: &str = "SET SESSION sql_mode = '', autocommit = 1, wait_timeout = 300, lock_wait_timeout = 10, \
    innodb_lock_wait_timeout = 10 /*M! , max_statement_time = 240 */";

/// The largest answer that is taken. It is said, for the library would ask the server for it otherwise.
const MAX_PACKET: usize = 64 << 20;

/// How to open sessions on one server.
pub(crate) struct Dialer {
    server: Server,
    tls: Option<SslOpts>,
    /// Looked up by us, since the library does not tell an unknown name from a closed port.
    addresses: Addresses,
}

impl Dialer {
    pub(crate) fn new(server: &Server) -> Result<Self> {
        Ok(Self { server: server.clone(), tls: ssl_opts(&server.tls)?, addresses: Addresses::new(server) })
    }

    /// How errors name a login on this server.
    pub(crate) fn place(&self, login: &str) -> Place {
        Place::new(&self.server, login)
    }

    /// A session of the administrator.
    pub(crate) async fn enter(&self) -> Result<Connection> {
        let admin = &self.server.admin;
        self.log_in(admin, None).await.map_err(|refusal| refusal.at(&self.place(&admin.username)))
    }

    /// The administrator's user name.
    pub(crate) fn admin(&self) -> &str {
        &self.server.admin.username
    }

    /// A session of a login in `database`, or why there is none.
    pub(crate) async fn log_in(
        &self,
        login: &Login,
        database: Option<&str>,
    ) -> std::result::Result<Connection, Refusal> {
        let conn = reach::connect(&self.server, self.dial(login, database)).await?;
        Ok(Connection { conn, place: self.place(&login.username) })
    }

    async fn dial(&self, login: &Login, database: Option<&str>) -> std::result::Result<Conn, Refusal> {
        let Server { host, port, .. } = &self.server;
        let addresses: Vec<_> = self.addresses.get().await?.iter().map(SocketAddr::ip).collect();
        let opts = OptsBuilder::default()
            .ip_or_hostname(host)
            .tcp_port(*port)
            .resolved_ips(Some(addresses))
            .user(Some(&login.username))
            .pass(Some(login.password.expose()))
            .db_name(database)
            .ssl_opts(self.tls.clone())
            .tcp_keepalive(Some(Duration::from_secs(30)))
            // The server's own socket file would go round TLS, and might be another server's.
            .prefer_socket(false)
            .max_allowed_packet(Some(MAX_PACKET))
            .wait_timeout(Some(300))
            .stmt_cache_size(0)
            // Whatever the server asks for: no password in clear text, and no file of ours (there is no handler).
            .enable_cleartext_plugin(false)
            .secure_auth(true)
            .connect_attribute("program_name", "db-operator")
            .setup(vec![SETTINGS]);
        Conn::new(Opts::from(opts)).await.map_err(Refusal::Server)
    }
}

/// TLS as strict as [`tls::client_config`] makes it, in the library's own terms: it takes no configuration.
fn ssl_opts(tls: &ServerTls) -> Result<Option<SslOpts>> {
    // It finds what is wrong with the certificates, and says it as for every other engine.
    if tls::client_config(tls)?.is_none() {
        return Ok(None);
    }
    let in_der = |authority: &[u8]| authority.to_vec().into();
    let authorities = tls::authorities(tls)?.iter().map(|authority| in_der(authority)).collect();
    let identity = tls.client_certificate.as_ref().map(|(certificate, key)| {
        ClientIdentity::new(
            certificate.clone().into_bytes().into(),
            key.expose().to_owned().into_bytes().into(),
        )
    });
    let opts = SslOpts::default().with_client_identity(identity).with_root_certs(authorities);
    Ok(Some(match tls.mode {
        TlsMode::Disable => return Ok(None),
        // It checks that the server has the certificate's key, which it cannot without any authority.
        TlsMode::Require => opts.with_danger_accept_invalid_certs(true),
        // The library knows the error of a name that does not fit by this word in its text. rustls 0.23 does not write
        // it any more, but writes the name that was asked for; the name comes last, when the chain has been found good.
        TlsMode::VerifyCa => opts
            .with_disable_built_in_roots(true)
            .with_danger_skip_domain_validation(true)
            .with_danger_tls_hostname_override(Some("NotValidForName")),
        TlsMode::VerifyFull => opts.with_disable_built_in_roots(true),
    }))
}

/// An open session, and its place for errors.
pub(crate) struct Connection {
    conn: Conn,
    place: Place,
}

impl Connection {
    /// Reads rows. `doing` begins the sentence of an error.
    pub(crate) async fn rows(
        &mut self,
        query: &str,
        binds: impl Into<Params> + Send,
        doing: &str,
    ) -> Result<Vec<Row>> {
        let rows = self.try_rows(query, binds).await;
        rows.map_err(|error| fault(error, &self.place, doing, Carries::Ours))
    }

    /// Reads rows, and leaves the error as it is.
    pub(crate) async fn try_rows(
        &mut self,
        query: &str,
        binds: impl Into<Params> + Send,
    ) -> mysql_async::Result<Vec<Row>> {
        match binds.into() {
            Params::Empty => self.conn.query(query).await,
            binds @ (Params::Named(_) | Params::Positional(_)) => self.conn.exec(query, binds).await,
        }
    }

    /// Runs a statement.
    pub(crate) async fn run(&mut self, sql: &Sql, doing: &str, carries: Carries) -> Result<()> {
        let done = self.attempt(sql).await;
        done.map_err(|error| fault(error, &self.place, doing, carries))
    }

    /// Runs a statement, and leaves the error as it is.
    pub(crate) async fn attempt(&mut self, sql: &Sql) -> mysql_async::Result<()> {
        self.conn.query_drop(sql.text()).await
    }

    /// The error for a person. `doing` begins the sentence.
    pub(crate) fn fault(&self, error: mysql_async::Error, doing: &str, carries: Carries) -> DriverError {
        fault(error, &self.place, doing, carries)
    }

    /// How errors name this session.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Turns a row's cell into a value.
    pub(crate) fn cell<T: FromValue>(&self, row: &Row, column: usize) -> Result<T> {
        match row.get_opt::<T, usize>(column) {
            Some(Ok(value)) => Ok(value),
            Some(Err(_)) | None => Err(DriverError::new(
                driver_api::ErrorKind::Internal,
                format!("column {column} of the catalog at {} is not as expected", self.place),
            )),
        }
    }
}

/// The server's error number, if it was the server that refused.
pub(crate) fn code_of(error: &mysql_async::Error) -> Option<u16> {
    match error {
        mysql_async::Error::Server(error) => Some(error.code),
        mysql_async::Error::Driver(_)
        | mysql_async::Error::Io(_)
        | mysql_async::Error::Other(_)
        | mysql_async::Error::Url(_) => None,
    }
}
