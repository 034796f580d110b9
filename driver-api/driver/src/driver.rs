//! The [`Driver`] trait: what the author of a driver implements.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

use serde::de::DeserializeOwned;

use crate::dump::{Description, Occupancy, Sink, Source};
use crate::error::Result;
use crate::server::{Login, Server};

/// One database engine.
///
/// The runtime (`runtime::run`) owns everything but the server's language: what
/// to do when, Kubernetes, the Secret, retries, exit codes. A driver sees no Kubernetes type.
///
/// # Contract
///
/// - Every method MUST be idempotent: the runtime repeats it after a crash at any point, and after success.
/// - A method MUST NOT adopt, change or drop anything on the server that does not carry the database's own
///   [`Mark`]. What carries none, or another one, is foreign.
/// - A method MUST leave nothing that does not carry the mark once it has returned, and SHOULD write the
///   mark in the statement that creates, or right after it.
/// - The runtime believes only [`observe`](Driver::observe): it observes, acts, and observes again.
/// - A method MUST bound its own time (connecting: 10 seconds) and MUST NOT retry; the runtime does.
/// - No message, log line or statement may contain a secret in clear text if the engine offers another
///   way. [`Secret`](crate::Secret) helps.
/// - Names and values from the caller are hostile: a driver MUST quote them.
///
/// # Cancellation
///
/// Any future may be dropped at any await point; the next run finishes what was begun.
pub trait Driver: Send + Sync + 'static {
    /// The engine's name after the Service Binding specification, such as `postgresql`.
    const TYPE: &'static str;
    /// The engine's usual port.
    const DEFAULT_PORT: u16;
    /// Longest name of a login, in characters of `[a-z0-9_]`.
    const MAX_USERNAME: usize;

    /// `spec.parameters`. Use `#[serde(deny_unknown_fields)]`, so that an unknown key is refused by name.
    type Parameters: DeserializeOwned + Send + Sync;

    /// An administrator's session that holds the lock on one database.
    type Session: Send;

    /// What the login's Secret says about this engine, such as a URI that its clients take.
    ///
    /// The runtime adds `type`, `provider`, `host`, `port`, `username`, `password`, and the authorities in `ca.crt` and
    /// `certificates`: these MUST NOT be among them. It MUST answer the same for the same arguments, since a Secret that
    /// says something else is repaired. [`binding::standard`](crate::binding::standard) is what most engines' clients want.
    fn binding(&self, server: &Server, database: &Target, login: &Login) -> BTreeMap<String, String>;

    /// Opens an administrator's session and takes the lock on `database` inside the server.
    ///
    /// The lock MUST exclude every other session of this method for a database of the same name, from any
    /// cluster. It MUST end with the session: see [`close`](Driver::close).
    ///
    /// # Errors
    ///
    /// `Busy` at once if another session holds the lock. `Unreachable`, `NotServing`, `Untrusted`,
    /// `AuthenticationFailed` and `Unsupported` MUST be told apart, and `TlsRefused` too where the protocol says in clear
    /// text that there is no TLS.
    fn connect(
        &self,
        server: &Server,
        database: &Target,
    ) -> impl Future<Output = Result<Self::Session>> + Send;

    /// Ends a session, and with it its lock. The runtime calls it once the work is over, well or not.
    ///
    /// When it has returned, the lock MUST be free for the next session. A process that is killed calls nothing: its lock
    /// MUST be free 60 seconds after its end at the latest. To drop a connection is not enough, for a server needs a moment
    /// to notice. An engine whose connections carry no locks needs a lease that runs out, and MUST refuse what a session asks
    /// for whose lease is over.
    ///
    /// # Errors
    ///
    /// They are logged and change nothing: the work is done by then, or has failed for a reason of its own.
    fn close(&self, session: Self::Session) -> impl Future<Output = Result<()>> + Send;

    /// Says what is on the server. It MUST NOT change anything.
    ///
    /// With `desired` it compares with all of it, and proves by logging in that the login works. Without, it
    /// says only whether anything of the database is there; it is used before a drop, when the spec may be
    /// invalid.
    fn observe(
        &self,
        session: &mut Self::Session,
        database: &Target,
        desired: Option<&Desired<Self::Parameters>>,
    ) -> impl Future<Output = Result<Presence>> + Send;

    /// Makes the database and its logins as desired, from any state that [`observe`](Driver::observe) calls
    /// `Absent` or `Ours`. It MUST NOT lose a row.
    fn ensure_present(
        &self,
        session: &mut Self::Session,
        database: &Target,
        desired: &Desired<Self::Parameters>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Locks the logins out, ends their sessions, drops the database and its logins. What is foreign stays.
    fn ensure_absent(
        &self,
        session: &mut Self::Session,
        database: &Target,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Keeps every login but the administrator's out of the database, and ends their sessions.
    ///
    /// When it has returned, nobody can commit anything in the database any more, until
    /// [`ensure_present`](Driver::ensure_present) lets the login in again.
    ///
    /// # Errors
    ///
    /// `InUse` if something that is not ours to end can still write.
    fn lock_out(
        &self,
        session: &mut Self::Session,
        database: &Target,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Writes one consistent snapshot of the database to `sink`: all that the tenant has made, and no row that
    /// was not committed when the snapshot was taken.
    ///
    /// It MUST read with the tenant's rights, and MUST fail rather than leave something out. It MAY take as
    /// long as the data takes. Nothing may be written to disk.
    fn dump<S: Sink>(
        &self,
        session: &mut Self::Session,
        database: &Target,
        sink: &S,
    ) -> impl Future<Output = Result<Description>> + Send;

    /// Says whether the database can take a dump of `description`. It MUST NOT change anything.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the server is older than the one that the dump is from, or lacks what a load needs.
    fn check_load(
        &self,
        session: &mut Self::Session,
        database: &Target,
        description: &Description,
    ) -> impl Future<Output = Result<Occupancy>> + Send;

    /// Loads a dump into a database that is `Empty`, with the tenant's rights and never through an interactive
    /// client. It MUST count the rows that the server has accepted, and fail if they are not as many as the dump has. What
    /// expires afterwards, as the dump says that it does, is no damage.
    ///
    /// It need not go on from what it left behind: the runtime drops the database and makes it again.
    fn load<S: Source>(
        &self,
        session: &mut Self::Session,
        database: &Target,
        source: &S,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// Which database a method is about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// Name of the database: `[a-z][a-z0-9_]*`, at most 48 characters.
    pub name: String,
    /// What marks it as ours.
    pub mark: Mark,
    /// Name of the login that applications use.
    pub active_login: String,
    /// Name of the other login. It exists and cannot log in, until a rotation takes it into use.
    pub standby_login: String,
}

impl Target {
    /// A database of that name, with login names within `max_username` characters.
    pub fn new(name: impl Into<String>, mark: Mark, max_username: usize) -> Self {
        let name = name.into();
        let active_login = crate::names::login_name(&name, 'a', max_username);
        let standby_login = crate::names::login_name(&name, 'b', max_username);
        Self { name, mark, active_login, standby_login }
    }
}

/// The ownership mark: which object of which cluster something on the server belongs to.
///
/// Its text is `db-operator cluster=<cluster id> uid=<uid>`. Two marks are the same if both parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mark {
    /// Uid of the cluster's namespace `kube-system`.
    pub cluster: String,
    /// Uid of the Database.
    pub uid: String,
}

impl Mark {
    /// The mark of one object.
    pub fn new(cluster: impl Into<String>, uid: impl Into<String>) -> Self {
        Self { cluster: cluster.into(), uid: uid.into() }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "db-operator cluster={} uid={}", self.cluster, self.uid)
    }
}

/// What a database should be like.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Desired<P> {
    /// `spec.parameters`.
    pub parameters: P,
    /// The login that applications use: [`Target::active_login`] and its password.
    pub login: Login,
}

impl<P> Desired<P> {
    /// A database with those parameters and that login.
    pub fn new(parameters: P, login: Login) -> Self {
        Self { parameters, login }
    }
}

/// What is on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing of that name.
    Absent,
    /// Something that carries our mark.
    Ours {
        /// The database itself exists, usable or not.
        database: bool,
        /// What differs from what is desired, for the log; empty if nothing does.
        differences: Vec<String>,
    },
    /// Something of that name that does not carry our mark, and nothing that does.
    Foreign {
        /// What it is, such as `database orders`, and whose, as far as one can see.
        what: String,
    },
}
