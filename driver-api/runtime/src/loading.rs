//! How a backup is loaded into a database, whatever operation asks for it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tracing::info;

use crate::failure::Result;
use crate::source::SourceBackup;
use driver::{Desired, Driver, Target};

/// Drops the database, makes it again, empty and locked, and loads the backup into it.
///
/// Always from the beginning: of what an earlier run has loaded, nobody knows how much.
pub(crate) async fn replace_by<D: Driver>(
    driver: &D,
    session: &mut D::Session,
    database: &Target,
    desired: &mut Desired<D::Parameters>,
    source: &SourceBackup,
    counter: &Arc<AtomicU64>,
) -> Result<()> {
    driver.ensure_absent(session, database).await?;
    // Until it is locked nobody knows the login's password: a row that it committed would be loaded over.
    let password = std::mem::replace(&mut desired.login.password, driver::kit::password::random()?);
    let made = driver.ensure_present(session, database, desired).await;
    desired.login.password = password;
    made?;
    driver.lock_out(session, database).await?;
    driver.check_load(session, database, source.description()).await?;
    info!(database = database.name, source = source.url(), "loading the backup");
    let opened = source.open(counter)?;
    driver.load(session, database, &opened).await?;
    info!(database = database.name, "loaded the backup");
    Ok(())
}
