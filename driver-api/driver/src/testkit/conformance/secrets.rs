//! No secret in an error, in what is logged, or in the server's log.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::Level;

use crate::error::Result;
use crate::secret::Secret;
use crate::server::Login;
use crate::testkit::conformance::case::{Case, Kit, Outcome, ensure};
use crate::testkit::conformance::harness::{Ability, Harness};
use crate::testkit::dump::MemorySink;
use crate::testkit::logged::Logged;

/// Passwords that are found again: one is plain, one is changed wherever it is quoted, one is too odd for many a server.
const PASSWORDS: [&str; 3] = ["hunter2plain", "hunter2'quoted\"\\", "hunter2\0\u{202e}odd"];

/// The administrator's wrong password.
const WRONG: &str = "hunter3wrong";

/// What all of them have in them, however they are quoted.
const TRACES: [&str; 2] = ["hunter2", "hunter3"];

/// A whole life with all the failures that a server gives cause to: the texts of the errors.
async fn life<H: Harness>(kit: &Kit<H>) -> Outcome<Vec<String>> {
    let mut texts = Vec::new();
    let mut tell =
        |result: Result<()>| texts.extend(result.err().map(|error| format!("{} {error:?}", error.chain())));
    for (number, password) in PASSWORDS.into_iter().enumerate() {
        let case = kit.case(&format!("s{number}")).with_password(password);
        tell(case.present().await);
        tell(case.present().await);
        tell(case.observe().await.map(drop));
        tell(case.clone().with_password("hunter2other").observe().await.map(drop));
        tell(case.dump_to(&MemorySink::that_breaks_after(0)).await.map(drop));
        tell(case.lock_out().await);
        tell(case.observe().await.map(drop));
        kit.harness.plant_database(&kit.case(&format!("f{number}")).target.name).await?;
        tell(kit.case(&format!("f{number}")).with_password(password).present().await);
        // The session ends in the middle, with the password on its way.
        let mut session = case.session().await?;
        kit.harness.take_lock_away(&case.target).await?;
        let desired = case.clone().with_password("hunter2late").desired();
        let driver = kit.harness.driver();
        tell(crate::driver::Driver::ensure_present(&driver, &mut session, &case.target, &desired).await);
        case.close(session).await;
        let mut wrong: Case<H> = case.clone();
        wrong.server.admin = Login::new(&wrong.server.admin.username, Secret::new(WRONG));
        tell(wrong.connect().await.map(drop));
        tell(case.absent().await);
        // A name that is too long, with a password.
        tell(kit.case(&"n".repeat(300)).with_password(password).present().await);
    }
    Ok(texts)
}

fn finds_none<H: Harness>(kit: &Kit<H>, place: &str, text: &str) -> Outcome {
    let admin = kit.harness.server().admin.password;
    let secrets = TRACES.into_iter().chain(Some(admin.expose()).filter(|secret| secret.len() > 7));
    for secret in secrets {
        let line = text.lines().find(|line| line.contains(secret));
        ensure(line.is_none(), || format!("{place} names a secret: {}", line.unwrap_or_default()))?;
    }
    Ok(())
}

/// "No message, log line or statement may contain a secret in clear text": no error, nor what its `Debug` shows.
pub async fn no_error_names_a_secret<H: Harness>(kit: &Kit<H>) -> Outcome {
    let texts = life(kit).await?;
    ensure(texts.len() > PASSWORDS.len(), || format!("there were only {} errors: {texts:?}", texts.len()))?;
    finds_none(kit, "an error", &texts.join("\n"))
}

/// "No message, log line or statement may contain a secret in clear text": nothing that is logged, at the finest level.
pub async fn nothing_logged_names_a_secret<H: Harness>(kit: &Kit<H>) -> Outcome {
    let logged = Logged::start(Level::TRACE);
    life(kit).await?;
    finds_none(kit, "the driver's log", &logged.text())
}

/// "statement may contain a secret in clear text if the engine offers another way": the server's own log.
pub async fn the_server_s_log_names_no_secret<H: Harness>(kit: &Kit<H>) -> Outcome {
    if !kit.is_able(Ability::ServerLog) {
        return Ok(());
    }
    life(kit).await?;
    // What a server logs it may write a little later.
    let begin = Instant::now();
    let mut log = kit.harness.server_log().await?;
    while !log.contains(&kit.prefix) {
        let is_late = begin.elapsed() < kit.harness.patience();
        ensure(is_late, || "the server's log knows nothing of what was done".to_owned())?;
        sleep(Duration::from_millis(10)).await;
        log = kit.harness.server_log().await?;
    }
    finds_none(kit, "the server's log", &log)
}
