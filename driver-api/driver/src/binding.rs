//! What the login's Secret says about an engine. Pure.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::server::{Login, Server, TlsMode};

/// What RFC 3986 leaves unescaped everywhere.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What most engines' clients want: `database`, `uri`, and `sslmode` in the words of `spec.connect.tls.mode`.
pub fn standard(engine: &str, server: &Server, database: &str, login: &Login) -> BTreeMap<String, String> {
    let keys = [
        ("database", database.to_owned()),
        ("uri", uri(engine, login, server, database)),
        ("sslmode", sslmode(server.tls.mode).to_owned()),
    ];
    keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// `scheme://user:password@host:port/path`, percent-encoded.
pub fn uri(scheme: &str, login: &Login, server: &Server, path: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let (username, password) = (encode(&login.username), encode(login.password.expose()));
    format!("{scheme}://{username}:{password}@{server}/{}", encode(path))
}

/// The transport security that the driver itself uses.
fn sslmode(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::Disable => "disable",
        TlsMode::Require => "require",
        TlsMode::VerifyCa => "verify-ca",
        TlsMode::VerifyFull => "verify-full",
    }
}

#[cfg(test)]
mod tests {
    use crate::secret::Secret;
    use crate::server::ServerTls;

    use super::*;

    fn keys(password: &str, host: &str, mode: TlsMode) -> BTreeMap<String, String> {
        let admin = Login::new("admin", Secret::new("admin's"));
        let server = Server::new(host, 5432, ServerTls::new(mode, None), admin);
        standard("postgresql", &server, "orders", &Login::new("orders_a", Secret::new(password)))
    }

    #[test]
    fn the_uri_is_percent_encoded() {
        assert_eq!(
            keys("p@ss/wörd", "db.example.com", TlsMode::Require)["uri"],
            "postgresql://orders_a:p%40ss%2Fw%C3%B6rd@db.example.com:5432/orders"
        );
        let uri = &keys("x", "fd00::1", TlsMode::Require)["uri"];
        assert_eq!(uri, "postgresql://orders_a:x@[fd00::1]:5432/orders");
    }

    #[test]
    fn a_connection_is_to_be_secured_as_the_drivers_own_is() {
        for (mode, expected) in [
            (TlsMode::Disable, "disable"),
            (TlsMode::Require, "require"),
            (TlsMode::VerifyCa, "verify-ca"),
            (TlsMode::VerifyFull, "verify-full"),
        ] {
            let keys = keys("x", "h", mode);
            assert_eq!((keys["sslmode"].as_str(), keys["database"].as_str()), (expected, "orders"));
            assert_eq!(keys["uri"], "postgresql://orders_a:x@h:5432/orders", "as it was handed out");
        }
    }
}
