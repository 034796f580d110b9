//! The Lease: of several replicas one acts at once, and the others late. It saves needless requests; nothing rests on it,
//! for what two replicas launch is the same Job.
//!
//! It is our own, because a Lease that is watched changes hands the moment that it is given back.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::error::chain;

/// Name of the Lease.
pub const LEASE: &str = "db-operator";

/// For how long it is held without renewal.
pub const DURATION: Duration = Duration::from_secs(15);

/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(5);

/// How long a request about it may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The wait after a request that failed.
const RETRY: Duration = Duration::from_secs(1);

/// For how long it is watched at once, in seconds.
const OPEN: u32 = 60;

/// What this process knows of the Lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Whether this process holds it.
    pub by_us: bool,
    /// Grows each time that another process has shown that it holds it.
    pub renewals: u64,
}

/// The Lease as it was last seen.
#[derive(Clone, Debug)]
struct Seen {
    version: String,
    holder: String,
    renewed: Option<Timestamp>,
    transitions: i32,
    /// When this process saw that it was renewed. Another's clock is not asked.
    at: Instant,
}

/// What is to be done about it.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Make it.
    Create,
    /// Take it, or renew it.
    Write,
    /// Look again at that time, if nothing changes.
    Wait(Instant),
}

fn next(seen: Option<&Seen>, identity: &str, written: Option<Instant>, now: Instant) -> Step {
    let Some(seen) = seen else { return Step::Create };
    if seen.holder == identity {
        // It may be that of a process that had our name.
        return match written {
            Some(written) if now < written + RENEWAL => Step::Wait(written + RENEWAL),
            Some(_) | None => Step::Write,
        };
    }
    let until = seen.at + DURATION;
    if seen.holder.is_empty() || until <= now { Step::Write } else { Step::Wait(until) }
}

/// Says by `held` who holds the Lease, until `stop`. Then it gives the Lease back.
pub async fn hold(
    client: Client,
    namespace: &str,
    identity: &str,
    held: watch::Sender<Held>,
    stop: impl Future<Output = ()>,
) {
    let mut keeper = Keeper {
        api: Api::namespaced(client, namespace),
        identity: identity.to_owned(),
        seen: None,
        written: None,
        held,
    };
    let keep = keeper.keep();
    tokio::select! {
        () = keep => {}
        () = stop => {}
    }
    keeper.give_back().await;
}

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Lease>>> + Send>>;

struct Keeper {
    api: Api<Lease>,
    identity: String,
    seen: Option<Seen>,
    /// When this process last wrote it.
    written: Option<Instant>,
    held: watch::Sender<Held>,
}

