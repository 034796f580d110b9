//! What went wrong, in a sentence for a person: SQLSTATE, input and output, TLS.

use std::error::Error as _;
use std::fmt;
use std::io;

use driver_api::kit::reach::Obstacle;
use driver_api::{DriverError, ErrorKind, Server};
use tokio_postgres::error::DbError;

/// Server, database and login, as errors name them.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    server: String,
    role: String,
    database: String,
}

impl Place {
    pub(crate) fn new(server: &Server, role: &str, database: &str) -> Self {
        Self { server: server.to_string(), role: role.to_owned(), database: database.to_owned() }
    }

    /// The login, by which a next step can name it.
    pub(crate) fn role(&self) -> &str {
        &self.role
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, role, database } = self;
        write!(f, "{server} (database {database}, as {role})")
    }
}

/// Whether a statement carries what `spec.parameters` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Names and settings of our own: what the server does not know in it went away beside us, and another run
    /// starts from what is there then.
    Ours,
    /// A person's choice: what is wrong with it stays wrong until that person corrects it.
    Parameters,
    /// The tenant's own objects and rows, which are read and written with the tenant's rights.
    Data,
}

/// Why no session came to be.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The name has no address, or nothing answers in time.
    Unreached(DriverError),
    /// The port, TLS, or the server itself.
    Postgres(tokio_postgres::Error),
}

impl Refusal {
    /// The server's SQLSTATE, if it was the server that refused.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Unreached(_) => None,
            Self::Postgres(error) => error.code().map(tokio_postgres::error::SqlState::code),
        }
    }

    /// The error for a person.
    pub(crate) fn at(self, place: &Place) -> DriverError {
        match self {
            Self::Unreached(error) => error,
            // It does not come so far as to say its version.
            Self::Postgres(error)
                if error.as_db_error().is_some_and(|error| error.message().contains("tcp_user_timeout")) =>
            {
                DriverError::new(
                    ErrorKind::Unsupported,
                    format!("{place} runs a PostgreSQL older than 12: 13 is the oldest that is supported"),
                )
                .with_source(error)
            }
            Self::Postgres(error) => fault(error, place, "cannot connect", Carries::Ours),
        }
    }
}

impl From<DriverError> for Refusal {
    fn from(error: DriverError) -> Self {
        Self::Unreached(error)
    }
}

/// What the server's SQLSTATE means for us, and the next step. The first entry that the code begins with holds;
/// `Invalid` only for a statement that carries parameters.
const STATES: &[(&str, ErrorKind, &str)] = &[
    ("28P01", ErrorKind::AuthenticationFailed, "correct the user name and password in spec.credentials"),
    (
        "28",
        ErrorKind::AuthenticationFailed,
        "let this login in from this address in the server's pg_hba.conf, or correct connect.tls.mode or the login in spec.credentials",
    ),
    ("42501", ErrorKind::InsufficientPrivilege, "give the administrator's login that right"),
    ("3D000", ErrorKind::DatabaseMissing, "look at what removed it"),
    (
        "08P01",
        ErrorKind::Unsupported,
        "give the server's own address: a connection pooler in between takes neither session settings nor locks",
    ),
    ("08", ErrorKind::Unreachable, "look at the server and the network"),
    (
        "53300",
        ErrorKind::ResourceExhausted,
        "raise max_connections or a connection limit, or close idle sessions",
    ),
    ("57P03", ErrorKind::NotServing, "wait until the server has started"),
    ("57P", ErrorKind::Unreachable, "wait until the server runs"),
    ("25006", ErrorKind::Unreachable, "give the address of the primary: this server only reads"),
    ("55P03", ErrorKind::InUse, "end the session that holds the lock, such as a long transaction"),
    ("57014", ErrorKind::InUse, "it took too long: end what it waits for"),
    ("55", ErrorKind::InUse, "end what uses it"),
    ("2BP01", ErrorKind::InUse, "remove what depends on it"),
    (
        "42710",
        ErrorKind::NameTaken,
        "remove it on the server, or delete this Database and create it with another spec.name",
    ),
    (
        "42P04",
        ErrorKind::NameTaken,
        "remove it on the server, or delete this Database and create it with another spec.name",
    ),
    ("0A", ErrorKind::Unsupported, "ask for what this server has"),
    ("58P01", ErrorKind::Unsupported, "ask for what is installed on this server"),
    ("22", ErrorKind::Invalid, "correct spec.parameters"),
    ("3F000", ErrorKind::Invalid, "correct spec.parameters"),
    ("42", ErrorKind::Invalid, "correct spec.parameters"),
    ("53", ErrorKind::ResourceExhausted, "free disk space or memory on the server"),
];

