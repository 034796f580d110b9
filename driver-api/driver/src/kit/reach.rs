//! Reaching a server: its addresses, a session in bounded time, and what stands in the way.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::error::{DriverError, ErrorKind, Result};
use crate::server::Server;

/// How long a session may take to come about: name, TCP, TLS and login together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a session within [`CONNECT_TIMEOUT`]. The look-up of the name belongs into `work` too.
///
/// # Errors
///
/// [`ErrorKind::Unreachable`] if the time is up, and what `work` fails with. A driver's own error type takes the former
/// by `From`.
pub async fn connect<T, E>(
    server: &Server,
    work: impl Future<Output = std::result::Result<T, E>>,
) -> std::result::Result<T, E>
where
    E: From<DriverError>,
{
    // On the heap, since the future of a handshake is large.
    timeout(CONNECT_TIMEOUT, Box::pin(work)).await.unwrap_or_else(|_| {
        let message = format!(
            "{server} does not answer: look at connect.host and port, network policies and firewalls"
        );
        Err(DriverError::new(ErrorKind::Unreachable, message).into())
    })
}

/// Where a server's name leads.
///
/// It is looked up once, at its first use, for all sessions of a run: a name server that loses one answer costs five
/// seconds. A look-up that fails is repeated at the next use.
pub struct Addresses {
    server: Server,
    found: OnceCell<Vec<SocketAddr>>,
}

impl Addresses {
    /// The addresses of that server. Nothing is looked up yet.
    pub fn new(server: &Server) -> Self {
        Self { server: server.clone(), found: OnceCell::new() }
    }

    /// The addresses, each with the server's port; at least one.
    ///
    /// It takes as long as the system's resolver does: await it inside [`connect`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreachable`] if the name has no address.
    pub async fn get(&self) -> Result<&[SocketAddr]> {
        let Server { host, port, .. } = &self.server;
        let look_up = || async {
            let found: io::Result<Vec<_>> =
                tokio::net::lookup_host((host.as_str(), *port)).await.map(Iterator::collect);
            found.and_then(|found| {
                if found.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(found) }
            })
        };
        let found = self.found.get_or_try_init(look_up).await;
        found.map(Vec::as_slice).map_err(|error| {
            let message =
                format!("cannot find an address for {}: correct connect.host, or look at DNS", self.server);
            DriverError::new(ErrorKind::Unreachable, message).with_source(error)
        })
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").field("found", &self.found).finish_non_exhaustive()
    }
}

/// What stands between a driver and its server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// The kind of the driver's error.
    pub kind: ErrorKind,
    /// What happened, such as `nothing listens on that port`.
    pub what: String,
    /// What to do next, such as `start the server`.
    pub next: &'static str,
}

impl Obstacle {
    /// What an error of a socket means. An error of `rustls` in it says what is wrong with TLS.
    pub fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Self::in_tls(error),
            None => Self::below_tls(error.kind()),
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's, and grows")]
    fn in_tls(error: &rustls::Error) -> Self {
        let (kind, what, next) = match error {
            rustls::Error::InvalidCertificate(why) => (
                ErrorKind::Untrusted,
                format!("the server's certificate is not trusted ({why})"),
                "correct connect.tls.ca, or the host name that the certificate is for",
            ),
            rustls::Error::AlertReceived(alert) => (
                ErrorKind::AuthenticationFailed,
                format!("the server broke off TLS ({alert:?})"),
                "look at the client certificate and the server's log",
            ),
            other => (
                ErrorKind::TlsRefused,
                format!("TLS does not come about ({other})"),
                "look at the server's TLS settings",
            ),
        };
        Self { kind, what, next }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's, and grows")]
    fn below_tls(kind: io::ErrorKind) -> Self {
        let (what, next) = match kind {
            io::ErrorKind::ConnectionRefused => {
                ("nothing listens on that port", "correct connect.host and port, or start the server")
            }
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof => (
                "the connection broke",
                "look at the server's log, and whether it is that server that listens there",
            ),
            _ => ("no connection", "look at connect.host and port, network policies and firewalls"),
        };
        Self { kind: ErrorKind::Unreachable, what: what.to_owned(), next }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use rustls::{AlertDescription, CertificateError};

    use crate::secret::Secret;
    use crate::server::{Login, ServerTls, TlsMode};

    use super::*;

    fn server(host: &str) -> Server {
        let login = Login::new("admin", Secret::new("hunter2"));
        Server::new(host, 5432, ServerTls::new(TlsMode::Disable, None), login)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_in_time() {
        let begin = tokio::time::Instant::now();
        let error = connect(&server("db"), pending::<Result<()>>()).await.unwrap_err();
        assert_eq!((error.kind(), begin.elapsed()), (ErrorKind::Unreachable, CONNECT_TIMEOUT));
        assert!(error.to_string().contains("db:5432 does not answer"), "{error}");
        let in_time: Result<i32> = connect(&server("db"), async { Ok(7) }).await;
        assert_eq!(in_time.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_name_is_looked_up() {
        let addresses = Addresses::new(&server("127.0.0.1"));
        assert_eq!(addresses.get().await.unwrap(), ["127.0.0.1:5432".parse().unwrap()]);
        // No resolver is asked for it.
        let unknown = Addresses::new(&server("no\0name"));
        let error = unknown.get().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().contains("cannot find an address for no\0name:5432"), "{error}");
        assert!(!format!("{unknown:?}").contains("admin"));
    }

    #[test]
    fn what_stands_in_the_way_has_its_kind() {
        let tls = |error| io::Error::other(error);
        for (error, kind, named) in [
            (io::ErrorKind::ConnectionRefused.into(), ErrorKind::Unreachable, "nothing listens"),
            (io::ErrorKind::ConnectionReset.into(), ErrorKind::Unreachable, "broke"),
            (io::Error::other("anything"), ErrorKind::Unreachable, "no connection"),
            (
                tls(rustls::Error::InvalidCertificate(CertificateError::Expired)),
                ErrorKind::Untrusted,
                "Expired",
            ),
            (
                tls(rustls::Error::AlertReceived(AlertDescription::AccessDenied)),
                ErrorKind::AuthenticationFailed,
                "AccessDenied",
            ),
            (tls(rustls::Error::NoCertificatesPresented), ErrorKind::TlsRefused, "TLS does not come about"),
        ] {
            let obstacle = Obstacle::of(&error);
            assert_eq!(obstacle.kind, kind, "{error}");
            assert!(obstacle.what.contains(named), "{obstacle:?}");
        }
    }
}
