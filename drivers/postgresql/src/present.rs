//! Making the database and its logins as desired.

use driver_api::{Desired, DriverError, ErrorKind, Result};
use tokio_postgres::types::Type;

use crate::catalog::inside;
use crate::catalog::{self, ServerState};
use crate::connect::Connection;
use crate::fault::Carries;
use crate::immutable;
use crate::layout::Layout;
use crate::parameters::{Extension, Parameters};
use crate::plan::{self, Change, Inside};
use crate::prove::{Proof, prove};
use crate::session::Administrator;
use crate::session::Session;
use crate::sql::{self, Ident, Sql, Verifier};

/// Makes everything as desired, from any state that a crash or somebody's hand may have left.
///
/// The order is: roles with their marks in one transaction, the database (which cannot be in one), its
/// rights in one transaction, what is inside, the password.
pub(crate) async fn ensure(
    session: &mut Session,
    layout: &Layout,
    desired: &Desired<Parameters>,
) -> Result<()> {
    let Session { connection, dialer, administrator, .. } = session;
    let parameters = &desired.parameters;
    let state = catalog::read(connection, layout, administrator).await?;
    check(&state, layout, administrator, parameters, connection)?;

    let is_new_login = state.role(&layout.active).is_none();
    let verifier = is_new_login.then(|| Verifier::of(&desired.login.password));
    let changes = plan::roles(&state, layout, administrator, verifier.as_ref());
    apply(connection, &changes, "cannot arrange the roles", Carries::Ours).await?;

    let database = if let Some(database) = state.database {
        database
    } else {
        let (name, owner) = (Ident::new(&layout.database), Ident::new(&layout.owner));
        let create = sql::create_database(&name, &owner, parameters, administrator.version);
        connection
            .run(&create, &format!("cannot create database {}", layout.database), Carries::Parameters)
            .await?;
        let state = catalog::read(connection, layout, administrator).await?;
        state.our_database(layout).cloned().ok_or_else(|| vanished(layout, connection))?
    };
    let changes = plan::database(&database, layout, parameters);
    // Of the parameters it is the connection limit that is among them.
    let carries = if parameters.connection_limit.is_some() { Carries::Parameters } else { Carries::Ours };
    apply(connection, &changes, &format!("cannot arrange database {}", layout.database), carries).await?;

    let inside = dialer.enter(&layout.database).await?;
    arrange_inside(&inside, layout, administrator, parameters).await?;

    // A login that works is left alone, so that a repair writes nothing that is right already.
    if !is_new_login
        && let Proof::Refused { password: true, .. } =
            prove(dialer, layout, &database, &desired.login).await?
    {
        let verifier = Verifier::of(&desired.login.password);
        let set = sql::set_password(&Ident::new(&layout.active), &verifier);
        connection.run(&set, &format!("cannot set the password of {}", layout.active), Carries::Ours).await?;
    }
    Ok(())
}

/// Refuses, before anything is changed, what cannot be done.
fn check(
    state: &ServerState,
    layout: &Layout,
    administrator: &Administrator,
    parameters: &Parameters,
    connection: &Connection,
) -> Result<()> {
    let foreign = state.foreign(layout);
    if !foreign.is_empty() {
        return Err(DriverError::new(
            ErrorKind::NameTaken,
            format!(
                "{} at {} does not carry this Database's mark {:?}: remove it there, or delete this Database and create it with another spec.name",
                foreign.join(", "),
                connection.place(),
                layout.mark
            ),
        ));
    }
    check_rights(state, administrator, connection)?;
    immutable::check_version(parameters, administrator)?;
    let Some(database) = &state.database else { return Ok(()) };
    if !database.valid {
        // Its rows are gone already; an empty one in its place would look as if nothing had happened.
        return Err(DriverError::new(
            ErrorKind::DatabaseMissing,
            format!(
                "database {} at {} is the rest of an interrupted DROP DATABASE and can only be dropped: delete this Database and create it again, or drop that rest and bring the database back from a backup",
                layout.database,
                connection.place()
            ),
        ));
    }
    let fixed = immutable::differences(database, parameters);
    if !fixed.is_empty() {
        return Err(DriverError::new(
            ErrorKind::Invalid,
            format!(
                "spec.parameters of database {}: {}; that is chosen at creation and stays, so set it back or create another Database",
                layout.database,
                fixed.join(", ")
            ),
        ));
    }
    Ok(())
}

