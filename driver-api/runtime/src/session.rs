//! A session of the driver, which is closed when its work has ended, well or not. A run that is killed closes nothing.

use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use crate::failure::Result;
use driver::{Driver, Server, Target};

/// How long a driver may take to end a session. What it holds ends by itself then, as after a crash.
const CLOSING: Duration = Duration::from_secs(10);

/// Connects, does `work`, and closes the session. A session that cannot be closed changes nothing about what was done.
pub(crate) async fn in_session<D: Driver, T>(
    driver: &D,
    server: &Server,
    database: &Target,
    work: impl AsyncFnOnce(&mut D::Session) -> Result<T>,
) -> Result<T> {
    let mut session = driver.connect(server, database).await?;
    let done = work(&mut session).await;
    match timeout(CLOSING, driver.close(session)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(error = error.chain(), "cannot close the session: its lock ends by itself"),
        Err(_) => {
            warn!(seconds = CLOSING.as_secs(), "the session was not closed in time: its lock ends by itself");
        }
    }
    done
}
