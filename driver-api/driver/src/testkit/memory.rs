//! The reference driver: its server is a map.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use crate::binding;
use crate::driver::{Desired, Driver, Mark, Presence, Target};
use crate::dump::{Description, Occupancy, Reader, Sink, Source, StreamInfo, Writer};
use crate::error::{DriverError, ErrorKind, Result};
use crate::server::{Login, Server};
use crate::testkit::memory_server::{Contents, MemoryServer, Stored};

/// Name of the one stream of a dump.
const ROWS: &str = "rows";

/// A driver for a [`MemoryServer`].
#[derive(Clone, Debug, Default)]
pub struct MemoryDriver {
    server: MemoryServer,
}

/// The one parameter of [`MemoryDriver`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryParameters {
    /// Does nothing.
    #[serde(default)]
    pub comment: Option<String>,
}

/// An administrator's session, which holds the lock on one database.
#[derive(Debug)]
pub struct MemorySession {
    server: MemoryServer,
    pub(in crate::testkit) locked: String,
    pub(in crate::testkit) number: u64,
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        if !self.server.contents().leases {
            self.release();
        }
    }
}

impl MemorySession {
    /// Lets go of the lock, if it is still its own.
    pub(in crate::testkit) fn release(&self) {
        let (locked, number) = (&self.locked, self.number);
        self.server.contents().locks.retain(|database, holder| database != locked || *holder != number);
    }

    fn check_alive(&self, contents: &Contents) -> Result<()> {
        if contents.locks.get(&self.locked) == Some(&self.number) {
            return Ok(());
        }
        Err(DriverError::new(ErrorKind::Unreachable, "the session has ended"))
    }
}

impl MemoryServer {
    /// A driver for this server.
    pub fn driver(&self) -> MemoryDriver {
        MemoryDriver { server: self.clone() }
    }
}

impl Driver for MemoryDriver {
    const TYPE: &'static str = "memory";
    const DEFAULT_PORT: u16 = 1;
    const MAX_USERNAME: usize = 32;

    type Parameters = MemoryParameters;
    type Session = MemorySession;

    fn binding(&self, server: &Server, database: &Target, login: &Login) -> BTreeMap<String, String> {
        binding::standard(Self::TYPE, server, &database.name, login)
    }

    async fn connect(&self, server: &Server, database: &Target) -> Result<MemorySession> {
        check_name(&database.name)?;
        let mut contents = self.server.contents();
        if let Some((kind, message)) = contents.refusal.clone() {
            return Err(DriverError::new(kind, message));
        }
        let is_allowed = contents.administrator.as_ref().is_none_or(|known| {
            known.username == server.admin.username && known.password == server.admin.password
        });
        if !is_allowed {
            let message = format!("the server refuses the login {:?}", server.admin.username);
            return Err(DriverError::new(ErrorKind::AuthenticationFailed, message));
        }
        if contents.locks.contains_key(&database.name) {
            return Err(DriverError::new(ErrorKind::Busy, format!("another run works on {}", database.name)));
        }
        contents.sessions += 1;
        let number = contents.sessions;
        contents.locks.insert(database.name.clone(), number);
        Ok(MemorySession { server: self.server.clone(), locked: database.name.clone(), number })
    }

    async fn close(&self, session: MemorySession) -> Result<()> {
        if self.server.contents().silent_at_close {
            std::future::pending::<()>().await;
        }
        session.release();
        Ok(())
    }

    async fn observe(
        &self,
        session: &mut MemorySession,
        database: &Target,
        desired: Option<&Desired<MemoryParameters>>,
    ) -> Result<Presence> {
        let contents = self.server.contents();
        session.check_alive(&contents)?;
        let stored = contents.databases.get(&database.name);
        let login = contents.logins.get(&database.active_login);
        let is_ours = |mark: Option<&Mark>| mark == Some(&database.mark);
        let database_is_ours = is_ours(stored.and_then(|stored| stored.mark.as_ref()));
        let login_is_ours = is_ours(login.map(|(mark, _)| mark));
        if !database_is_ours && !login_is_ours {
            let what = stored.map(|_| format!("database {}", database.name));
            let what = what.or_else(|| login.map(|_| format!("login {}", database.active_login)));
            return Ok(what.map_or(Presence::Absent, |what| Presence::Foreign { what }));
        }
        let mut differences = Vec::new();
        if let Some(desired) = desired {
            if !database_is_ours {
                differences.push("the database is missing".to_owned());
            }
            if login.is_none_or(|(_, password)| password != desired.login.password.expose()) {
                differences.push("the login does not work".to_owned());
            }
            if contents.locked_out.contains(&database.active_login) {
                differences.push("the login is locked out".to_owned());
            }
        }
        Ok(Presence::Ours { database: database_is_ours, differences })
    }

