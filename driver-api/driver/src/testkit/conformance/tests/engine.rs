//! The engine in memory, behind a connection, with one flaw or none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::mem::ManuallyDrop;
use std::time::Duration;

use crate::driver::{Desired, Driver, Mark, Presence, Target};
use crate::dump::{Description, Occupancy, Sink, Source};
use crate::error::{DriverError, ErrorKind, Result};
use crate::secret::Secret;
use crate::server::{Login, Server, TlsMode};
use crate::testkit::conformance::tests::content::{FlawedSink, FlawedSource, dump_torn};
use crate::testkit::conformance::tests::flaw::Flaw;
use crate::testkit::conformance::tests::wire::Wire;
use crate::testkit::memory::{MemoryDriver, MemoryParameters, MemorySession};
use crate::testkit::memory_server::{Contents, MemoryServer};

/// A driver with a flaw, or with none.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    pub(super) server: MemoryServer,
    pub(super) flaw: Option<Flaw>,
}

/// A session, with its connection.
#[derive(Debug)]
pub(super) struct EngineSession {
    inner: ManuallyDrop<MemorySession>,
    wire: Wire,
    flaw: Option<Flaw>,
}

impl Drop for EngineSession {
    fn drop(&mut self) {
        if self.flaw != Some(Flaw::LockOutlivesItsSession) {
            self.inner.release();
        }
    }
}

fn internal(what: &str) -> DriverError {
    DriverError::new(ErrorKind::Internal, what)
}

impl Engine {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn driver(&self) -> MemoryDriver {
        self.server.driver()
    }

    fn change<T>(&self, work: impl FnOnce(&mut Contents) -> T) -> T {
        work(&mut self.server.contents())
    }

    fn is_there(&self, database: &Target) -> bool {
        self.server.database(&database.name).is_some()
    }

    /// The database as a driver with this flaw takes it.
    fn taken(&self, database: &Target) -> Target {
        let mut taken = database.clone();
        if self.has(Flaw::NamesAreCut) {
            taken.name = taken.name.chars().take(20).collect();
        }
        let stored = self.server.database(&taken.name).and_then(|stored| stored.mark);
        if let Some(Mark { cluster, uid }) = stored {
            if self.has(Flaw::IgnoresTheCluster) && uid == taken.mark.uid {
                taken.mark.cluster = cluster;
            } else if self.has(Flaw::IgnoresTheUid) && cluster == taken.mark.cluster {
                taken.mark.uid = uid;
            }
        }
        taken
    }

    /// What comes before each method. It is done by now, if the answer is false.
    async fn begin(&self, session: &mut EngineSession) -> Result<bool> {
        let asked = session.wire.ask().await;
        if self.has(Flaw::CutIsSuccess) && asked.is_err() {
            return Ok(false);
        }
        asked?;
        if self.has(Flaw::GoesOnWithoutItsLock) {
            let (locked, number) = (session.inner.locked.clone(), session.inner.number);
            self.change(|contents| contents.locks.insert(locked, number));
        }
        Ok(true)
    }

    fn nothing() -> Description {
        let version = || "1.0".to_owned();
        Description {
            server_version: version(),
            tool_version: version(),
            snapshot: None,
            details: serde_json::Value::Null,
        }
    }
}

impl Driver for Engine {
    const TYPE: &'static str = "memory";
    const DEFAULT_PORT: u16 = 1;
    const MAX_USERNAME: usize = 32;

    type Parameters = MemoryParameters;
    type Session = EngineSession;

