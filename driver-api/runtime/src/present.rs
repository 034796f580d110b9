//! How a database and its login come to be as the spec asks, whatever operation asks for it.

use serde::Deserialize;
use tracing::info;

use crate::binding::{BindingSecret, Content};
use crate::content;
use crate::credentials;
use crate::failure::{Failure, Result};
use crate::run::Run;
use api::{Parameters, Reason, SecretTemplate};
use driver::{Desired, Driver, Login, Presence, Secret, Server, Target};

/// What a spec asks for, and where.
pub(crate) struct Asked<P> {
    pub(crate) server: Server,
    pub(crate) database: Target,
    /// Its password is the one in the Secret, once that is known.
    pub(crate) desired: Desired<P>,
    template: SecretTemplate,
}

impl<P: for<'de> Deserialize<'de>> Asked<P> {
    /// What the live object asks for. The server is not asked, and nothing is written.
    pub(crate) async fn by<D: Driver<Parameters = P>>(driver: &D, run: &mut Run<'_>) -> Result<Self> {
        let parameters = parse_parameters(run.record.live().spec.parameters.as_ref())?;
        let server =
            credentials::server(run.record.live(), &run.assignment.injected, D::DEFAULT_PORT).await?;
        run.hidden.hide(&server.admin.password);
        let database = run.target::<D>();
        let template = run.record.live().spec.secret_template.clone().unwrap_or_default();
        let desired = Desired::new(parameters, Login::new(&database.active_login, Secret::new("not known")));
        let asked = Self { server, database, desired, template };
        // Before anything is made, so that a template which does not render leaves nothing half done.
        asked.content(driver)?;
        Ok(asked)
    }

    /// What the Secret is to carry.
    pub(crate) fn content<D: Driver>(&self, driver: &D) -> Result<Content> {
        let of_engine = driver.binding(&self.server, &self.database, &self.desired.login);
        let keys = content::standard_keys(D::TYPE, &self.server, &self.desired.login, of_engine)?;
        Ok(Content {
            data: content::with_template(&keys, Some(&self.template))?,
            labels: self.template.labels.clone(),
            annotations: self.template.annotations.clone(),
        })
    }

    /// The password of the login is that one.
    pub(crate) fn set_password(&mut self, password: Secret, run: &mut Run<'_>) {
        run.hidden.hide(&password);
        self.desired.login.password = password;
    }
}

/// Hands the login out, and says that the database is what the spec asks for.
pub(crate) async fn hand_out<D: Driver>(
    driver: &D,
    run: &mut Run<'_>,
    asked: &Asked<D::Parameters>,
    secret: &mut BindingSecret,
) -> Result<()> {
    secret.complete(asked.content(driver)?).await?;
    run.record.created(secret.name(), &asked.database).await
}

/// Acts if something differs from what is desired, and proves that nothing does any more.
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

fn parse_parameters<P: for<'de> Deserialize<'de>>(parameters: Option<&Parameters>) -> Result<P> {
    serde_json::from_str(parameters.map_or("{}", Parameters::as_str))
        .map_err(|error| Failure::new(Reason::Invalid, format!("spec.parameters: {error}")))
}
