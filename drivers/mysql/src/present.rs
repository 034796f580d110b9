//! Making the database and its accounts as desired.

use driver_api::{Desired, DriverError, ErrorKind, Result};

use crate::catalog::registry::{self, Kind};
use crate::catalog::{self, ServerState, proof};
use crate::connect::code_of;
use crate::fault::{Carries, code};
use crate::layout::Layout;
use crate::parameters::Parameters;
use crate::prove::{Proof, prove};
use crate::session::Session;
use crate::verifier::Verifier;
use crate::{absent, immutable, observe, plan, privileges, sql};

/// Makes everything as desired, from any state that a crash or somebody's hand may have left.
///
/// The order is: the accounts, which cannot log in yet, the database, the rights, the login. Before each thing its name is
/// written into the registry as an intent, and confirmed after it.
pub(crate) async fn ensure(
    session: &mut Session,
    layout: &Layout,
    desired: &Desired<Parameters>,
) -> Result<()> {
    let parameters = &desired.parameters;
    let state = catalog::read(session, layout).await?;
    check(session, &state, layout, parameters)?;
    privileges::check(session, layout).await?;
    if !state.has_registry {
        for statement in sql::create_registry() {
            session.effect(&statement, "cannot create the registry", Carries::Ours).await?;
        }
    }
    let is_new_login = state.account(&layout.active).is_none();
    for name in layout.accounts() {
        ensure_account(session, &state, layout, name, desired).await?;
    }
    ensure_database(session, &state, layout, parameters).await?;

    let state = catalog::read(session, layout).await?;
    for change in plan::accounts(&state, layout, session.about, parameters) {
        for statement in &change.repair {
            let doing = format!("cannot arrange the accounts of database {}", layout.database);
            session.effect(statement, &doing, Carries::Ours).await?;
        }
    }
    // A login that works is left alone, so that a repair writes nothing that is right already.
    let is_expired = state.account(&layout.active).is_some_and(|account| account.is_expired);
    if !is_new_login
        && (is_expired
            || matches!(
                prove(&session.dialer, layout, parameters, &desired.login).await?,
                Proof::Refused { password: true, .. }
            ))
    {
        let verifier = Verifier::of(&desired.login.password, session.about.flavor())?;
        let doing = format!("cannot set the password of {}", layout.active);
        session.effect(&sql::set_password(&layout.active, &verifier), &doing, Carries::Ours).await?;
    }
    verify(session, layout, parameters).await
}

/// Looks whether the server has done what it was told: a grant under another name than the one that it looks up, or a
/// hook of a provider, would show here and not at the tenant.
async fn verify(session: &mut Session, layout: &Layout, parameters: &Parameters) -> Result<()> {
    let state = catalog::read(session, layout).await?;
    let mut differences = observe::incomplete(&state, layout);
    let changes = plan::accounts(&state, layout, session.about, parameters);
    differences.extend(changes.into_iter().map(|change| change.text));
    if differences.is_empty() {
        return Ok(());
    }
    Err(DriverError::new(
        ErrorKind::Internal,
        format!(
            "{} took all statements, and still: {}; look whether somebody or something changes it back",
            session.connection.place(),
            differences.join(", ")
        ),
    ))
}

/// Refuses, before anything is changed, what cannot be done.
fn check(session: &Session, state: &ServerState, layout: &Layout, parameters: &Parameters) -> Result<()> {
    let foreign = state.foreign(layout);
    let place = session.connection.place();
    if !foreign.is_empty() {
        return Err(DriverError::new(
            ErrorKind::NameTaken,
            format!(
                "{} at {place} does not carry this Database's mark {:?}: remove it there, or delete this Database and create it with another spec.name",
                foreign.join(", "),
                layout.mark
            ),
        ));
    }
    let Some(database) = &state.database else {
        // The rights that a dropped database leaves would be rights on this one.
        let leftovers: Vec<_> =
            absent::leftovers(state, layout, session.about).iter().map(|grant| grant.text()).collect();
        if leftovers.is_empty() {
            return Ok(());
        }
        return Err(DriverError::new(
            ErrorKind::InUse,
            format!(
                "{} at {place}, which does not exist yet: REVOKE that, for it would be a right on the new database",
                leftovers.join(", ")
            ),
        ));
    };
    let fixed = immutable::differences(database, parameters);
    if fixed.is_empty() {
        return Ok(());
    }
    Err(DriverError::new(
        ErrorKind::Invalid,
        format!(
            "spec.parameters of database {}: {}; that is chosen at creation and stays, so set it back or create another Database",
            layout.database,
            fixed.join(", ")
        ),
    ))
}

/// Creates an account that is missing, without any right, and unable to log in.
async fn ensure_account(
    session: &mut Session,
    state: &ServerState,
    layout: &Layout,
    name: &str,
    desired: &Desired<Parameters>,
) -> Result<()> {
    if state.account(name).is_none() {
        let flavor = session.about.flavor();
        let verifier = if name == layout.active {
            Verifier::of(&desired.login.password, flavor)?
        } else {
            Verifier::of_nobody(flavor)?
        };
        registry::intend(session, layout, Kind::Account, name, &proof(verifier.text())).await?;
        let doing = format!("cannot create account {name}");
        session.effect(&sql::create_user(name, &verifier), &doing, Carries::Ours).await?;
    } else if state.is_confirmed(Kind::Account, name) {
        return Ok(());
    }
    registry::confirm(session, layout, Kind::Account, name).await
}

/// Creates the database if it is missing.
async fn ensure_database(
    session: &mut Session,
    state: &ServerState,
    layout: &Layout,
    parameters: &Parameters,
) -> Result<()> {
    let name = &layout.database;
    if state.database.is_none() {
        registry::intend(session, layout, Kind::Database, name, "").await?;
        session.check_lock().await?;
        let created = session.connection.attempt(&sql::create_database(name, parameters)).await;
        if let Err(error) = created {
            if code_of(&error) == Some(code::DATABASE_EXISTS) {
                // It is somebody else's, who was a moment earlier.
                registry::forget(session, layout, Kind::Database, name).await?;
            }
            let doing = format!("cannot create database {name}");
            return Err(session.connection.fault(error, &doing, Carries::Parameters));
        }
    } else if state.is_confirmed(Kind::Database, name) {
        return Ok(());
    }
    registry::confirm(session, layout, Kind::Database, name).await
}