    async fn connect(&self, server: &Server, database: &Target) -> Result<EngineSession> {
        if server.tls.mode != TlsMode::Disable && !self.has(Flaw::IgnoresTls) {
            return Err(DriverError::new(ErrorKind::TlsRefused, format!("{server} has no TLS")));
        }
        let wire = Wire::connect(server, self.flaw).await?;
        let mut locked = database.clone();
        match self.flaw {
            Some(Flaw::LockIsPerCluster) => locked.name += &database.mark.cluster,
            Some(Flaw::OneLockForAll) => "all".clone_into(&mut locked.name),
            Some(Flaw::NoLock) => drop(self.change(|contents| contents.locks.remove(&database.name))),
            Some(Flaw::NamesAreNotQuoted) => {
                if let Some((_, rest)) = database.name.split_once("DROP DATABASE ") {
                    self.server.lose(rest.split(';').next().unwrap());
                }
            }
            _ => {}
        }
        loop {
            let connected = self.driver().connect(server, &locked).await;
            match connected {
                Err(error) if error.kind() == ErrorKind::Busy && self.has(Flaw::LockWaits) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(error)
                    if error.kind() == ErrorKind::AuthenticationFailed
                        && self.has(Flaw::WrongLoginIsUnreachable) =>
                {
                    return Err(DriverError::new(ErrorKind::Unreachable, error.chain()));
                }
                other => {
                    return other.map(|inner| EngineSession {
                        inner: ManuallyDrop::new(inner),
                        wire,
                        flaw: self.flaw,
                    });
                }
            }
        }
    }

    fn binding(&self, server: &Server, database: &Target, login: &Login) -> BTreeMap<String, String> {
        let mut keys = self.driver().binding(server, database, login);
        let mut say = |key: &str, value: String| keys.insert(key.to_owned(), value);
        match self.flaw {
            Some(Flaw::BindingHasTheHost) => drop(say("host", server.host.clone())),
            Some(Flaw::BindingHasTheAdministrator) => {
                drop(say("admin", server.admin.password.expose().to_owned()));
            }
            Some(Flaw::BindingChanges) => drop(say("uri", self.is_there(database).to_string())),
            _ => {}
        }
        keys
    }

    async fn close(&self, session: EngineSession) -> Result<()> {
        if self.has(Flaw::CloseKeepsTheLock) {
            std::mem::forget(session);
        }
        Ok(())
    }

    async fn observe(
        &self,
        session: &mut EngineSession,
        database: &Target,
        desired: Option<&Desired<MemoryParameters>>,
    ) -> Result<Presence> {
        self.begin(session).await?;
        let database = &self.taken(database);
        let found = self.driver().observe(&mut session.inner, database, desired).await?;
        session.wire.ask().await?;
        let Presence::Ours { database: is_there, mut differences } = found else { return Ok(found) };
        if let Some(desired) = desired.filter(|_| self.has(Flaw::ObserveRepairs)) {
            self.driver().ensure_present(&mut session.inner, database, desired).await?;
        }
        match self.flaw {
            Some(Flaw::ObserveSeesNothing) => differences.clear(),
            Some(Flaw::WrongPasswordIsNotTold) => differences.retain(|it| !it.contains("does not work")),
            Some(Flaw::LookCompares) if desired.is_none() => differences.push("something".to_owned()),
            _ => {}
        }
        Ok(Presence::Ours { database: is_there, differences })
    }

