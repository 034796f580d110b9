//! Logging in as the tenant, which proves that the login works.

use driver_api::{Login, Result};

use crate::connect::Dialer;
use crate::fault::code;
use crate::layout::Layout;
use crate::parameters::Parameters;

/// What an attempt to log in as the tenant showed.
#[derive(Debug)]
pub(crate) enum Proof {
    /// The login works.
    LogsIn,
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

/// Logs in as the tenant, into its database.
pub(crate) async fn prove(
    dialer: &Dialer,
    layout: &Layout,
    parameters: &Parameters,
    login: &Login,
) -> Result<Proof> {
    let Err(refusal) = dialer.log_in(login, Some(&layout.database)).await else {
        return Ok(Proof::LogsIn);
    };
    let refused =
        |what: &str, password| Ok(Proof::Refused { what: format!("{} {what}", login.username), password });
    match refusal.code() {
        Some(code::LOGIN_DENIED) => refused("does not log in with its password", true),
        Some(code) if code::PASSWORD_EXPIRED.contains(&code) => {
            refused("has a password that is expired", true)
        }
        Some(code::DATABASE_DENIED | code::NO_DATABASE) => refused("may not enter the database", false),
        Some(code) if code::LOCKED.contains(&code) => refused("may not log in", false),
        // The limit is looked at last, after the password.
        Some(code) if code::LIMITS.contains(&code) && parameters.connection_limit.is_some() => {
            Ok(Proof::Full)
        }
        _ => Err(refusal.at(&dialer.place(&login.username))),
    }
}
