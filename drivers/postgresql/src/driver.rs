//! The driver: each method of the trait in a few lines.

use std::future::Future;
use std::time::Duration;

use driver_api::dump::{Description, Occupancy, Sink, Source};
use driver_api::{Desired, Driver, DriverError, ErrorKind, Login, Presence, Result, Server, Target};
use tokio::time::{sleep, timeout};

use crate::connect::{self, Administrator, Connection, Dialer};
use crate::fault::Refusal;
use crate::layout::Layout;
use crate::load::occupancy;
use crate::observe::{self, DatabaseState, ServerState};
use crate::parameters::Parameters;
use crate::{absent, dump, immutable, load, lockout, plan, present};

/// The longest that a method works. The server ends a statement a little sooner.
const METHOD_TIMEOUT: Duration = Duration::from_mins(5);

/// How often the session that holds the lock is looked at while data moves.
const LOCK_CHECK: Duration = Duration::from_secs(15);

/// The driver for PostgreSQL.
#[derive(Clone, Copy, Debug, Default)]
pub struct PostgresqlDriver;

/// An administrator's session, which holds the lock on one database.
pub struct Session {
    pub(crate) connection: Connection,
    pub(crate) dialer: Dialer,
    pub(crate) administrator: Administrator,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("administrator", &self.administrator).finish_non_exhaustive()
    }
}

impl Driver for PostgresqlDriver {
    const TYPE: &'static str = "postgresql";
    const DEFAULT_PORT: u16 = 5432;
    const MAX_USERNAME: usize = 63;

    type Parameters = Parameters;
    type Session = Session;

    async fn connect(&self, server: &Server, database: &Target) -> Result<Session> {
        let layout = Layout::of(database);
        layout.check()?;
        let dialer = Dialer::new(server)?;
        let (connection, administrator) = within(connect::administer(&dialer, &layout)).await?;
        Ok(Session { connection, dialer, administrator })
    }

    async fn observe(
        &self,
        session: &mut Session,
        database: &Target,
        desired: Option<&Desired<Parameters>>,
    ) -> Result<Presence> {
        let layout = Layout::of(database);
        within(async {
            let state = observe::server(&session.connection, &layout, &session.administrator).await?;
            let ours = state.ours(&layout);
            let mut foreign = state.foreign(&layout);
            if ours.is_empty() {
                let what = foreign.join(", ");
                return Ok(if what.is_empty() { Presence::Absent } else { Presence::Foreign { what } });
            }
            let differences = match desired {
                None => ours,
                Some(desired) => {
                    foreign.extend(differences(session, &layout, &state, desired).await?);
                    foreign
                }
            };
            Ok(Presence::Ours { database: state.our_database(&layout).is_some(), differences })
        })
        .await
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
            if let Err(error) =
                session.connection.rows("SELECT 1", &[], "the lock on the database is lost").await
            {
                return error;
            }
        }
    };
    tokio::select! {
        done = work => done,
        error = is_lost => Err(error),
    }
}

/// Everything that differs from what is desired.
async fn differences(
    session: &Session,
    layout: &Layout,
    state: &ServerState,
    desired: &Desired<Parameters>,
) -> Result<Vec<String>> {
    let Session { administrator, dialer, .. } = session;
    let parameters = &desired.parameters;
    let mut changes = plan::roles(state, layout, administrator, None);
    let Some(database) = state.our_database(layout) else {
        let missing = format!("database {} is missing", layout.database);
        return Ok(changes.into_iter().map(|change| change.text).chain([missing]).collect());
    };
    changes.extend(plan::database(database, layout, parameters));
    let mut differences = immutable::differences(database, parameters);
    differences.extend(changes.into_iter().map(|change| change.text));
    if !database.valid {
        differences.push(format!("database {} is the rest of an interrupted DROP DATABASE", layout.database));
    }
    let may_log_in = state.our_role(&layout.active, layout).is_some_and(|role| role.may_log_in);
    if !(database.valid && database.allows_connections && may_log_in) {
        return Ok(differences);
    }
    // As the tenant: it proves the login, and nothing that the tenant planted runs with more than its rights.
    let proof = match prove(dialer, layout, database, &desired.login).await {
        // What is known to differ may be the cause: it is put right first, and then this shows again or not.
        Err(error) if !differences.is_empty() => {
            differences.push(error.to_string());
            return Ok(differences);
        }
        proof => proof?,
    };
    match proof {
        Proof::LogsIn(tenant) => {
            let extensions: Vec<_> =
                parameters.extensions.iter().map(|extension| extension.name.as_str()).collect();
            let inner = observe::inner(&tenant, layout, &parameters.schemas, &extensions).await?;
            if inner.acting_as != layout.group {
                differences.push(format!("a session of {} acts as {}", layout.active, inner.acting_as));
            }
            let inside = plan::inside(&inner, layout, administrator, parameters);
            differences.extend(inside.iter().map(plan::Inside::text));
        }
        Proof::Full => {}
        Proof::Refused { what, .. } => differences.push(what),
    }
    Ok(differences)
}

/// What an attempt to log in as the tenant showed.
pub(crate) enum Proof {
    /// The login works.
    LogsIn(Box<Connection>),
    /// The login is right, and every session that `connectionLimit` allows is taken.
    Full,
    /// The server refused it for a reason that can be repaired.
    Refused {
        /// What differs.
        what: String,
        /// The password is not the desired one.
        password: bool,
    },
}

/// Logs in as the tenant.
pub(crate) async fn prove(
    dialer: &Dialer,
    layout: &Layout,
    database: &DatabaseState,
    login: &Login,
) -> Result<Proof> {
    let refusal = match dialer.log_in(login, &layout.database).await {
        Ok(connection) => return Ok(Proof::LogsIn(Box::new(connection))),
        Err(refusal) => refusal,
    };
    let refused =
        |what: &str, password| Proof::Refused { what: format!("{} {what}", login.username), password };
    match refusal.code() {
        Some("28P01") => Ok(refused("does not log in with its password", true)),
        Some("42501") => Ok(refused("may not enter the database", false)),
        // The limit is looked at last, after password and right.
        Some("53300") if database.connection_limit >= 0 && database.sessions >= database.connection_limit => {
            Ok(Proof::Full)
        }
        _ => Err(refusal_of_tenant(refusal, dialer, layout, login)),
    }
}

fn refusal_of_tenant(refusal: Refusal, dialer: &Dialer, layout: &Layout, login: &Login) -> DriverError {
    refusal.at(&dialer.place(&login.username, &layout.database))
}
