//! Which engine a server runs, and what follows from that.

use std::fmt;

use driver_api::{DriverError, ErrorKind, Result};

use crate::fault::Place;

/// Which of the two engines it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    MySql,
    MariaDb,
}

/// An engine and its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Engine {
    pub(crate) flavor: Flavor,
    major: u32,
    minor: u32,
}

impl Engine {
    /// What a server says of itself (`VERSION()`), such as `8.0.31` or `10.11.19-MariaDB-0+deb12u1-log`.
    pub(crate) fn parse(version: &str) -> Option<Self> {
        let lower = version.to_lowercase();
        // They speak the protocol, and have other catalogs, locks and grants.
        if ["tidb", "vitess", "clickhouse", "doris", "oceanbase"].iter().any(|other| lower.contains(other)) {
            return None;
        }
        let flavor = if lower.contains("mariadb") { Flavor::MariaDb } else { Flavor::MySql };
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Self { flavor, major, minor })
    }

    /// Refuses what the driver cannot work with.
    pub(crate) fn of(version: &str, place: &Place) -> Result<Self> {
        let refused = |what: &str| {
            let oldest = "the oldest that are supported are MySQL 8.0 and MariaDB 10.6";
            Err(DriverError::new(ErrorKind::Unsupported, format!("{place} runs {what}: {oldest}")))
        };
        match Self::parse(version) {
            None => refused(&format!("{version:?}, which is neither MySQL nor MariaDB")),
            Some(engine) if (engine.major, engine.minor) < engine.flavor.oldest() => {
                refused(&engine.to_string())
            }
            Some(engine) => Ok(engine),
        }
    }
}

impl Flavor {
    fn oldest(self) -> (u32, u32) {
        match self {
            Self::MySql => (8, 0),
            Self::MariaDb => (10, 6),
        }
    }

    /// The right to end other accounts' sessions.
    pub(crate) fn kill_privilege(self) -> &'static str {
        match self {
            Self::MySql => "CONNECTION_ADMIN",
            Self::MariaDb => "CONNECTION ADMIN",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.flavor {
            Flavor::MySql => "MySQL",
            Flavor::MariaDb => "MariaDB",
        };
        write!(f, "{name} {}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use driver_api::{Login, Secret, Server, ServerTls, TlsMode};

    use super::*;

    #[test]
    fn versions_are_told_apart() {
        let tls = ServerTls::new(TlsMode::Disable, None);
        let place = Place::new(&Server::new("db", 3306, tls, Login::new("admin", Secret::new("p"))), "admin");
        for (version, shown) in [
            ("8.0.31", "MySQL 8.0"),
            ("8.4.3-log", "MySQL 8.4"),
            ("9.7.4", "MySQL 9.7"),
            ("10.11.19-MariaDB-0+deb12u1-log", "MariaDB 10.11"),
            ("10.6.0-MariaDB", "MariaDB 10.6"),
            ("11.8.9-MariaDB", "MariaDB 11.8"),
        ] {
            assert_eq!(Engine::of(version, &place).unwrap().to_string(), shown);
        }
        for (version, named) in [
            ("5.7.22", "MySQL 5.7"),
            ("10.5.23-MariaDB", "MariaDB 10.5"),
            ("8.0.11-TiDB-v7.5.0", "neither"),
            ("", "neither"),
        ] {
            let error = Engine::of(version, &place).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
