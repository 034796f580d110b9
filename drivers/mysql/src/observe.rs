//! Saying what is there, and what differs from what is desired.

use driver_api::{Desired, Presence, Result};

use crate::catalog::registry::Kind;
use crate::catalog::{self, ServerState};
use crate::layout::Layout;
use crate::parameters::Parameters;
use crate::prove::{Proof, prove};
use crate::session::Session;
use crate::{immutable, plan};

/// Says what is there: nothing, something that is not ours, or ours and what differs. Without `desired` nothing is
/// compared, and what is ours takes the place of the differences.
pub(crate) async fn presence(
    session: &mut Session,
    layout: &Layout,
    desired: Option<&Desired<Parameters>>,
) -> Result<Presence> {
    let state = catalog::read(session, layout).await?;
    let ours = state.ours(layout);
    let mut foreign = state.foreign(layout);
    if ours.is_empty() {
        let what = foreign.join(", ");
        return Ok(if what.is_empty() { Presence::Absent } else { Presence::Foreign { what } });
    }
    let differences = match desired {
        None => ours,
        Some(desired) => {
            foreign.extend(differences(session, layout, &state, desired).await?);
            foreign
        }
    };
    Ok(Presence::Ours { database: state.our_database(layout).is_some(), differences })
}

/// What is not there, or not known as ours for good.
pub(crate) fn incomplete(state: &ServerState, layout: &Layout) -> Vec<String> {
    let mut differences = Vec::new();
    let database = (Kind::Database, layout.database.as_str(), state.our_database(layout).is_some());
    let accounts =
        layout.accounts().map(|name| (Kind::Account, name, state.our_account(name, layout).is_some()));
    for (kind, name, is_there) in [database].into_iter().chain(accounts) {
        let what = match kind {
            Kind::Database => "database",
            Kind::Account => "account",
        };
        if !is_there {
            differences.push(format!("{what} {name} is missing"));
        } else if !state.is_confirmed(kind, name) {
            differences.push(format!("{what} {name} is not confirmed in the registry"));
        }
    }
    differences
}

/// Everything that differs from what is desired.
async fn differences(
    session: &Session,
    layout: &Layout,
    state: &ServerState,
    desired: &Desired<Parameters>,
) -> Result<Vec<String>> {
    let parameters = &desired.parameters;
    let mut differences = incomplete(state, layout);
    if let Some(database) = state.our_database(layout) {
        differences.extend(immutable::differences(database, parameters));
    }
    let changes = plan::accounts(state, layout, session.about, parameters);
    differences.extend(changes.into_iter().map(|change| change.text));
    // It may log in with it all the same, and do nothing.
    if state.our_account(&layout.active, layout).is_some_and(|account| account.is_expired) {
        differences.push(format!("account {} has a password that is expired", layout.active));
    }
    let may_log_in = state.our_account(&layout.active, layout).is_some_and(|account| !account.is_locked);
    if !may_log_in || state.our_database(layout).is_none() {
        return Ok(differences);
    }
    match prove(&session.dialer, layout, parameters, &desired.login).await {
        // What is known to differ may be the cause: it is put right first, and then this shows again or not.
        Err(error) if !differences.is_empty() => differences.push(error.to_string()),
        Err(error) => return Err(error),
        Ok(Proof::LogsIn | Proof::Full) => {}
        Ok(Proof::Refused { what, .. }) => differences.push(what),
    }
    Ok(differences)
}
