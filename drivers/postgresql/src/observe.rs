//! Saying what is there, and what differs from what is desired.

use driver_api::{Desired, Presence, Result};

use crate::catalog::inside;
use crate::catalog::{self, ServerState};
use crate::layout::Layout;
use crate::parameters::Parameters;
use crate::prove::{Proof, prove};
use crate::session::Session;
use crate::{immutable, plan};

/// Says what is there: nothing, something that is not ours, or ours and what differs. Without `desired` nothing is
/// compared, and what is ours takes the place of the differences.
pub(crate) async fn presence(
    session: &Session,
    layout: &Layout,
    desired: Option<&Desired<Parameters>>,
) -> Result<Presence> {
    let state = catalog::read(&session.connection, layout, &session.administrator).await?;
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
            let inside = inside::read(&tenant, layout, &parameters.schemas, &extensions).await?;
            if inside.acting_as != layout.group {
                differences.push(format!("a session of {} acts as {}", layout.active, inside.acting_as));
            }
            let changes = plan::inside(&inside, layout, administrator, parameters);
            differences.extend(changes.iter().map(plan::Inside::text));
        }
        Proof::Full => {}
        Proof::Refused { what, .. } => differences.push(what),
    }
    Ok(differences)
}
