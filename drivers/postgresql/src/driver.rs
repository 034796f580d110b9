//! The driver: each method of the trait in a few lines.

use std::future::Future;
use std::time::Duration;

use driver_api::dump::{Description, Occupancy, Sink, Source};
use driver_api::{Desired, Driver, DriverError, ErrorKind, Presence, Result, Server, Target};
use tokio::time::{sleep, timeout};

use crate::layout::Layout;
use crate::load::occupancy;
use crate::parameters::Parameters;
use crate::session::Session;
use crate::{absent, dump, load, lockout, observe, present};

/// The longest that a method works. The server ends a statement a little sooner.
const METHOD_TIMEOUT: Duration = Duration::from_mins(5);

/// How often the session that holds the lock is looked at while data moves.
const LOCK_CHECK: Duration = Duration::from_secs(15);

/// The driver for PostgreSQL.
#[derive(Clone, Copy, Debug, Default)]
pub struct PostgresqlDriver;

impl Driver for PostgresqlDriver {
    const TYPE: &'static str = "postgresql";
    const DEFAULT_PORT: u16 = 5432;
    const MAX_USERNAME: usize = 63;

    type Parameters = Parameters;
    type Session = Session;

    async fn connect(&self, server: &Server, database: &Target) -> Result<Session> {
        let layout = Layout::of(database);
        layout.check()?;
        within(Session::open(server, &layout)).await
    }

    async fn observe(
        &self,
        session: &mut Session,
        database: &Target,
        desired: Option<&Desired<Parameters>>,
    ) -> Result<Presence> {
        within(observe::presence(session, &Layout::of(database), desired)).await
    }

    async fn ensure_present(
        &self,
        session: &mut Session,
        database: &Target,
        desired: &Desired<Parameters>,
    ) -> Result<()> {
        within(present::ensure(session, &Layout::of(database), desired)).await
    }

    async fn ensure_absent(&self, session: &mut Session, database: &Target) -> Result<()> {
        within(absent::ensure(session, &Layout::of(database))).await
    }

    async fn lock_out(&self, session: &mut Session, database: &Target) -> Result<()> {
        within(lockout::lock_out(session, &Layout::of(database))).await
    }

    // It takes as long as the data does. So does a load.
    async fn dump<S: Sink>(&self, session: &mut Session, database: &Target, sink: &S) -> Result<Description> {
        holding_the_lock(session, Box::pin(dump::dump(session, &Layout::of(database), sink))).await
    }

    async fn check_load(
        &self,
        session: &mut Session,
        database: &Target,
        description: &Description,
    ) -> Result<Occupancy> {
        within(occupancy::check(session, &Layout::of(database), description)).await
    }

    async fn load<S: Source>(&self, session: &mut Session, database: &Target, source: &S) -> Result<()> {
        holding_the_lock(session, Box::pin(load::load(session, &Layout::of(database), source))).await
    }
}

/// Bounds the time that a method takes.
async fn within<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    // On the heap, since the futures of a conversation are large.
    timeout(METHOD_TIMEOUT, Box::pin(work)).await.unwrap_or_else(|_| {
        let seconds = METHOD_TIMEOUT.as_secs();
        Err(DriverError::new(
            ErrorKind::Unreachable,
            format!("the server did not finish within {seconds} s: look at its load and its locks"),
        ))
    })
}

/// Works for as long as it takes, and breaks off where the session that holds the lock is lost. To ask it also
/// keeps it from being ended as idle.
async fn holding_the_lock<T>(session: &Session, work: impl Future<Output = Result<T>>) -> Result<T> {
    let is_lost = async {
        loop {
            sleep(LOCK_CHECK).await;
            if let Err(error) = session.check_lock().await {
                return error;
            }
        }
    };
    tokio::select! {
        done = work => done,
        error = is_lost => Err(error),
    }
}
