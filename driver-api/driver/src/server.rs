//! A database server: where it is, how to reach it, and who logs in.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// A database server and the administrator's login on it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Transport security.
    pub tls: ServerTls,
    /// The administrator's login.
    pub admin: Login,
}

impl Server {
    /// A server without client certificate.
    pub fn new(host: impl Into<String>, port: u16, tls: ServerTls, admin: Login) -> Self {
        Self { host: host.into(), port, tls, admin }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&host_port(&self.host, self.port))
    }
}

/// `host:port`, with the brackets that an IPv6 address needs.
pub fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// How the connection to the server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Plain text.
    Disable,
    /// Encrypted; the certificate is not checked.
    Require,
    /// Encrypted; the certificate must be signed by a given authority.
    VerifyCa,
    /// Encrypted; the certificate must be signed by a given authority and name the host.
    VerifyFull,
}

/// Transport security between driver and server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerTls {
    /// How much is checked.
    pub mode: TlsMode,
    /// PEM of the authorities that sign the server's certificate.
    pub ca: Option<String>,
    /// PEM of the client certificate and of its private key.
    pub client_certificate: Option<(String, Secret)>,
}

impl ServerTls {
    /// Transport security of that mode, with the authorities in PEM.
    pub fn new(mode: TlsMode, ca: Option<String>) -> Self {
        Self { mode, ca, client_certificate: None }
    }

    /// The same with a client certificate and its private key, both in PEM.
    #[must_use]
    pub fn with_client_certificate(mut self, certificate: String, key: Secret) -> Self {
        self.client_certificate = Some((certificate, key));
        self
    }
}

/// A user name and its password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

impl Login {
    /// A login.
    pub fn new(username: impl Into<String>, password: Secret) -> Self {
        Self { username: username.into(), password }
    }
}