    async fn ensure_present(
        &self,
        session: &mut EngineSession,
        database: &Target,
        desired: &Desired<MemoryParameters>,
    ) -> Result<()> {
        if !self.begin(session).await? {
            return Ok(());
        }
        let mut database = self.taken(database);
        let (is_there, was_locked) = (
            self.is_there(&database),
            self.change(|contents| contents.locked_out.contains(&database.active_login)),
        );
        let known = self.change(|contents| contents.logins.get(&database.active_login).cloned());
        let mut password = desired.login.password.expose().to_owned();
        match self.flaw {
            Some(Flaw::PresentTwiceFails) if is_there => return Err(internal("it is there")),
            Some(Flaw::Panics) => panic!("it panics"),
            Some(Flaw::HalfMadeIsInTheWay) if !is_there && known.is_some() => {
                return Err(internal("the login is there"));
            }
            Some(Flaw::RepairsNothing) if is_there => return Ok(()),
            Some(Flaw::PresentEmptiesTheDatabase) => self.change(|contents| {
                contents.databases.get_mut(&database.name).into_iter().for_each(|it| it.rows.clear());
            }),
            Some(Flaw::AdoptsDatabases) => self.change(|contents| {
                let stored = contents.databases.get_mut(&database.name).into_iter();
                stored.for_each(|it| it.mark = Some(database.mark.clone()));
            }),
            Some(Flaw::TakesLoginsOver) => self.change(|contents| {
                let stored = contents.logins.get_mut(&database.active_login).into_iter();
                stored.for_each(|it| it.0 = database.mark.clone());
            }),
            Some(Flaw::OldPasswordStays) => password = known.map_or(password, |(_, known)| known),
            Some(Flaw::PasswordsAreNotQuoted) => {
                password = password.split('\'').next().unwrap().to_owned();
            }
            Some(Flaw::MarksAreNotQuoted) => {
                database.mark.uid = database.mark.uid.split('\'').next().unwrap().to_owned();
            }
            Some(Flaw::LogsPasswords) => tracing::trace!("the password becomes {password:?}"),
            Some(Flaw::SendsPasswordsInClear) => {
                self.change(|contents| {
                    writeln!(contents.log, "ALTER LOGIN x PASSWORD '{password}'").unwrap();
                });
            }
            _ => {}
        }
        let login = Login::new(&desired.login.username, Secret::new(&password));
        let desired = Desired::new(MemoryParameters::default(), login);
        let made = self.driver().ensure_present(&mut session.inner, &database, &desired).await;
        made.map_err(|error| match self.flaw {
            Some(Flaw::ErrorsNamePasswords) => {
                DriverError::new(error.kind(), format!("cannot set the password {password:?}"))
                    .with_source(error)
            }
            _ => error,
        })?;
        self.change(|contents| {
            let standby = |mark: &Mark| (mark.clone(), password.clone());
            match self.flaw {
                Some(Flaw::StandbyLogsIn) => {
                    contents.logins.insert(database.standby_login.clone(), standby(&database.mark));
                }
                Some(Flaw::LeavesAHelper) => {
                    contents.logins.insert(database.standby_login.clone(), standby(&Mark::new("", "")));
                }
                Some(Flaw::StaysLockedOut) if was_locked => {
                    contents.locked_out.insert(database.active_login.clone());
                }
                _ => {}
            }
        });
        session.wire.ask().await
    }

    async fn ensure_absent(&self, session: &mut EngineSession, database: &Target) -> Result<()> {
        if !self.begin(session).await? {
            return Ok(());
        }
        let database = &self.taken(database);
        let is_there = self.is_there(database);
        let is_known = self.change(|contents| contents.logins.contains_key(&database.active_login));
        match self.flaw {
            Some(Flaw::AbsentTwiceFails) if !is_there && !is_known => {
                return Err(internal("nothing is there"));
            }
            Some(Flaw::HalfDroppedIsForgotten) if !is_there => return Ok(()),
            Some(Flaw::DropsDatabasesByName) => self.server.lose(&database.name),
            Some(Flaw::SessionsKeepTheDatabase) => {
                let is_used = self.change(|contents| {
                    contents.tenants.values().any(|login| *login == database.active_login)
                });
                if is_used {
                    return Err(DriverError::new(ErrorKind::InUse, "somebody uses it"));
                }
            }
            Some(Flaw::DropsLoginsByPrefix) => {
                let prefix = format!("{}_", database.name);
                self.change(|contents| contents.logins.retain(|name, _| !name.starts_with(&prefix)));
            }
            _ => {}
        }
        self.driver().ensure_absent(&mut session.inner, database).await?;
        if self.has(Flaw::StandbyLogsIn) {
            self.change(|contents| contents.logins.remove(&database.standby_login));
        }
        session.wire.ask().await
    }

    async fn lock_out(&self, session: &mut EngineSession, database: &Target) -> Result<()> {
        if !self.begin(session).await? {
            return Ok(());
        }
        let database = &self.taken(database);
        let login = database.active_login.clone();
        let is_locked = self.change(|contents| contents.locked_out.contains(&login));
        match self.flaw {
            Some(Flaw::LockOutTwiceFails) if is_locked => return Err(internal("it is locked")),
            Some(Flaw::LockOutTrustsItsFirstStep) if is_locked => return Ok(()),
            Some(Flaw::LocksForeignersOut) => {
                self.change(|contents| contents.locked_out.extend([login.clone()]));
            }
            Some(Flaw::LockOutKeepsSessions) => {
                self.change(|contents| contents.locked_out.insert(login));
                return Ok(());
            }
            _ => {}
        }
        self.driver().lock_out(&mut session.inner, database).await?;
        if self.has(Flaw::LockOutLetsNewSessionsIn) {
            self.change(|contents| contents.locked_out.remove(&login));
        }
        session.wire.ask().await
    }

