//! The driver: each method of the trait in a few lines.

use std::collections::BTreeMap;

use driver_api::dump::{Description, Occupancy, Sink, Source};
use driver_api::kit::bounded;
use driver_api::{Desired, Driver, DriverError, ErrorKind, Login, Presence, Result, Server, Target, binding};

use crate::layout::{Layout, MAX_USERNAME};
use crate::parameters::Parameters;
use crate::session::Session;
use crate::{absent, lockout, observe, present};

/// The driver for MySQL and MariaDB.
#[derive(Clone, Copy, Debug, Default)]
pub struct MysqlDriver;

impl Driver for MysqlDriver {
    const TYPE: &'static str = "mysql";
    const DEFAULT_PORT: u16 = 3306;
    const MAX_USERNAME: usize = MAX_USERNAME;

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

    async fn dump<S: Sink>(&self, _: &mut Session, database: &Target, _: &S) -> Result<Description> {
        Err(not_there_yet("back up", database))
    }

    async fn check_load(&self, _: &mut Session, database: &Target, _: &Description) -> Result<Occupancy> {
        Err(not_there_yet("restore a backup into", database))
    }

    async fn load<S: Source>(&self, _: &mut Session, database: &Target, _: &S) -> Result<()> {
        Err(not_there_yet("restore a backup into", database))
    }
}

fn not_there_yet(what: &str, database: &Target) -> DriverError {
    DriverError::new(
        ErrorKind::Unsupported,
        format!(
            "the MySQL driver cannot {what} database {} yet: take no backup of it by db-operator, and set deletionPolicy to Delete or Retain",
            database.name
        ),
    )
}
