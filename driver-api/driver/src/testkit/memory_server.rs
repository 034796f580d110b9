//! A database server in memory: what the reference driver works on, and what a test sees of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::{Mark, Target};
use crate::error::{DriverError, ErrorKind, Result};
use crate::names::short_hash;
use crate::server::Login;

/// A database server in memory. Clones share their contents.
#[derive(Clone, Debug, Default)]
pub struct MemoryServer(Arc<Mutex<Contents>>);

/// All that is on the server.
#[derive(Debug, Default)]
pub(in crate::testkit) struct Contents {
    pub(in crate::testkit) databases: BTreeMap<String, Stored>,
    /// Each login's mark and password.
    pub(in crate::testkit) logins: BTreeMap<String, (Mark, String)>,
    /// By which session each database is locked.
    pub(in crate::testkit) locks: BTreeMap<String, u64>,
    pub(in crate::testkit) sessions: u64,
    /// Whether a lock outlives the session that was not closed, as a lease does.
    pub(in crate::testkit) leases: bool,
    /// Whether a session that is to be closed gets no answer.
    pub(in crate::testkit) silent_at_close: bool,
    pub(in crate::testkit) locked_out: BTreeSet<String>,
    /// The login of each tenant's session.
    pub(in crate::testkit) tenants: BTreeMap<u64, String>,
    /// Databases in which something is kept from the tenant.
    pub(in crate::testkit) hidden: BTreeSet<String>,
    /// Who alone may log in as an administrator; everybody may if it is not set.
    pub(in crate::testkit) administrator: Option<Login>,
    /// What the server writes about what it is asked.
    pub(in crate::testkit) log: String,
    pub(in crate::testkit) refusal: Option<(ErrorKind, String)>,
}

/// A database in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whose it is, if it is marked.
    pub mark: Option<Mark>,
    /// What the tenant keeps in it.
    pub rows: Vec<String>,
}

/// An application's session.
#[derive(Clone, Debug)]
pub struct MemoryTenant {
    server: MemoryServer,
    database: String,
    number: u64,
}

impl MemoryTenant {
    /// Commits a row.
    ///
    /// # Errors
    ///
    /// `Unreachable` if the session was ended, and `DatabaseMissing` if the database is gone.
    pub fn commit(&self, row: &str) -> Result<()> {
        let mut contents = self.server.contents();
        if !contents.tenants.contains_key(&self.number) {
            return Err(DriverError::new(ErrorKind::Unreachable, "the session has ended"));
        }
        let stored = contents.databases.get_mut(&self.database);
        let missing = || DriverError::new(ErrorKind::DatabaseMissing, "the database is gone");
        stored.ok_or_else(missing)?.rows.push(row.to_owned());
        Ok(())
    }
}

impl MemoryServer {
    /// Lets only that login work on the server as an administrator.
    pub fn administrate(&self, login: Login) {
        self.contents().administrator = Some(login);
    }

    /// Puts a database there that nobody marked.
    pub fn plant_foreign(&self, name: &str) {
        let foreign = Stored { mark: None, rows: vec!["theirs".to_owned()] };
        self.contents().databases.insert(name.to_owned(), foreign);
    }

    /// Puts a login there that is nobody's of ours.
    pub fn plant_foreign_login(&self, username: &str) {
        let theirs = (Mark::new("nobody", "nobody"), "theirs".to_owned());
        self.contents().logins.insert(username.to_owned(), theirs);
    }

    /// Puts something into a database that its tenant may not read.
    pub fn hide(&self, name: &str) {
        self.contents().hidden.insert(name.to_owned());
    }

    /// Takes a database away behind everybody's back.
    pub fn lose(&self, name: &str) {
        self.contents().databases.remove(name);
    }

    /// The database of that name.
    pub fn database(&self, name: &str) -> Option<Stored> {
        self.contents().databases.get(name).cloned()
    }

