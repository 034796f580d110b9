//! What went wrong, in a sentence for a person: the server's error numbers, input and output, TLS.

use std::fmt;
use std::io;

use driver_api::kit::reach::Obstacle;
use driver_api::{DriverError, ErrorKind, Server};
use mysql_async::{Error, IoError, ServerError};

/// Server and login, as errors name them.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    server: String,
    login: String,
}

impl Place {
    pub(crate) fn new(server: &Server, login: &str) -> Self {
        Self { server: server.to_string(), login: login.to_owned() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, login } = self;
        write!(f, "{server} (as {login})")
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
}

/// Why no session came to be.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The name has no address, or nothing answers in time.
    Unreached(DriverError),
    /// The port, TLS, or the server itself.
    Server(Error),
}

impl Refusal {
    /// The server's error number, if it was the server that refused.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Server(Error::Server(error)) => Some(error.code),
            Self::Server(_) | Self::Unreached(_) => None,
        }
    }

    /// The error for a person.
    pub(crate) fn at(self, place: &Place) -> DriverError {
        match self {
            Self::Unreached(error) => error,
            Self::Server(error) => fault(error, place, "cannot connect", Carries::Ours),
        }
    }
}

impl From<DriverError> for Refusal {
    fn from(error: DriverError) -> Self {
        Self::Unreached(error)
    }
}

/// The server's numbers that others ask for by name.
pub(crate) mod code {
    /// The database is there already.
    pub(crate) const DATABASE_EXISTS: u16 = 1007;
    /// The lock is another session's, and patience is over.
    pub(crate) const LOCK_WAIT_TIMEOUT: u16 = 1205;
    /// The table is not there.
    pub(crate) const NO_TABLE: u16 = 1146;
    /// The database is not there.
    pub(crate) const NO_DATABASE: u16 = 1049;
    /// The login may not enter that database.
    pub(crate) const DATABASE_DENIED: u16 = 1044;
    /// User name or password is wrong, or there is no such account from this host.
    pub(crate) const LOGIN_DENIED: u16 = 1045;
    /// `MAX_USER_CONNECTIONS` of the account, on each engine, and of all accounts.
    pub(crate) const LIMITS: [u16; 2] = [1226, 1203];
    /// The account is locked: `MySQL`, `MariaDB`.
    pub(crate) const LOCKED: [u16; 2] = [3118, 4151];
    /// The session is gone.
    pub(crate) const NO_SESSION: u16 = 1094;
    /// The session is not ours to end.
    pub(crate) const KILL_DENIED: [u16; 2] = [1095, 1227];
    /// An account is the definer of something.
    pub(crate) const IS_DEFINER: u16 = 4006;
    /// The password is expired: at the login, and at the first statement.
    pub(crate) const PASSWORD_EXPIRED: [u16; 2] = [1862, 1820];
    /// No such grant.
    pub(crate) const NO_GRANT: [u16; 2] = [1141, 1147];
}

const GIVE_RIGHT: &str = "give the administrator's login that right";

