//! The driver: each method of the trait in a few lines.

use std::collections::BTreeMap;

use driver_api::dump::{Description, Occupancy, Sink, Source};
use driver_api::kit::bounded;
use driver_api::{Desired, Driver, Login, Presence, Result, Server, Target, binding};

use crate::layout::Layout;
use crate::load::occupancy;
use crate::parameters::Parameters;
use crate::session::Session;
use crate::{absent, dump, load, lockout, observe, present};

/// The driver for PostgreSQL.
#[derive(Clone, Copy, Debug, Default)]
pub struct PostgresqlDriver;

impl Driver for PostgresqlDriver {
    const TYPE: &'static str = "postgresql";
    const DEFAULT_PORT: u16 = 5432;
    const MAX_USERNAME: usize = 63;

    type Parameters = Parameters;
    type Session = Session;

    fn binding(&self, server: &Server, database: &Target, login: &Login) -> BTreeMap<String, String> {
        binding::standard(Self::TYPE, server, &database.name, login)
    }

    async fn connect(&self, server: &Server, database: &Target) -> Result<Session> {
        let layout = Layout::of(database);
        layout.check()?;
        bounded::method(Session::open(server, &layout)).await
    }

    async fn close(&self, session: Session) -> Result<()> {
        bounded::method(session.close()).await
    }

    async fn observe(
        &self,
        session: &mut Session,
        database: &Target,
        desired: Option<&Desired<Parameters>>,
    ) -> Result<Presence> {
        bounded::method(observe::presence(session, &Layout::of(database), desired)).await
    }

    async fn ensure_present(
        &self,
        session: &mut Session,
        database: &Target,
        desired: &Desired<Parameters>,
    ) -> Result<()> {
        bounded::method(present::ensure(session, &Layout::of(database), desired)).await
    }

    async fn ensure_absent(&self, session: &mut Session, database: &Target) -> Result<()> {
        bounded::method(absent::ensure(session, &Layout::of(database))).await
    }

    async fn lock_out(&self, session: &mut Session, database: &Target) -> Result<()> {
        bounded::method(lockout::lock_out(session, &Layout::of(database))).await
    }

    // It takes as long as the data does. So does a load.
    async fn dump<S: Sink>(&self, session: &mut Session, database: &Target, sink: &S) -> Result<Description> {
        let session = &*session;
        bounded::while_locked(|| session.check_lock(), dump::dump(session, &Layout::of(database), sink)).await
    }

    async fn check_load(
        &self,
        session: &mut Session,
        database: &Target,
        description: &Description,
    ) -> Result<Occupancy> {
        bounded::method(occupancy::check(session, &Layout::of(database), description)).await
    }

    async fn load<S: Source>(&self, session: &mut Session, database: &Target, source: &S) -> Result<()> {
        let session = &*session;
        bounded::while_locked(|| session.check_lock(), load::load(session, &Layout::of(database), source))
            .await
    }
}