/// Names the attributes that the administrator lacks, and how to give them.
fn check_rights(state: &ServerState, administrator: &Administrator, connection: &Connection) -> Result<()> {
    let Administrator { name, superuser, createrole, createdb, inherit, version } = administrator;
    let mut lacking = Vec::new();
    if !superuser {
        lacking.extend((!createrole).then_some("CREATEROLE"));
        lacking.extend((!createdb && state.database.is_none()).then_some("CREATEDB"));
        // From 16 on each membership says for itself whether it gives the role's rights.
        lacking.extend((!inherit && *version < 16).then_some("INHERIT"));
    }
    if lacking.is_empty() {
        return Ok(());
    }
    Err(DriverError::new(
        ErrorKind::InsufficientPrivilege,
        format!(
            "the administrator's login at {} lacks {}: run ALTER ROLE {} {}",
            connection.place(),
            lacking.join(" and "),
            Ident::new(name),
            lacking.join(" ")
        ),
    ))
}

async fn apply(connection: &Connection, changes: &[Change], doing: &str, carries: Carries) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    connection.run(&Sql::batch(changes.iter().flat_map(|change| &change.repair)), doing, carries).await
}

fn vanished(layout: &Layout, connection: &Connection) -> DriverError {
    DriverError::new(
        ErrorKind::NameTaken,
        format!("somebody else changed database {} at {} just now", layout.database, connection.place()),
    )
}

/// Puts right what is inside the database, as the administrator, in a session with pinned settings.
async fn arrange_inside(
    connection: &Connection,
    layout: &Layout,
    administrator: &Administrator,
    parameters: &Parameters,
) -> Result<()> {
    let names: Vec<_> = parameters.extensions.iter().map(|extension| extension.name.as_str()).collect();
    let state = inside::read(connection, layout, &parameters.schemas, &names).await?;
    let mut changes = Vec::new();
    let mut missing = Vec::new();
    for difference in plan::inside(&state, layout, administrator, parameters) {
        match difference {
            Inside::Change(change) => changes.push(change),
            Inside::Missing(extension) => missing.push(extension),
        }
    }
    let doing = format!("cannot arrange what is inside database {}", layout.database);
    let wants_nothing = parameters.schemas.is_empty() && parameters.extensions.is_empty();
    let carries = if wants_nothing { Carries::Ours } else { Carries::Parameters };
    apply(connection, &changes, &doing, carries).await?;
    for extension in missing {
        create_extension(connection, layout, administrator, extension).await?;
    }
    Ok(())
}

// `coalesce` takes the version that the server would choose.
const AVAILABLE: &str = "SELECT v.superuser, v.trusted, v.schema::text \
    FROM pg_available_extension_versions v JOIN pg_available_extensions a USING (name) \
    WHERE v.name = $1 AND v.version = coalesce($2, a.default_version)";

async fn create_extension(
    connection: &Connection,
    layout: &Layout,
    administrator: &Administrator,
    extension: &Extension,
) -> Result<()> {
    let Extension { name, schema, version } = extension;
    let doing = format!("cannot create extension {name}");
    let rows = connection.rows(AVAILABLE, &[(name, Type::TEXT), (version, Type::TEXT)], &doing).await?;
    let Some(row) = rows.first() else {
        let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        return Err(DriverError::new(
            ErrorKind::Unsupported,
            format!(
                "extension {name}{version} is not installed on the server {}: have its package installed there, or take it from spec.parameters.extensions",
                connection.place()
            ),
        ));
    };
    let (needs_superuser, is_trusted): (bool, bool) = (connection.cell(row, 0)?, connection.cell(row, 1)?);
    let own_schema: Option<String> = connection.cell(row, 2)?;
    if needs_superuser && !is_trusted && !administrator.superuser {
        return Err(DriverError::new(
            ErrorKind::InsufficientPrivilege,
            format!(
                "extension {name} is not trusted, and only a superuser may create it: have one run CREATE EXTENSION {} in database {}, or take it from spec.parameters.extensions",
                Ident::new(name),
                layout.database
            ),
        ));
    }
    // Some have a schema that cannot be chosen. `public` is said, since our search_path is not the tenant's.
    let schema = match (schema, own_schema) {
        (Some(schema), _) => Some(Ident::new(schema)),
        (None, Some(_)) => None,
        (None, None) => Some(Ident::new("public")),
    };
    // The tenant owns what it could have created itself, so that it can restore and upgrade it.
    let group = Ident::new(&layout.group);
    let creator = (is_trusted || !needs_superuser).then_some(&group);
    let create = sql::create_extension(&Ident::new(name), schema.as_ref(), version.as_deref(), creator);
    connection.run(&create, &doing, Carries::Parameters).await
}