    /// How many databases and logins there are.
    pub fn counts(&self) -> (usize, usize) {
        let contents = self.contents();
        (contents.databases.len(), contents.logins.len())
    }

    /// All that is there of a database and its logins. Two that are equal mean that nothing was changed in between.
    pub fn picture(&self, database: &Target) -> String {
        let contents = self.contents();
        let of = |login| format!("{:?} {}", contents.logins.get(login), contents.locked_out.contains(login));
        let stored = contents.databases.get(&database.name);
        format!("{stored:?} {} {}", of(&database.active_login), of(&database.standby_login))
    }

    /// What the server has written about what it was asked.
    pub fn log(&self) -> String {
        self.contents().log.clone()
    }

    /// Whether that login works.
    pub fn logs_in(&self, username: &str, password: &str) -> bool {
        let contents = self.contents();
        let known = contents.logins.get(username).is_some_and(|(_, stored)| stored == password);
        known && !contents.locked_out.contains(username)
    }

    /// Opens a session of an application.
    ///
    /// # Errors
    ///
    /// `AuthenticationFailed` if the login is refused, or is not one of that database.
    pub fn log_in(&self, database: &str, login: &Login) -> Result<MemoryTenant> {
        let refused = || DriverError::new(ErrorKind::AuthenticationFailed, "the login is refused");
        if !self.logs_in(&login.username, login.password.expose()) {
            return Err(refused());
        }
        let mut contents = self.contents();
        let stored = contents.databases.get(database).ok_or_else(refused)?;
        let owner = contents.logins.get(&login.username).map(|(mark, _)| mark);
        if stored.mark.as_ref() != owner {
            return Err(refused());
        }
        contents.sessions += 1;
        let number = contents.sessions;
        contents.tenants.insert(number, login.username.clone());
        Ok(MemoryTenant { server: self.clone(), database: database.to_owned(), number })
    }

    /// Commits a row, as an application does with that login.
    ///
    /// # Errors
    ///
    /// `AuthenticationFailed` while the login is locked out, or if there is no such database.
    pub fn commit(&self, database: &Target, row: &str) -> Result<()> {
        let mut contents = self.contents();
        let refused = contents.locked_out.contains(&database.active_login);
        match contents.databases.get_mut(&database.name).filter(|_| !refused) {
            Some(stored) => stored.rows.push(row.to_owned()),
            None => return Err(DriverError::new(ErrorKind::AuthenticationFailed, "the login is refused")),
        }
        Ok(())
    }

    /// Makes every new session fail, until it is called with `None`.
    pub fn refuse(&self, refusal: Option<(ErrorKind, String)>) {
        self.contents().refusal = refusal;
    }

    /// From now on a lock does not end with its connection, but when its session is closed, as a lease does that has not
    /// run out.
    pub fn lock_by_lease(&self) {
        self.contents().leases = true;
    }

    /// From now on nobody who closes a session gets an answer.
    pub fn be_silent_at_close(&self) {
        self.contents().silent_at_close = true;
    }

    /// Ends every session, and with it its lock.
    pub fn end_sessions(&self) {
        self.contents().locks.clear();
    }

    /// Takes away what begins with that.
    pub fn clean(&self, prefix: &str) {
        let mut contents = self.contents();
        contents.databases.retain(|name, _| !name.starts_with(prefix));
        contents.logins.retain(|name, _| !name.starts_with(prefix));
        contents.locked_out.retain(|name| !name.starts_with(prefix));
    }

    pub(in crate::testkit) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    /// Writes into the log that a login gets a password: of the password only a hash, as a driver sends it.
    pub(in crate::testkit) fn log_password(&mut self, username: &str, password: &str) {
        let _ = writeln!(self.log, "password of {username} is {}", short_hash(password, 16));
    }

    /// Ends a login's sessions.
    pub(in crate::testkit) fn end_tenants(&mut self, username: &str) {
        self.tenants.retain(|_, of| of != username);
    }
}
