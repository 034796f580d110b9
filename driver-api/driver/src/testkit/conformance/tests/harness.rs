//! The harness of the engine in memory: of the plain driver, and of the one behind a connection.

use std::marker::PhantomData;
use std::time::Duration;

use crate::driver::{Driver, Target};
use crate::secret::Secret;
use crate::server::{Login, Server, ServerTls, TlsMode};
use crate::testkit::conformance::harness::{Ability, Harness};
use crate::testkit::conformance::tests::engine::Engine;
use crate::testkit::conformance::tests::flaw::Flaw;
use crate::testkit::conformance::tests::wire;
use crate::testkit::memory::{MemoryDriver, MemoryParameters};
use crate::testkit::memory_server::{MemoryServer, MemoryTenant};

/// A driver for a server in memory.
pub(super) trait InMemory: Driver<Parameters = MemoryParameters> {
    const HAS_ADDRESS: bool;

    fn on(server: &MemoryServer, flaw: Option<Flaw>) -> Self;
}

impl InMemory for MemoryDriver {
    const HAS_ADDRESS: bool = false;

    fn on(server: &MemoryServer, _: Option<Flaw>) -> Self {
        server.driver()
    }
}

impl InMemory for Engine {
    const HAS_ADDRESS: bool = true;

    fn on(server: &MemoryServer, flaw: Option<Flaw>) -> Self {
        Self { server: server.clone(), flaw }
    }
}

/// A server in memory, and what is wrong with its driver.
pub(super) struct Memory<D> {
    server: MemoryServer,
    port: u16,
    flaw: Option<Flaw>,
    driver: PhantomData<fn() -> D>,
}

impl<D> Clone for Memory<D> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), port: self.port, flaw: self.flaw, driver: PhantomData }
    }
}

impl<D: InMemory> Memory<D> {
    pub(super) fn new(flaw: Option<Flaw>) -> Self {
        Self::at(if D::HAS_ADDRESS { wire::serve() } else { wire::NOWHERE }, flaw)
    }

    /// One that is interrupted at the same places each time, because it has no connection.
    pub(super) fn without_connection(flaw: Option<Flaw>) -> Self {
        Self::at(wire::NOWHERE, flaw)
    }

    fn at(port: u16, flaw: Option<Flaw>) -> Self {
        let memory = Self { server: MemoryServer::default(), port, flaw, driver: PhantomData };
        memory.server.administrate(memory.server().admin);
        memory
    }

    /// Lets a lock outlive a session that was not closed.
    pub(super) fn lock_by_lease(&self) {
        self.server.lock_by_lease();
    }
}

impl<D: InMemory> Harness for Memory<D> {
    type Driver = D;
    type Tenant = MemoryTenant;

    fn servers() -> Vec<Self> {
        vec![Self::new(None)]
    }

    fn label(&self) -> String {
        "memory".to_owned()
    }

    fn driver(&self) -> D {
        D::on(&self.server, self.flaw)
    }

    fn server(&self) -> Server {
        let admin = Login::new("admin", Secret::new("the administrator's"));
        Server::new("127.0.0.1", self.port, ServerTls::new(TlsMode::Disable, None), admin)
    }

    fn parameters(&self) -> MemoryParameters {
        MemoryParameters::default()
    }

    fn cannot(&self, ability: Ability) -> Option<String> {
        match ability {
            Ability::Tcp if self.port == wire::NOWHERE => {
                Some("it lives in memory, and has no address".to_owned())
            }
            Ability::Tls => Some("it speaks no TLS".to_owned()),
            Ability::Tcp | Ability::Hide | Ability::ServerLog => None,
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(6)
    }

    async fn log_in(&self, database: &Target, login: &Login) -> Result<MemoryTenant, String> {
        let mut login = login.clone();
        let contents = || self.server.contents();
        let stored = |name: &str| contents().logins.get(name).map(|(_, password)| password.clone());
        if self.flaw == Some(Flaw::LoginGetsInEverywhere) && stored(&login.username).is_some() {
            login.username.clone_from(&database.active_login);
        }
        let any = matches!(self.flaw, Some(Flaw::LoginNeedsNoPassword | Flaw::LoginGetsInEverywhere));
        if let Some(password) = stored(&login.username).filter(|_| any) {
            login.password = Secret::new(password);
        }
        self.server.log_in(&database.name, &login).map_err(|error| error.chain())
    }

    async fn commit(&self, tenant: &mut MemoryTenant, row: &str) -> Result<(), String> {
        tenant.commit(row).map_err(|error| error.chain())
    }

    async fn rows(&self, database: &Target) -> Result<Vec<String>, String> {
        let stored = self.server.database(&database.name).ok_or("there is no such database")?;
        Ok(stored.rows)
    }

    async fn fill(&self, _: &mut MemoryTenant) -> Result<(), String> {
        Ok(())
    }

    async fn content(&self, database: &Target) -> Result<String, String> {
        self.rows(database).await.map(|rows| format!("{rows:?}"))
    }

    async fn picture(&self, database: &Target) -> Result<String, String> {
        Ok(self.server.picture(database))
    }

    async fn plant_database(&self, name: &str) -> Result<(), String> {
        self.server.plant_foreign(name);
        Ok(())
    }

    async fn plant_login(&self, username: &str) -> Result<(), String> {
        self.server.plant_foreign_login(username);
        Ok(())
    }

    async fn take_lock_away(&self, database: &Target) -> Result<(), String> {
        self.server.contents().locks.remove(&database.name);
        Ok(())
    }

    fn drifts(&self) -> Vec<String> {
        ["another password", "a dropped login", "a locked login"].map(str::to_owned).to_vec()
    }

    async fn drift(&self, database: &Target, which: &str) -> Result<(), String> {
        let (login, mut contents) = (&database.active_login, self.server.contents());
        match which {
            "another password" => contents.logins.get_mut(login).unwrap().1 = "changed".to_owned(),
            "a dropped login" => drop(contents.logins.remove(login)),
            _ => drop(contents.locked_out.insert(login.clone())),
        }
        Ok(())
    }

    async fn lose(&self, database: &Target) -> Result<(), String> {
        self.server.lose(&database.name);
        Ok(())
    }

    async fn hide(&self, database: &Target) -> Result<(), String> {
        self.server.hide(&database.name);
        Ok(())
    }

    async fn server_log(&self) -> Result<String, String> {
        Ok(self.server.log())
    }

    async fn clean(&self, prefix: &str) {
        self.server.clean(prefix);
    }
}
