//! What a run does that others can see, in the order in which it does it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use api::DatabasePhase;
use driver::dump::{Description, Occupancy, Sink, Source};
use driver::testkit::{MemoryDriver, MemoryParameters, MemorySession};
use driver::{Desired, Driver, Login, Presence, Result, Server, Target};

/// The effects so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects(Arc<Mutex<Vec<String>>>);

impl Effects {
    /// Notes an effect. One that is the same as the one before it is the same one, in pieces.
    pub(super) fn note(&self, effect: impl Into<String>) {
        let (mut all, effect) = (self.0.lock().unwrap(), effect.into());
        if all.last() != Some(&effect) {
            all.push(effect);
        }
    }

    /// All of them, and none are left.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Notes what a request to the API server has changed of an object, as it was before and is after.
    pub(super) fn changed(&self, kind: &str, before: &Value, after: &Value) {
        let count = |object: &Value| object["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        match count(after).cmp(&count(before)) {
            std::cmp::Ordering::Greater => return self.note(format!("guard {kind}")),
            std::cmp::Ordering::Less => return self.note(format!("free {kind}")),
            std::cmp::Ordering::Equal => {}
        }
        let (before, after) = (&before["status"], &after["status"]);
        self.note(format!("write {kind} {}", after["phase"].as_str().unwrap_or("none")));
        let job = |status: &Value| status["activeOperation"]["job"].clone();
        match (job(before).is_null(), job(after).is_null()) {
            (false, true) => self.note(format!("unclaim {kind}")),
            (_, false) if job(before) != job(after) => self.note(format!("claim {kind}")),
            _ => {}
        }
        if before["createdAt"].is_null() && !after["createdAt"].is_null() {
            self.note(format!("created {kind}"));
        }
        let announced = |status: &Value, field: &str| status["finalBackup"][field].clone();
        if announced(before, "attempt") != announced(after, "attempt") {
            self.note(format!("announce {kind}"));
        }
        match (announced(before, "checksum").is_null(), announced(after, "checksum").is_null()) {
            (true, false) => self.note(format!("record {kind}")),
            (false, true) => self.note(format!("forget {kind}")),
            _ => {}
        }
        let ready = |status: &Value| {
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
            ready.and_then(|ready| ready["status"].as_str().map(str::to_owned))
        };
        if let Some(now) = ready(after).filter(|now| Some(now) != ready(before).as_ref()) {
            self.note(format!("ready {kind} {now}"));
        }
    }

    /// Notes a request to the store, such as `PUT /bucket/key`.
    pub(super) fn asked_store(&self, line: &str) {
        let (method, path) = line.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let effect = match (method, path.ends_with("/manifest.json"), path.contains("/seg-")) {
            ("PUT", true, _) => "store manifest",
            ("GET", true, _) => "store look",
            ("PUT" | "POST", _, true) => "store first-byte",
            ("GET", _, true) => "store read",
            ("DELETE", ..) => "store delete",
            _ => return,
        };
        self.note(effect);
    }
}

/// The memory driver, whose effects are noted.
pub(super) struct Noting {
    pub(super) inner: MemoryDriver,
    pub(super) effects: Effects,
}

/// Its session, whose end is noted.
pub(super) struct NotingSession {
    inner: MemorySession,
    _end: End,
}

/// Notes that a session has ended, closed or not.
struct End(Effects);

impl Drop for End {
    fn drop(&mut self) {
        self.0.note("server leave");
    }
}

impl Driver for Noting {
    const TYPE: &'static str = MemoryDriver::TYPE;
    const DEFAULT_PORT: u16 = MemoryDriver::DEFAULT_PORT;
    const MAX_USERNAME: usize = MemoryDriver::MAX_USERNAME;

    type Parameters = MemoryParameters;
    type Session = NotingSession;

    fn binding(&self, server: &Server, database: &Target, login: &Login) -> BTreeMap<String, String> {
        self.inner.binding(server, database, login)
    }

    async fn connect(&self, server: &Server, database: &Target) -> Result<NotingSession> {
        self.effects.note("server connect");
        let inner = self.inner.connect(server, database).await?;
        Ok(NotingSession { inner, _end: End(self.effects.clone()) })
    }

    async fn close(&self, session: NotingSession) -> Result<()> {
        self.inner.close(session.inner).await
    }

    async fn observe(
        &self,
        session: &mut NotingSession,
        database: &Target,
        desired: Option<&Desired<MemoryParameters>>,
    ) -> Result<Presence> {
        self.inner.observe(&mut session.inner, database, desired).await
    }

    async fn ensure_present(
        &self,
        session: &mut NotingSession,
        database: &Target,
        desired: &Desired<MemoryParameters>,
    ) -> Result<()> {
        self.effects.note("server make");
        self.inner.ensure_present(&mut session.inner, database, desired).await
    }

    async fn ensure_absent(&self, session: &mut NotingSession, database: &Target) -> Result<()> {
        self.effects.note("server drop");
        self.inner.ensure_absent(&mut session.inner, database).await
    }

    async fn lock_out(&self, session: &mut NotingSession, database: &Target) -> Result<()> {
        self.effects.note("server lock-out");
        self.inner.lock_out(&mut session.inner, database).await
    }

    async fn dump<S: Sink>(
        &self,
        session: &mut NotingSession,
        database: &Target,
        sink: &S,
    ) -> Result<Description> {
        self.effects.note("server dump");
        self.inner.dump(&mut session.inner, database, sink).await
    }

    async fn check_load(
        &self,
        session: &mut NotingSession,
        database: &Target,
        description: &Description,
    ) -> Result<Occupancy> {
        self.inner.check_load(&mut session.inner, database, description).await
    }

    async fn load<S: Source>(
        &self,
        session: &mut NotingSession,
        database: &Target,
        source: &S,
    ) -> Result<()> {
        self.effects.note("server load");
        self.inner.load(&mut session.inner, database, source).await
    }
}

/// What every line of the protocol may be. `PHASE` is one of its kind.
pub(super) fn is_known(line: &str) -> bool {
    let words: Vec<_> = line.split(' ').collect();
    let kinds = ["database", "backup", "restore", "secret"];
    let phases = DatabasePhase::ALL.map(|phase| format!("{phase:?}"));
    let others = ["Starting", "BackingUp", "Restoring", "Completed"];
    let is_phase = |phase: &str| phases.iter().any(|known| known == phase) || others.contains(&phase);
    match words[..] {
        ["read" | "make" | "guard" | "free", kind] | ["ready", kind, "True" | "False"] => {
            kinds.contains(&kind)
        }
        ["write", "secret"]
        | ["claim" | "unclaim" | "created" | "announce" | "record" | "forget", "database"] => true,
        ["write", kind, phase] => kinds.contains(&kind) && is_phase(phase),
        ["server", effect] => {
            ["connect", "lock-out", "make", "drop", "dump", "load", "leave"].contains(&effect)
        }
        ["store", effect] => ["look", "first-byte", "manifest", "read", "delete"].contains(&effect),
        _ => false,
    }
}