    async fn dump<S: Sink>(
        &self,
        session: &mut EngineSession,
        database: &Target,
        sink: &S,
    ) -> Result<Description> {
        if !self.begin(session).await? {
            return Ok(Self::nothing());
        }
        let name = database.name.clone();
        let rows = self.server.database(&name).map_or_else(Vec::new, |stored| stored.rows);
        let mark = format!("{name} is dumped");
        match self.flaw {
            Some(Flaw::NothingIsNoDump) if rows.is_empty() => return Err(internal("there is nothing")),
            Some(Flaw::LeavesOutWhatIsHidden) => drop(self.change(|contents| contents.hidden.remove(&name))),
            Some(Flaw::SnapshotIsTorn) => return dump_torn(&self.server, &name, sink).await,
            Some(Flaw::DumpLosesTheLastRow) => self.change(|contents| {
                contents.databases.get_mut(&name).into_iter().for_each(|it| drop(it.rows.pop()));
            }),
            Some(Flaw::DeadDumpIsInTheWay) => {
                if !self.change(|contents| contents.hidden.insert(mark.clone())) {
                    return Err(internal("somebody dumps it"));
                }
                session.wire.ask().await?;
            }
            _ => {}
        }
        let flawed = FlawedSink { inner: sink, flaw: self.flaw };
        let dumped = self.driver().dump(&mut session.inner, database, &flawed).await;
        self.change(|contents| {
            contents.hidden.remove(&mark);
            if let Some(stored) = contents.databases.get_mut(&name) {
                match self.flaw {
                    Some(Flaw::DumpLosesTheLastRow) => stored.rows = rows,
                    Some(Flaw::DumpTakesTheRows) => stored.rows.clear(),
                    _ => {}
                }
            }
        });
        session.wire.ask().await?;
        dumped
    }

    async fn check_load(
        &self,
        session: &mut EngineSession,
        database: &Target,
        description: &Description,
    ) -> Result<Occupancy> {
        self.begin(session).await?;
        let mut description = description.clone();
        if self.has(Flaw::TakesAnyVersion) {
            description = Self::nothing();
        }
        let found = self.driver().check_load(&mut session.inner, database, &description).await?;
        match self.flaw {
            Some(Flaw::NeverOccupied) => return Ok(Occupancy::Empty),
            Some(Flaw::CheckLoadEmptiesTheDatabase) => self.change(|contents| {
                contents.databases.get_mut(&database.name).into_iter().for_each(|it| it.rows.clear());
            }),
            _ => {}
        }
        session.wire.ask().await?;
        Ok(found)
    }

    async fn load<S: Source>(
        &self,
        session: &mut EngineSession,
        database: &Target,
        source: &S,
    ) -> Result<()> {
        if !self.begin(session).await? {
            return Ok(());
        }
        let mark = format!("{} is loaded", database.name);
        if self.has(Flaw::DeadLoadIsInTheWay) {
            if !self.change(|contents| contents.hidden.insert(mark.clone())) {
                return Err(internal("somebody loads it"));
            }
            session.wire.ask().await?;
        }
        let flawed = FlawedSource { inner: source, flaw: self.flaw };
        let loaded = self.driver().load(&mut session.inner, database, &flawed).await;
        self.change(|contents| {
            contents.hidden.remove(&mark);
            if let Some(stored) =
                contents.databases.get_mut(&database.name).filter(|_| self.has(Flaw::LoadTrimsRows))
            {
                stored.rows.iter_mut().for_each(|row| *row = row.trim().to_owned());
            }
        });
        match loaded {
            Err(error)
                if self.has(Flaw::RowsAreNotCounted) && error.chain().contains("another number of rows") =>
            {
                Ok(())
            }
            other => {
                session.wire.ask().await?;
                other
            }
        }
    }
}
