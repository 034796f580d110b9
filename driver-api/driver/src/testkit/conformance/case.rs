//! A database that a rule works on, and what every rule does with it.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::driver::{Desired, Driver, Mark, Presence, Target};
use crate::dump::{Description, Occupancy, Sink, Source};
use crate::error::{DriverError, ErrorKind, Result};
use crate::secret::Secret;
use crate::server::{Login, Server};
use crate::testkit::conformance::harness::{Ability, Harness};
use crate::testkit::dump::{MemoryDump, MemorySink};

/// The password of every tenant of the kit. It would be seen wherever it is not quoted.
pub const PASSWORD: &str = "it's \"correct\" horse\\battery";

/// Rows that are not easily carried from one place to another.
pub const ROWS: [&str; 9] =
    ["one", "", " two ", "t\tab", "new\nline", "\\N", "\\.", "it's \"quoted\"; --", "ünïcødé \u{1f980}"];

/// A session of a harness' driver.
pub type Session<H> = <<H as Harness>::Driver as Driver>::Session;

/// What a rule answers.
pub type Outcome<T = ()> = std::result::Result<T, Failure>;

/// Why a rule does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        Self(format!("{:?}: {}", error.kind(), error.chain()))
    }
}

/// Fails the rule if something is not so.
pub(super) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Failure(otherwise())) }
}

/// Fails the rule unless the two are equal.
pub(super) fn same<T: fmt::Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Outcome {
    ensure(found == expected, || format!("{what}:\n  found    {found:?}\n  expected {expected:?}"))
}

/// The error, which must be of one of these kinds.
pub(super) fn refused<T>(what: &str, result: Result<T>, kinds: &[ErrorKind]) -> Outcome<DriverError> {
    match result {
        Ok(_) => Err(Failure(format!("{what}: it goes through, and has to be one of {kinds:?}"))),
        Err(error) if kinds.contains(&error.kind()) => Ok(error),
        Err(error) => {
            let (kind, text) = (error.kind(), error.chain());
            Err(Failure(format!("{what}: it is {kind:?} and has to be one of {kinds:?}: {text}")))
        }
    }
}

/// One rule on one server.
#[derive(Debug)]
pub struct Kit<H: Harness> {
    /// The server.
    pub harness: H,
    /// What every name of the rule begins with.
    pub prefix: String,
    not_shown: Mutex<BTreeSet<String>>,
}

impl<H: Harness> Kit<H> {
    pub(super) fn new(harness: H, prefix: String) -> Self {
        Self { harness, prefix, not_shown: Mutex::default() }
    }

    /// A database of this rule, with logins of its own. Nothing of it is on the server.
    pub fn case(&self, label: &str) -> Case<H> {
        let name = format!("{}{label}", self.prefix);
        let mark = Mark::new("kit-cluster", format!("uid-{name}"));
        let target = Target::new(name, mark, <H::Driver as Driver>::MAX_USERNAME);
        let login = Login::new(&target.active_login, Secret::new(PASSWORD));
        Case { harness: self.harness.clone(), server: self.harness.server(), target, login }
    }

    /// Whether that can be done here. If not, the rule's report says so.
    pub fn is_able(&self, ability: Ability) -> bool {
        let reason = self.harness.cannot(ability);
        let is_able = reason.is_none();
        if let Some(reason) = reason {
            self.could_not_show(format!("{ability:?}: {reason}"));
        }
        is_able
    }

    /// Notes what the rule could not show here.
    pub fn could_not_show(&self, what: impl Into<String>) {
        self.not_shown.lock().unwrap_or_else(PoisonError::into_inner).insert(what.into());
    }