/// Says what `error` is. `doing` begins the sentence, such as `cannot create role orders_a`.
pub(crate) fn fault(
    error: tokio_postgres::Error,
    place: &Place,
    doing: &str,
    carries: Carries,
) -> DriverError {
    if let Some(db_error) = error.as_db_error() {
        return refused(db_error, place, doing, carries);
    }
    let cause = error.source();
    // TLS errors come inside an input/output error.
    let io = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    let (kind, what, next) = match io.map(Obstacle::of) {
        Some(Obstacle { kind, what, next, .. }) => (kind, what, next),
        None if is_tls_refused(cause) => (
            ErrorKind::TlsRefused,
            "the server has no TLS".to_owned(),
            "turn it on there, or set connect.tls.mode to disable",
        ),
        None if error.is_closed() => (
            ErrorKind::Unreachable,
            "the connection broke".to_owned(),
            "look at the server's log and the network",
        ),
        None if error.to_string().contains("authentication") => (
            ErrorKind::AuthenticationFailed,
            "the login did not succeed".to_owned(),
            "look at the password, and at the method in the server's pg_hba.conf, which must be scram-sha-256",
        ),
        None => {
            (ErrorKind::Internal, "the conversation with the server failed".to_owned(), "look at its log")
        }
    };
    DriverError::new(kind, format!("{doing}: {what} at {place}; {next}")).with_source(error)
}

fn refused(error: &DbError, place: &Place, doing: &str, carries: Carries) -> DriverError {
    let code = error.code().code();
    let (kind, next) = meaning(code, carries);
    let detail =
        error.detail().map(|detail| format!(" ({})", detail.replace('\n', "; "))).unwrap_or_default();
    DriverError::new(kind, format!("{doing}: {place} says {:?} [{code}]{detail}; {next}", error.message()))
}

fn meaning(code: &str, carries: Carries) -> (ErrorKind, &'static str) {
    match STATES.iter().find(|(begin, _, _)| code.starts_with(begin)) {
        Some((_, ErrorKind::Invalid, _)) if carries != Carries::Parameters => {
            (ErrorKind::Internal, "it is tried again; if it stays, look at the server's log")
        }
        Some((_, ErrorKind::NameTaken, _)) if carries == Carries::Data => {
            (ErrorKind::NotEmpty, "remove it in the database")
        }
        Some((_, ErrorKind::InsufficientPrivilege, _)) if carries == Carries::Data => (
            ErrorKind::InsufficientPrivilege,
            "this is done with the rights of the database's group role: give it that right, or make it the object's owner",
        ),
        Some((_, kind, next)) => (*kind, next),
        None => (ErrorKind::Internal, "look at the server's log"),
    }
}

/// tokio-postgres has no other way to tell it.
fn is_tls_refused(cause: Option<&(dyn std::error::Error + 'static)>) -> bool {
    cause.is_some_and(|cause| cause.to_string() == "server does not support TLS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_their_kinds() {
        for (code, kind) in [
            ("28P01", ErrorKind::AuthenticationFailed),
            ("28000", ErrorKind::AuthenticationFailed),
            ("42501", ErrorKind::InsufficientPrivilege),
            ("3D000", ErrorKind::DatabaseMissing),
            ("08P01", ErrorKind::Unsupported),
            ("08006", ErrorKind::Unreachable),
            ("53300", ErrorKind::ResourceExhausted),
            ("57P01", ErrorKind::Unreachable),
            ("57P03", ErrorKind::NotServing),
            ("25006", ErrorKind::Unreachable),
            ("55P03", ErrorKind::InUse),
            ("55006", ErrorKind::InUse),
            ("55000", ErrorKind::InUse),
            ("57014", ErrorKind::InUse),
            ("2BP01", ErrorKind::InUse),
            ("42710", ErrorKind::NameTaken),
            ("42P04", ErrorKind::NameTaken),
            ("0A000", ErrorKind::Unsupported),
            ("58P01", ErrorKind::Unsupported),
            ("22023", ErrorKind::Invalid),
            ("42704", ErrorKind::Invalid),
            ("3F000", ErrorKind::Invalid),
            ("53100", ErrorKind::ResourceExhausted),
            ("XX000", ErrorKind::Internal),
        ] {
            assert_eq!(meaning(code, Carries::Parameters).0, kind, "{code}");
        }
    }

    /// Such as a role that was dropped beside us: to give up on it would stall a delete.
    #[test]
    fn only_parameters_are_invalid() {
        for (code, ..) in STATES {
            let (kind, next) = meaning(code, Carries::Ours);
            assert_ne!(kind, ErrorKind::Invalid, "{code}");
            assert!(!next.contains("spec.parameters"), "{code}: {next}");
        }
        for code in ["42704", "22023", "3F000"] {
            let (kind, _) = meaning(code, Carries::Ours);
            assert_eq!(kind, ErrorKind::Internal, "{code}");
        }
        assert_eq!(meaning("2BP01", Carries::Ours), meaning("2BP01", Carries::Parameters));
    }

    #[test]
    fn no_entry_hides_behind_an_earlier_one() {
        for (at, (code, ..)) in STATES.iter().enumerate() {
            let first = STATES.iter().position(|(begin, ..)| code.starts_with(begin)).unwrap();
            assert_eq!(first, at, "{code} is never reached");
        }
    }
}
