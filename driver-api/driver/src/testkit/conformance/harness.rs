//! What only the author of an engine's driver can say.

use std::future::Future;
use std::time::Duration;

use crate::driver::{Driver, Target};
use crate::server::{Login, Server};

/// What a rule does to a server beside the driver: as an application, as an administrator, as a stranger.
///
/// One value is one server. What it makes must be seen by other connections at once. Its errors are texts for the one who
/// reads why a rule fails.
pub trait Harness: Clone + Send + Sync + 'static {
    /// The driver that is tested.
    type Driver: Driver;

    /// An application's open session.
    type Tenant: Send;

    /// The servers that every rule is run on. None is a failure: nothing is skipped in silence.
    fn servers() -> Vec<Self>;

    /// The server's name in a failure, such as `PostgreSQL 17`.
    fn label(&self) -> String;

    /// A driver, as a new run has it.
    fn driver(&self) -> Self::Driver;

    /// The server's address and its administrator, as a new run has them.
    fn server(&self) -> Server;

    /// The parameters of a plain database.
    fn parameters(&self) -> <Self::Driver as Driver>::Parameters;

    /// Why the engine or this server cannot do that; nothing if it can, and then the harness does.
    fn cannot(&self, ability: Ability) -> Option<String>;

    /// How long a condition may take to come about. It is a bound for what hangs, not a pause.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How long a row of polls, cuts or names may become before only some of them are tried: one in so many, more the
    /// later they come. A fast engine needs none.
    fn thorough(&self) -> usize {
        usize::MAX
    }

    /// Opens a session of that login in the database, as an application does.
    fn log_in(
        &self,
        database: &Target,
        login: &Login,
    ) -> impl Future<Output = Result<Self::Tenant, String>> + Send;

    /// Commits a row, and makes the place where rows are kept if there is none. It is an answer of the server if this
    /// returns, and rows keep the order in which they were committed.
    fn commit(&self, tenant: &mut Self::Tenant, row: &str)
    -> impl Future<Output = Result<(), String>> + Send;

    /// The rows, in the order in which they were committed. It is seen by somebody who is never locked out; no place
    /// where rows are kept is no row.
    fn rows(&self, database: &Target) -> impl Future<Output = Result<Vec<String>, String>> + Send;

    /// Makes one of everything that the engine has beside rows, for a dump that is to be whole. It may do nothing.
    fn fill(&self, tenant: &mut Self::Tenant) -> impl Future<Output = Result<(), String>> + Send;

    /// All that the tenant has made in the database, in a text by which two databases are compared: without their names.
    fn content(&self, database: &Target) -> impl Future<Output = Result<String, String>> + Send;

    /// Everything on the server that has the database's name or those of its logins: what exists, with its marks, rights
    /// and stored passwords. Two that are equal mean that nothing was changed in between.
    fn picture(&self, database: &Target) -> impl Future<Output = Result<String, String>> + Send;

    /// Makes a database of that name as somebody does who has never heard of us.
    fn plant_database(&self, name: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Makes a login of that name as somebody does who has never heard of us.
    fn plant_login(&self, username: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Ends the administrator's session that holds the lock on the database, from outside, and returns when it has ended.
    fn take_lock_away(&self, database: &Target) -> impl Future<Output = Result<(), String>> + Send;

    /// What an administrator may change of a database by hand, by name; each is to be seen and repaired.
    fn drifts(&self) -> Vec<String>;

    /// Changes that by hand.
    fn drift(&self, database: &Target, which: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Takes the database itself away by hand; its logins stay.
    fn lose(&self, database: &Target) -> impl Future<Output = Result<(), String>> + Send;

    /// Puts something into the database that its tenant may not read.
    fn hide(&self, database: &Target) -> impl Future<Output = Result<(), String>> + Send {
        let _ = database;
        async { Err("cannot() says that it can be hidden, and hide() does nothing".to_owned()) }
    }

    /// All that the server has logged.
    fn server_log(&self) -> impl Future<Output = Result<String, String>> + Send {
        async { Err("cannot() says that there is a log, and server_log() reads none".to_owned()) }
    }

    /// Removes every database and login whose name begins with that, whatever state they are in.
    fn clean(&self, prefix: &str) -> impl Future<Output = ()> + Send;
}

/// What not every engine or server can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// The driver comes by TCP to the address in [`Harness::server`], so a proxy can stand in between.
    Tcp,
    /// The server speaks TLS.
    Tls,
    /// A database can hold what its tenant may not read: [`Harness::hide`].
    Hide,
    /// The server's log can be read: [`Harness::server_log`].
    ServerLog,
}