impl Keeper {
    async fn keep(&mut self) {
        loop {
            if let Err(error) = self.follow().await {
                debug!(error = chain(&error), "the Lease cannot be followed; trying again");
                self.judge();
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Reads it, and acts on what its watch brings until that ends.
    async fn follow(&mut self) -> kube::Result<()> {
        let read = limited(self.api.get_opt(LEASE)).await?;
        match read {
            Some(lease) => self.saw(lease),
            None => self.seen = None,
        }
        let mut events: Option<Events> = None;
        loop {
            self.judge();
            let wake = match next(self.seen.as_ref(), &self.identity, self.written, Instant::now()) {
                Step::Create => {
                    self.create().await?;
                    continue;
                }
                Step::Write => {
                    self.write().await?;
                    continue;
                }
                Step::Wait(until) => until,
            };
            let stream = match &mut events {
                Some(stream) => stream,
                None => events.insert(self.watch().await?),
            };
            tokio::select! {
                () = sleep_until(wake) => {}
                event = stream.next() => match event {
                    Some(Ok(WatchEvent::Added(lease) | WatchEvent::Modified(lease))) => self.saw(lease),
                    Some(Ok(WatchEvent::Deleted(_))) => self.seen = None,
                    Some(Ok(WatchEvent::Bookmark(_))) => {}
                    // Its time is over, or what was known is too old.
                    None | Some(Ok(WatchEvent::Error(_))) => return Ok(()),
                    Some(Err(error)) => return Err(error),
                }
            }
        }
    }

    async fn watch(&self) -> kube::Result<Events> {
        let version = self.seen.as_ref().map(|seen| seen.version.as_str()).unwrap_or_default();
        let only = WatchParams::default().fields(&format!("metadata.name={LEASE}")).timeout(OPEN);
        Ok(Box::pin(limited(self.api.watch(&only, version)).await?))
    }

    fn saw(&mut self, lease: Lease) {
        let spec = lease.spec.unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let renewed = spec.renew_time.map(|time| time.0);
        let is_news = self.seen.as_ref().is_none_or(|seen| seen.holder != holder || seen.renewed != renewed);
        // Of the first look nobody knows how old it is.
        let is_renewed = is_news && self.seen.is_some() && !holder.is_empty() && holder != self.identity;
        let before = self.seen.as_ref().filter(|_| !is_news).map(|seen| seen.at);
        self.seen = Some(Seen {
            version: lease.metadata.resource_version.unwrap_or_default(),
            holder,
            renewed,
            transitions: spec.lease_transitions.unwrap_or_default(),
            at: before.unwrap_or_else(Instant::now),
        });
        if is_renewed {
            self.held.send_modify(|held| held.renewals += 1);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the Lease is the operator's own")]
    async fn create(&mut self) -> kube::Result<()> {
        let lease: Lease = serde_json::from_value(json!({
            "metadata": {"name": LEASE}, "spec": self.spec(&self.identity, 0),
        }))
        .map_err(kube::Error::SerdeError)?;
        let started = Instant::now();
        match limited(self.api.create(&PostParams::default(), &lease)).await {
            Ok(lease) => self.wrote(lease, started),
            Err(kube::Error::Api(status)) if status.is_already_exists() => self.reread().await?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes or renews it, unless somebody else was faster.
    async fn write(&mut self) -> kube::Result<()> {
        let identity = self.identity.clone();
        let started = Instant::now();
        match limited(self.patch(&identity)).await {
            Ok(lease) => self.wrote(lease, started),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                self.reread().await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn reread(&mut self) -> kube::Result<()> {
        match limited(self.api.get_opt(LEASE)).await? {
            Some(lease) => self.saw(lease),
            None => self.seen = None,
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "the Lease is the operator's own")]
    async fn patch(&self, holder: &str) -> kube::Result<Lease> {
        let version = self.seen.as_ref().map(|seen| seen.version.as_str());
        let transitions = self.seen.as_ref().map_or(0, |seen| {
            if seen.holder == holder || holder.is_empty() { seen.transitions } else { seen.transitions + 1 }
        });
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": self.spec(holder, transitions)});
        self.api.patch(LEASE, &PatchParams::default(), &Patch::Merge(&patch)).await
    }

    fn spec(&self, holder: &str, transitions: i32) -> serde_json::Value {
        let now = MicroTime(Timestamp::now());
        let acquired = self.seen.as_ref().is_none_or(|seen| seen.holder != holder).then_some(&now);
        let mut spec = json!({
            "holderIdentity": holder, "leaseDurationSeconds": DURATION.as_secs(), "renewTime": now,
            "leaseTransitions": transitions,
        });
        if let (Some(acquired), Some(fields)) = (acquired, spec.as_object_mut()) {
            fields.insert("acquireTime".to_owned(), json!(acquired));
        }
        spec
    }

    fn wrote(&mut self, lease: Lease, started: Instant) {
        self.saw(lease);
        // From before the request: the API server may have taken it then.
        self.written = Some(started);
    }

    /// Says whether it is ours.
    fn judge(&mut self) {
        let ours = self.seen.as_ref().is_some_and(|seen| seen.holder == self.identity);
        let by_us = ours && self.written.is_some_and(|written| written.elapsed() < DURATION);
        if !ours {
            self.written = None;
        }
        let identity = &self.identity;
        self.held.send_if_modified(|held| {
            let changed = held.by_us != by_us;
            if changed && by_us {
                info!(identity, "holds the Lease: launching Jobs");
            } else if changed {
                warn!(identity, "lost the Lease: launching late");
            }
            held.by_us = by_us;
            changed
        });
    }

    async fn give_back(&mut self) {
        let held_it = self.held.borrow().by_us;
        self.held.send_modify(|held| held.by_us = false);
        if !held_it {
            return;
        }
        match limited(self.patch("")).await {
            Ok(_) => info!(identity = self.identity, "gave the Lease back"),
            Err(error) => warn!(error = chain(&error), "cannot give the Lease back: it expires"),
        }
    }
}

/// An answer in time, or none.
async fn limited<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    timeout(PATIENCE, request).await.unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(holder: &str, at: Instant) -> Seen {
        Seen { version: "1".into(), holder: holder.into(), renewed: None, transitions: 0, at }
    }

    #[test]
    fn it_is_taken_when_it_is_free_expired_or_our_own() {
        let now = Instant::now();
        assert_eq!(next(None, "me", None, now), Step::Create);
        assert_eq!(next(Some(&seen("", now)), "me", None, now), Step::Write);
        assert_eq!(next(Some(&seen("me", now)), "me", None, now), Step::Write, "of a process before us");
        assert_eq!(next(Some(&seen("other", now)), "me", None, now), Step::Wait(now + DURATION));
        assert_eq!(next(Some(&seen("other", now)), "me", None, now + DURATION), Step::Write);
    }

    #[test]
    fn it_is_renewed_in_time() {
        let now = Instant::now();
        let own = seen("me", now);
        assert_eq!(next(Some(&own), "me", Some(now), now), Step::Wait(now + RENEWAL));
        assert_eq!(next(Some(&own), "me", Some(now), now + RENEWAL), Step::Write);
    }
}