    pub(super) fn not_shown(&self) -> Vec<String> {
        self.not_shown.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// A database that the driver works on. Every method is a run of its own: it takes the lock and lets it go.
#[derive(Clone, Debug)]
pub struct Case<H: Harness> {
    /// The server that it is on.
    pub harness: H,
    /// Where the driver finds it.
    pub server: Server,
    /// Which database.
    pub target: Target,
    /// The login that applications use.
    pub login: Login,
}

impl<H: Harness> Case<H> {
    /// The same database, wanted with that password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.login = Login::new(&self.target.active_login, Secret::new(password));
        self
    }

    /// The same name, as another object of another cluster wants it.
    #[must_use]
    pub fn with_mark(mut self, mark: Mark) -> Self {
        self.target = Target::new(&self.target.name, mark, <H::Driver as Driver>::MAX_USERNAME);
        self
    }

    /// What it should be like.
    pub fn desired(&self) -> Desired<<H::Driver as Driver>::Parameters> {
        Desired::new(self.harness.parameters(), self.login.clone())
    }

    /// One try to open a session.
    pub async fn connect(&self) -> Result<Session<H>> {
        self.harness.driver().connect(&self.server, &self.target).await
    }

    /// A session, once the one before has let go of the lock: a server may need a moment to notice.
    pub async fn session(&self) -> Result<Session<H>> {
        let begin = Instant::now();
        loop {
            match self.connect().await {
                Err(error)
                    if error.kind() == ErrorKind::Busy && begin.elapsed() < self.harness.patience() =>
                {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                other => return other,
            }
        }
    }

    /// Ends a session. What goes wrong with that changes nothing, as it does in a run.
    pub async fn close(&self, session: Session<H>) {
        let _ = self.harness.driver().close(session).await;
    }

    /// Opens a session and ends it: the lock was free, and is again.
    pub async fn is_free(&self) -> Result<()> {
        let session = self.session().await?;
        self.close(session).await;
        Ok(())
    }

    /// What the driver says is there, compared with what is desired.
    pub async fn observe(&self) -> Result<Presence> {
        let (mut session, desired) = (self.session().await?, self.desired());
        let presence = self.harness.driver().observe(&mut session, &self.target, Some(&desired)).await;
        self.close(session).await;
        presence
    }

    /// What the driver says is there, when nobody says what is desired.
    pub async fn look(&self) -> Result<Presence> {
        let mut session = self.session().await?;
        let presence = self.harness.driver().observe(&mut session, &self.target, None).await;
        self.close(session).await;
        presence
    }

    /// A run of `ensure_present`.
    pub async fn present(&self) -> Result<()> {
        let (mut session, desired) = (self.session().await?, self.desired());
        let made = self.harness.driver().ensure_present(&mut session, &self.target, &desired).await;
        self.close(session).await;
        made
    }

    /// A run of `ensure_absent`.
    pub async fn absent(&self) -> Result<()> {
        let mut session = self.session().await?;
        let dropped = self.harness.driver().ensure_absent(&mut session, &self.target).await;
        self.close(session).await;
        dropped
    }

    /// A run of `lock_out`.
    pub async fn lock_out(&self) -> Result<()> {
        let mut session = self.session().await?;
        let locked = self.harness.driver().lock_out(&mut session, &self.target).await;
        self.close(session).await;
        locked
    }

    /// A run of `dump`.
    pub async fn dump_to(&self, sink: &impl Sink) -> Result<Description> {
        let mut session = self.session().await?;
        let dumped = self.harness.driver().dump(&mut session, &self.target, sink).await;
        self.close(session).await;
        dumped
    }

    /// A whole dump, with a description that was stored meanwhile.
    pub async fn dump(&self) -> Outcome<MemoryDump> {
        let sink = MemorySink::default();
        let description = self.dump_to(&sink).await?;
        let stored = serde_json::to_value(description).and_then(serde_json::from_value);
        Ok(sink.complete(stored.map_err(|error| format!("a description that cannot be stored: {error}"))?)?)
    }

    /// A run of `check_load`.
    pub async fn check_load(&self, description: &Description) -> Result<Occupancy> {
        let mut session = self.session().await?;
        let found = self.harness.driver().check_load(&mut session, &self.target, description).await;
        self.close(session).await;
        found
    }

    /// A run of `load`.
    pub async fn load(&self, source: &impl Source) -> Result<()> {
        let mut session = self.session().await?;
        let loaded = self.harness.driver().load(&mut session, &self.target, source).await;
        self.close(session).await;
        loaded
    }

    /// Makes the database, and loads the dump into it.
    pub async fn restore(&self, source: &impl Source) -> Outcome {
        self.present().await?;
        same(
            "what is in the way of a load",
            &self.check_load(source.description()).await?,
            &Occupancy::Empty,
        )?;
        Ok(self.load(source).await?)
    }

    /// What differs; the database must be there, and ours.
    pub async fn differences(&self) -> Outcome<Vec<String>> {
        let presence = self.observe().await?;
        if let Presence::Ours { database: true, differences } = presence {
            return Ok(differences);
        }
        Err(Failure(format!("{} has to be there and ours, and is {presence:?}", self.target.name)))
    }

    /// Holds if the database is as desired, and an application can use it.
    pub async fn is_complete(&self) -> Outcome {
        same("what differs from what is desired", &self.differences().await?, &Vec::new())?;
        self.tenant().await.map(drop)
    }

    /// Holds if nothing of the database is there.
    pub async fn is_absent(&self) -> Outcome {
        same("what is there", &self.look().await?, &Presence::Absent)
    }

    /// A session of the application.
    pub async fn tenant(&self) -> Outcome<H::Tenant> {
        let opened = self.harness.log_in(&self.target, &self.login).await;
        opened.map_err(|error| Failure(format!("{} cannot log in: {error}", self.login.username)))
    }

    /// Commits these rows, as an application does.
    pub async fn commit(&self, rows: &[&str]) -> Outcome {
        let mut tenant = self.tenant().await?;
        for row in rows {
            self.harness.commit(&mut tenant, row).await?;
        }
        Ok(())
    }

    /// Makes it with rows and all that the engine has.
    pub async fn present_and_filled(&self) -> Outcome {
        self.present().await?;
        self.commit(&ROWS).await?;
        Ok(self.harness.fill(&mut self.tenant().await?).await?)
    }

    /// The rows.
    pub async fn rows(&self) -> Outcome<Vec<String>> {
        Ok(self.harness.rows(&self.target).await?)
    }

    /// What two databases are compared by.
    pub async fn content(&self) -> Outcome<String> {
        Ok(self.harness.content(&self.target).await?)
    }

    /// What is on the server, with these names.
    pub async fn picture(&self) -> Outcome<String> {
        Ok(self.harness.picture(&self.target).await?)
    }

    /// Holds if the picture is still that one.
    pub async fn is_unchanged(&self, after: &str, before: &str) -> Outcome {
        let now = self.picture().await?;
        let mut text = String::new();
        for line in now.lines().filter(|line| !before.lines().any(|other| other == *line)) {
            let _ = write!(text, "\n  now    {line}");
        }
        for line in before.lines().filter(|line| !now.lines().any(|other| other == *line)) {
            let _ = write!(text, "\n  before {line}");
        }
        ensure(now == before, || format!("{after} changes {}:{text}", self.target.name))
    }
}