/// What the server's error number means for us, and the next step. `Invalid` only for a statement that carries
/// parameters.
const CODES: &[(&[u16], ErrorKind, &str)] = &[
    (
        &[code::LOGIN_DENIED, 1698, 1862, 1820],
        ErrorKind::AuthenticationFailed,
        "correct the user name and password in spec.credentials, and the hosts that the server lets this account in from",
    ),
    (&[3118, 4151], ErrorKind::AuthenticationFailed, "unlock that account (ALTER USER … ACCOUNT UNLOCK)"),
    (
        &[1130],
        ErrorKind::AuthenticationFailed,
        "let this login in from this address: its account's host must be % or the addresses of the Jobs",
    ),
    (
        &[3159, 4152],
        ErrorKind::TlsRefused,
        "the server takes TLS alone: set connect.tls.mode to verify-full, verify-ca or require",
    ),
    (
        &[1251, 1524, 2059],
        ErrorKind::Unsupported,
        "give the account an authentication plugin that the driver speaks",
    ),
    (
        &[code::DATABASE_DENIED, 1142, 1143, 1227, 1370, 1410, 1211, 1132, 3879, 1095, 1698],
        ErrorKind::InsufficientPrivilege,
        GIVE_RIGHT,
    ),
    (&[code::NO_DATABASE, 1008], ErrorKind::DatabaseMissing, "look at what removed it"),
    (
        &[1040, 1203, 1226],
        ErrorKind::ResourceExhausted,
        "raise max_connections or the account's own limit, or close idle sessions",
    ),
    (
        &[1129],
        ErrorKind::Unreachable,
        "have the server forget the errors of this host (FLUSH HOSTS, mysqladmin flush-hosts), and raise max_connect_errors",
    ),
    (
        &[1053, 1927, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 3169, 1317],
        ErrorKind::Unreachable,
        "look at the server, at who ended the session, and at the network",
    ),
    (
        &[1290, 1836, 1792],
        ErrorKind::Unreachable,
        "give the address of the primary, which is not read-only, or look at that option of the server",
    ),
    (
        &[code::LOCK_WAIT_TIMEOUT, 1213, 3572],
        ErrorKind::InUse,
        "end the session or the XA transaction that holds the lock (SHOW PROCESSLIST, XA RECOVER)",
    ),
    (&[3024, 1969, 1028], ErrorKind::InUse, "it took too long: end what it waits for"),
    (&[3730, 1451, 1217], ErrorKind::InUse, "drop the foreign key in the other database first"),
    (&[code::IS_DEFINER], ErrorKind::InUse, "give the object another definer, or drop it"),
    (
        &[code::DATABASE_EXISTS, 1396],
        ErrorKind::NameTaken,
        "remove it on the server, or delete this Database and create it with another spec.name",
    ),
    (&[1235, 1286, 3755], ErrorKind::Unsupported, "ask for what this server has"),
    (&[1115, 1273, 1253, 1102], ErrorKind::Invalid, "correct spec.parameters"),
    (
        &[1819, 1372],
        ErrorKind::Unsupported,
        "let the administrator's login set a password by its hash (strict_password_validation and the like)",
    ),
    (
        &[1021, 1037, 1038, 1041, 1114],
        ErrorKind::ResourceExhausted,
        "free disk space or memory on the server",
    ),
];

/// Says what `error` is. `doing` begins the sentence, such as `cannot create account orders_a`.
pub(crate) fn fault(error: Error, place: &Place, doing: &str, carries: Carries) -> DriverError {
    let internal = |what: &str| (ErrorKind::Internal, what.to_owned(), "look at its log");
    let (kind, what, next) = match &error {
        Error::Server(server) => return refused(server, place, doing, carries),
        Error::Io(IoError::Io(cause)) => explained(Obstacle::of(cause)),
        Error::Io(IoError::Tls(cause)) => match cause {
            mysql_async::TlsError::Tls(cause) => explained(Obstacle::of(&io::Error::other(cause.clone()))),
            mysql_async::TlsError::InvalidDnsName(_) => (
                ErrorKind::Invalid,
                "connect.host is no name that a certificate could be for".to_owned(),
                "correct connect.host, or set connect.tls.mode to verify-ca",
            ),
            mysql_async::TlsError::Pem(_) | mysql_async::TlsError::VerifierBuilderError(_) => (
                ErrorKind::Invalid,
                "there is no authority to check the server's certificate with".to_owned(),
                "set connect.tls.ca",
            ),
        },
        Error::Driver(cause) => in_the_protocol(cause),
        Error::Other(_) | Error::Url(_) => internal("the conversation with the server failed"),
    };
    let shown = DriverError::new(kind, format!("{doing}: {what} at {place}; {next}"));
    // What was read may be a row of somebody's, and such an error shows it.
    if matches!(error, Error::Driver(_)) { shown } else { shown.with_source(error) }
}