    async fn ensure_present(
        &self,
        session: &mut MemorySession,
        database: &Target,
        desired: &Desired<MemoryParameters>,
    ) -> Result<()> {
        {
            let mut contents = self.server.contents();
            session.check_alive(&contents)?;
            check_ours(&contents, database)?;
            let password = desired.login.password.expose().to_owned();
            contents.log_password(&database.active_login, &password);
            contents.logins.insert(database.active_login.clone(), (database.mark.clone(), password));
        }
        // A run can be dropped between the two effects.
        tokio::task::yield_now().await;
        let mut contents = self.server.contents();
        session.check_alive(&contents)?;
        let fresh = Stored { mark: Some(database.mark.clone()), rows: Vec::new() };
        contents.databases.entry(database.name.clone()).or_insert(fresh);
        contents.locked_out.remove(&database.active_login);
        Ok(())
    }

    async fn ensure_absent(&self, session: &mut MemorySession, database: &Target) -> Result<()> {
        {
            let mut contents = self.server.contents();
            session.check_alive(&contents)?;
            if is_login_ours(&contents, database) {
                contents.end_tenants(&database.active_login);
            }
            contents.databases.retain(|name, stored| {
                name != &database.name || stored.mark.as_ref() != Some(&database.mark)
            });
        }
        tokio::task::yield_now().await;
        let mut contents = self.server.contents();
        session.check_alive(&contents)?;
        if is_login_ours(&contents, database) {
            contents.logins.remove(&database.active_login);
            contents.locked_out.remove(&database.active_login);
        }
        Ok(())
    }

    async fn lock_out(&self, session: &mut MemorySession, database: &Target) -> Result<()> {
        {
            let mut contents = self.server.contents();
            session.check_alive(&contents)?;
            if !is_login_ours(&contents, database) {
                return Ok(());
            }
            contents.locked_out.insert(database.active_login.clone());
        }
        tokio::task::yield_now().await;
        let mut contents = self.server.contents();
        session.check_alive(&contents)?;
        contents.end_tenants(&database.active_login);
        Ok(())
    }

    async fn dump<S: Sink>(
        &self,
        session: &mut MemorySession,
        database: &Target,
        sink: &S,
    ) -> Result<Description> {
        session.check_alive(&self.server.contents())?;
        if self.server.contents().hidden.contains(&database.name) {
            let message = format!("the tenant may not read all of {}", database.name);
            return Err(DriverError::new(ErrorKind::InsufficientPrivilege, message));
        }
        let rows = self.stored(database)?.rows;
        let text = rows.iter().fold(String::new(), |text, row| text + &escaped(row) + "\n");
        sink.expect(u64::try_from(text.len()).unwrap_or(u64::MAX));
        let info = StreamInfo { name: ROWS.to_owned(), restore_with: "one row a line".to_owned() };
        let mut writer = sink.open(info).await?;
        tokio::task::yield_now().await;
        writer.write(Bytes::from(text)).await?;
        writer.finish(u64::try_from(rows.len()).ok()).await?;
        // What was read without the lock may have been read beside another run.
        session.check_alive(&self.server.contents())?;
        Ok(Description {
            server_version: "1.0".to_owned(),
            tool_version: "memory 1.0".to_owned(),
            snapshot: None,
            details: serde_json::Value::Null,
        })
    }

    async fn check_load(
        &self,
        session: &mut MemorySession,
        database: &Target,
        description: &Description,
    ) -> Result<Occupancy> {
        session.check_alive(&self.server.contents())?;
        if description.server_version != "1.0" {
            return Err(DriverError::new(ErrorKind::Unsupported, "the dump is from a newer server"));
        }
        let count = self.stored(database)?.rows.len();
        let occupied = || Occupancy::Occupied { what: format!("{count} rows") };
        Ok(if count == 0 { Occupancy::Empty } else { occupied() })
    }

