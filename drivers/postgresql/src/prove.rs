//! Logging in as the tenant, which proves that the login works.

use driver_api::{Login, Result};

use crate::catalog::DatabaseState;
use crate::connect::{Connection, Dialer};
use crate::layout::Layout;

/// What an attempt to log in as the tenant showed.
pub(crate) enum Proof {
    /// The login works.
    LogsIn(Box<Connection>),
    /// The login is right, and every session that `connectionLimit` allows is taken.
    Full,
    /// The server refused it for a reason that can be repaired.
    Refused {
        /// What differs.
        what: String,
        /// The password is not the desired one.
        password: bool,
    },
}

/// Logs in as the tenant.
pub(crate) async fn prove(
    dialer: &Dialer,
    layout: &Layout,
    database: &DatabaseState,
    login: &Login,
) -> Result<Proof> {
    let refusal = match dialer.log_in(login, &layout.database).await {
        Ok(connection) => return Ok(Proof::LogsIn(Box::new(connection))),
        Err(refusal) => refusal,
    };
    let refused =
        |what: &str, password| Proof::Refused { what: format!("{} {what}", login.username), password };
    match refusal.code() {
        Some("28P01") => Ok(refused("does not log in with its password", true)),
        Some("42501") => Ok(refused("may not enter the database", false)),
        // The limit is looked at last, after password and right.
        Some("53300") if database.connection_limit >= 0 && database.sessions >= database.connection_limit => {
            Ok(Proof::Full)
        }
        _ => Err(refusal.at(&dialer.place(&login.username, &layout.database))),
    }
}