fn explained(obstacle: Obstacle) -> (ErrorKind, String, &'static str) {
    let Obstacle { kind, what, next, .. } = obstacle;
    (kind, what, next)
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's, and grows")]
fn in_the_protocol(error: &mysql_async::DriverError) -> (ErrorKind, String, &'static str) {
    use mysql_async::DriverError as Cause;
    match error {
        Cause::NoClientSslFlagFromServer => (
            ErrorKind::TlsRefused,
            "the server has no TLS".to_owned(),
            "turn it on there, or set connect.tls.mode to disable",
        ),
        Cause::ConnectionClosed => (
            ErrorKind::Unreachable,
            "the connection broke".to_owned(),
            "look at the server's log and the network",
        ),
        // Never again in clear text: whoever asks for that may be anybody.
        Cause::CleartextPluginDisabled | Cause::MysqlOldPasswordDisabled => (
            ErrorKind::Unsupported,
            "the server asks for the password in a form that anybody could read".to_owned(),
            "give the account caching_sha2_password or mysql_native_password",
        ),
        Cause::UnknownAuthPlugin { name } => (
            ErrorKind::Unsupported,
            format!("the account's authentication plugin {name:?} is not supported"),
            "give the account caching_sha2_password or mysql_native_password",
        ),
        _ => (
            ErrorKind::Internal,
            "the server's answer is not what the protocol says".to_owned(),
            "look whether it is a MySQL or MariaDB server that listens there, and at its log",
        ),
    }
}

fn refused(error: &ServerError, place: &Place, doing: &str, carries: Carries) -> DriverError {
    let ServerError { code, message, .. } = error;
    let (kind, next) = meaning(*code, carries);
    DriverError::new(kind, format!("{doing}: {place} says {message:?} [{code}]; {next}"))
}

fn meaning(code: u16, carries: Carries) -> (ErrorKind, &'static str) {
    match CODES.iter().find(|(codes, ..)| codes.contains(&code)) {
        Some((_, ErrorKind::Invalid, _)) if carries != Carries::Parameters => {
            (ErrorKind::Internal, "it is tried again; if it stays, look at the server's log")
        }
        Some((_, kind, next)) => (*kind, next),
        None => (ErrorKind::Internal, "look at the server's log"),
    }
}

#[cfg(test)]
mod tests {
    use driver_api::{Login, Secret, ServerTls, TlsMode};

    use super::*;

    fn place() -> Place {
        let tls = ServerTls::new(TlsMode::Disable, None);
        Place::new(&Server::new("db", 3306, tls, Login::new("admin", Secret::new("hunter2"))), "admin")
    }

    #[test]
    fn each_number_has_its_kind() {
        for (code, kind) in [
            (1045, ErrorKind::AuthenticationFailed),
            (1044, ErrorKind::InsufficientPrivilege),
            (1227, ErrorKind::InsufficientPrivilege),
            (1040, ErrorKind::ResourceExhausted),
            (1290, ErrorKind::Unreachable),
            (1205, ErrorKind::InUse),
            (1007, ErrorKind::NameTaken),
            (1273, ErrorKind::Invalid),
            (3159, ErrorKind::TlsRefused),
            (9999, ErrorKind::Internal),
        ] {
            assert_eq!(meaning(code, Carries::Parameters).0, kind, "{code}");
        }
        assert_eq!(meaning(1273, Carries::Ours).0, ErrorKind::Internal);
    }

    #[test]
    fn what_the_protocol_cannot_tell_has_its_kind() {
        use mysql_async::DriverError as Cause;
        for (cause, kind) in [
            (Cause::NoClientSslFlagFromServer, ErrorKind::TlsRefused),
            (Cause::ConnectionClosed, ErrorKind::Unreachable),
            (Cause::CleartextPluginDisabled, ErrorKind::Unsupported),
            (Cause::UnexpectedPacket { payload: b"hunter2".to_vec() }, ErrorKind::Internal),
        ] {
            let error = fault(Error::Driver(cause), &place(), "cannot connect", Carries::Ours);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains("db:3306 (as admin)"), "{error}");
            assert!(!error.chain().contains("hunter2"), "{}", error.chain());
        }
    }
}