    async fn load<S: Source>(
        &self,
        session: &mut MemorySession,
        database: &Target,
        source: &S,
    ) -> Result<()> {
        let mut text = Vec::new();
        let mut reader = source.open(ROWS).await?;
        while let Some(chunk) = reader.read().await? {
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        tokio::task::yield_now().await;
        let mut contents = self.server.contents();
        session.check_alive(&contents)?;
        let stored = contents.databases.get_mut(&database.name).ok_or_else(|| missing(database))?;
        stored.rows = text.lines().map(unescaped).collect();
        let expected = source.streams().iter().find_map(|stream| stream.rows);
        if expected == u64::try_from(stored.rows.len()).ok() {
            return Ok(());
        }
        Err(DriverError::new(ErrorKind::BackupDamaged, "the dump has another number of rows than it says"))
    }
}

impl MemoryDriver {
    fn stored(&self, database: &Target) -> Result<Stored> {
        self.server.database(&database.name).ok_or_else(|| missing(database))
    }
}

/// Name of a database: what the server takes for one.
fn check_name(name: &str) -> Result<()> {
    if name.chars().count() <= 63 && !name.contains('\0') {
        return Ok(());
    }
    let message = format!("{:?} is no name for a database", name.chars().take(80).collect::<String>());
    Err(DriverError::new(ErrorKind::Invalid, message))
}

/// Refuses what is there and is not ours.
fn check_ours(contents: &Contents, database: &Target) -> Result<()> {
    let stored = contents.databases.get(&database.name);
    if stored.is_some_and(|stored| stored.mark.as_ref() != Some(&database.mark)) {
        let message = format!("database {} is not ours", database.name);
        return Err(DriverError::new(ErrorKind::NameTaken, message));
    }
    if contents.logins.contains_key(&database.active_login) && !is_login_ours(contents, database) {
        let message = format!("login {} is not ours", database.active_login);
        return Err(DriverError::new(ErrorKind::NameTaken, message));
    }
    Ok(())
}

fn is_login_ours(contents: &Contents, database: &Target) -> bool {
    contents.logins.get(&database.active_login).is_some_and(|(mark, _)| *mark == database.mark)
}

/// A row in one line.
fn escaped(row: &str) -> String {
    row.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescaped(line: &str) -> String {
    let (mut row, mut characters) = (String::new(), line.chars());
    while let Some(character) = characters.next() {
        row.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                other => other.unwrap_or('\\'),
            },
            other => other,
        });
    }
    row
}

fn missing(database: &Target) -> DriverError {
    DriverError::new(ErrorKind::DatabaseMissing, format!("there is no database {}", database.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::server::{ServerTls, TlsMode};
    use crate::testkit::MemorySink;

    /// A database with one row, and a session whose lock is lost.
    async fn unlocked() -> (MemoryDriver, MemorySession, Target) {
        let server = MemoryServer::default();
        let driver = server.driver();
        let target = Target::new("orders", Mark::new("c", "u"), MemoryDriver::MAX_USERNAME);
        let admin = Login::new("admin", Secret::new("x"));
        let address = Server::new("h", 1, ServerTls::new(TlsMode::Disable, None), admin);
        let mut session = driver.connect(&address, &target).await.unwrap();
        let login = Login::new(&target.active_login, Secret::new("y"));
        let desired = Desired::new(MemoryParameters::default(), login);
        driver.ensure_present(&mut session, &target, &desired).await.unwrap();
        server.commit(&target, "one").unwrap();
        (driver, session, target)
    }

    #[tokio::test]
    async fn without_its_lock_a_session_neither_dumps_nor_loads() {
        let (driver, mut session, target) = unlocked().await;
        let sink = MemorySink::default();
        let description = driver.dump(&mut session, &target, &sink).await.unwrap();
        let dump = sink.complete(description.clone()).unwrap();
        driver.server.end_sessions();
        let ended = |error: DriverError| assert_eq!(error.kind(), ErrorKind::Unreachable);
        ended(driver.dump(&mut session, &target, &MemorySink::default()).await.unwrap_err());
        ended(driver.check_load(&mut session, &target, &description).await.unwrap_err());
        driver.server.commit(&target, "two").unwrap();
        ended(driver.load(&mut session, &target, &dump).await.unwrap_err());
        assert_eq!(driver.server.database("orders").unwrap().rows, ["one", "two"]);
    }
}
