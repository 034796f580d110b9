//! The operation `create`: makes the database, or repairs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tracing::info;

use crate::Run;
use crate::binding::BindingSecret;
use crate::content;
use crate::credentials;
use crate::failure::{Failure, Result};
use crate::operations::restore::load_anew;
use crate::source::Found;
use api::DatabasePhase;
use api::Reason;
use driver::{Desired, Driver, Login, Presence, Server, Target};

/// Connects, and only then makes its first effect, which is the finalizer; stores the password, and only
/// then uses it; believes only what it observes.
pub(crate) async fn create<D: Driver>(driver: &D, run: &mut Run<'_>) -> Result<()> {
    let spec = run.record.live().spec.clone();
    let parameters: D::Parameters = parse_parameters(spec.parameters)?;
    let template = spec.secret_template.unwrap_or_default();
    let server = credentials::server(run.record.live(), run.assignment, D::DEFAULT_PORT).await?;
    run.hide(&server.admin.password);
    let target = run.target::<D>();
    check_template::<D>(&server, &target, &template)?;

    let mut session = driver.connect(&server, &target).await?;
    let before = driver.observe(&mut session, &target, None).await?;
    let database_exists = match &before {
        Presence::Absent => false,
        Presence::Ours { database, .. } => *database,
        Presence::Foreign { what } => {
            return Err(Failure::new(
                Reason::NameTaken,
                format!(
                    "{what} exists on {server} and does not belong to this Database: remove it there, or choose another spec.name"
                ),
            ));
        }
    };
    let was_created = run.record.was_created();
    if was_created && !database_exists {
        return Err(Failure::new(
            Reason::DatabaseMissing,
            format!(
                "database {} was created and is not on {server} any more: bring it back there, correct spec.connect, or delete this Database and create it again, empty",
                target.name
            ),
        ));
    }

    if !database_exists {
        run.check_begun_here(&server)?;
    }

    run.record.guard().await?;
    let phase = if was_created { DatabasePhase::Created } else { DatabasePhase::Creating };
    run.record.claim(phase, &server.to_string(), &target.name).await?;

    let mut secret = BindingSecret::new(run.client.clone(), run.record.live(), D::TYPE);
    let password = secret.password(run.record.status().binding.is_some()).await?;
    run.hide(&password);
    let mut desired = Desired::new(parameters, Login::new(&target.active_login, password));
    match &spec.restore_from {
        // What an earlier run has loaded is not known to be all. Once the login was handed out, it is.
        Some(source) if !was_created && !secret.is_handed_out().await? => {
            let found = Found::by(source, run).await?;
            found.check_engine(D::TYPE)?;
            found.verify().await?;
            load_anew(driver, &mut session, &target, &mut desired, &found, &Arc::default()).await?;
            let loaded = driver.observe(&mut session, &target, None).await?;
            ensure(driver, &mut session, &target, &desired, &loaded).await?;
        }
        _ => ensure(driver, &mut session, &target, &desired, &before).await?,
    }

    let keys = content::standard_keys(D::TYPE, &server, &target.name, &desired.login);
    let data = content::with_template(&keys, Some(&template))?;
    secret.complete(data, template.labels, template.annotations).await?;
    run.record.created(secret.name()).await
}

/// Acts where something differs from what is desired, and proves that nothing does any more.
pub(crate) async fn ensure<D: Driver>(
    driver: &D,
    session: &mut D::Session,
    target: &Target,
    desired: &Desired<D::Parameters>,
    before: &Presence,
) -> Result<()> {
    if matches!(before, Presence::Ours { .. }) {
        match driver.observe(session, target, Some(desired)).await? {
            Presence::Ours { database: true, differences } if differences.is_empty() => {
                info!(database = target.name, "everything is as desired");
                return Ok(());
            }
            Presence::Ours { differences, .. } => info!(database = target.name, ?differences, "repairing"),
            Presence::Absent | Presence::Foreign { .. } => {}
        }
    }
    driver.ensure_present(session, target, desired).await?;
    let after = driver.observe(session, target, Some(desired)).await?;
    match after {
        Presence::Ours { database: true, differences } if differences.is_empty() => {
            info!(database = target.name, "made the database and its login");
            Ok(())
        }
        Presence::Absent | Presence::Ours { .. } | Presence::Foreign { .. } => Err(Failure::new(
            Reason::Internal,
            format!(
                "the driver reports success, and yet the server shows {after:?}: this is a defect of the driver"
            ),
        )),
    }
}

pub(crate) fn parse_parameters<P: for<'de> Deserialize<'de>>(
    parameters: BTreeMap<String, Value>,
) -> Result<P> {
    serde_json::from_value(Value::Object(parameters.into_iter().collect()))
        .map_err(|error| Failure::new(Reason::Invalid, format!("spec.parameters: {error}")))
}

/// Renders the template before anything is made, so that one that does not render leaves nothing half done.
fn check_template<D: Driver>(server: &Server, target: &Target, template: &api::SecretTemplate) -> Result<()> {
    let login = Login::new(&target.active_login, driver::Secret::new("example"));
    let keys = content::standard_keys(D::TYPE, server, &target.name, &login);
    content::with_template(&keys, Some(template)).map(|_| ())
}
