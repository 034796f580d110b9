//! The watch of one kind: every object once, then every change, for as long as the process lives.
//!
//! It is our own, on kube's client, because kube's holds whole objects, a page of them at a time, fails for all when one
//! cannot be decoded, and does not tell that it is alive. Here one object at a time is in memory, as text, and what is
//! passed on is slim.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::AsyncReadExt;
use http::Request;
use kube::Client;
use serde_json::value::RawValue;
use tokio::select;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use super::change::Change;
use super::decode::{Broken, Object, Undecodable, object};
use super::ended::{Ended, refusal, refused_by};
use super::lines::Lines;
use super::overlap::Overlap;
use super::wire::{Line, Page, Version, Versioned};
use crate::clock::doubled;
use crate::error::chain;
use crate::kind::Kind;
use crate::pulse::Pulse;

/// For how long the API server is asked to keep a watch open, in seconds, at least. It is opened again then, so that a
/// connection that has died without a word is noticed in little more.
const OPEN: u64 = 60;

/// How much longer each kind's is than the one before, in seconds, so that they are not all opened again at once.
const STAGGER: u64 = 5;

/// How much longer than asked for a silent connection is trusted.
const MARGIN: Duration = Duration::from_secs(10);

/// The wait before a watch that failed is opened again. It doubles with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// The longest such wait after a connection that broke: whoever waits for the operator waits for this.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// The longest such wait after an answer that refuses: the API server has too much to do, or gives no right.
const LONGEST_AFTER_REFUSAL: Duration = Duration::from_secs(15);

/// A watch that has held for so long has not failed from the start.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

/// Objects a page, where the API server does not stream lists.
const PAGE: u32 = 25;

/// What is watched, and where.
#[derive(Clone, Debug)]
pub struct Source {
    pub kind: Kind,
    /// The path of its list, without query.
    pub path: &'static str,
    /// A query that narrows it, such as `labelSelector=…`; may be empty.
    pub query: &'static str,
}

/// Watches `source`, and passes on what it brings, until nobody listens.
pub async fn watch(client: Client, source: Source, changes: Sender<Change>, pulse: Arc<Pulse>) {
    let overlap = Overlap::default();
    let mut watch = Watch { client, source, changes, pulse, overlap, version: None, streams: true };
    let mut failures = 0;
    loop {
        let (begun, resumes) = (Instant::now(), watch.version.is_some());
        let ended = watch.run().await;
        let held = begun.elapsed() >= LONG_ENOUGH;
        let longest = longest_backoff(&ended);
        if held {
            failures = 0;
        }
        match ended {
            // The time was over that was asked for.
            Ok(()) if held => continue,
            Err(Ended::NobodyListens) => return,
            Ok(()) => {}
            Err(Ended::TooOld) => {
                watch.version = None;
                // Nothing is wrong with the API server, unless it says so of what it has just listed.
                if resumes {
                    continue;
                }
            }
            Err(Ended::NoStream) => {
                watch.streams = false;
                continue;
            }
            Err(ended @ (Ended::Refused { .. } | Ended::Broken(_))) => {
                let kind = watch.source.kind.name();
                if failures == 0 {
                    warn!(error = chain(&ended), kind, "a watch broke; watching again");
                } else {
                    debug!(error = chain(&ended), kind, failures, "a watch broke again");
                }
            }
        }
        // The first time at once: most connections that break do so because the API server is restarted.
        if failures > 0 {
            sleep(doubled(FIRST_BACKOFF, failures, longest)).await;
        }
        failures += 1;
    }
}

/// How long to wait at most after a watch that ended so.
fn longest_backoff(ended: &Result<(), Ended>) -> Duration {
    match ended {
        Err(Ended::Refused { .. }) => LONGEST_AFTER_REFUSAL,
        Ok(()) | Err(Ended::TooOld | Ended::NoStream | Ended::Broken(_) | Ended::NobodyListens) => {
            LONGEST_BACKOFF
        }
    }
}

struct Watch {
    client: Client,
    source: Source,
    changes: Sender<Change>,
    pulse: Arc<Pulse>,
    overlap: Overlap,
    /// From where to go on; none if all is to be listed first.
    version: Option<String>,
    /// Whether the API server streams lists.
    streams: bool,
}

impl Watch {
    /// Follows until the connection ends, and lists meanwhile if that is to be done.
    async fn run(&mut self) -> Result<(), Ended> {
        if self.version.is_none() && !self.streams {
            self.list().await?;
        }
        if let Some(version) = self.version.clone() {
            let told = self.open(&format!("resourceVersion={version}")).await?;
            return self.follow(told, None).await;
        }
        // What is told must not wait until all is listed.
        let now = self.page("limit=1").await?.0;
        let told = self.open(&format!("resourceVersion={}", now.text)).await?;
        let listed = self.open("sendInitialEvents=true&resourceVersionMatch=NotOlderThan").await;
        let listed = listed.map_err(Ended::of_a_list)?;
        self.overlap.begin(now.number());
        self.tell(Some(Change::Begin(self.source.kind))).await?;
        self.follow(told, Some(listed)).await
    }

    /// Passes on what is told, and what is listed until all of it is.
    async fn follow(&mut self, mut told: Lines, mut listed: Option<Lines>) -> Result<(), Ended> {
        let kind = self.source.kind;
        loop {
            let is_listing = listed.is_some();
            let next_listed = async {
                match &mut listed {
                    Some(lines) => lines.next().await,
                    None => pending().await,
                }
            };
            select! {
                line = told.next() => {
                    self.pulse.beat(kind);
                    match line.map_err(|error| Ended::Broken(error.into()))? {
                        // If all was not listed, it begins again.
                        None => return Ok(()),
                        Some(line) => self.told(line, is_listing).await?,
                    }
                }
                line = next_listed => {
                    self.pulse.beat(kind);
                    let line = line.map_err(|error| Ended::Broken(error.into()))?;
                    let line = line.ok_or_else(|| Ended::Broken("the list broke off".into()))?;
                    if let Some(version) = self.listed_line(line).await? {
                        self.version = Some(version);
                        listed = None;
                        self.tell(Some(Change::Complete(kind))).await?;
                    }
                }
            }
        }
    }

    async fn told(&mut self, line: &[u8], is_listing: bool) -> Result<(), Ended> {
        let Some(Line { kind, object: raw }) = read(line)? else { return Ok(()) };
        let change = match kind {
            "ADDED" | "MODIFIED" => self.applied(raw),
            "DELETED" => self.gone(raw),
            "BOOKMARK" => None,
            _ => return Err(refused_by(raw)),
        };
        let Versioned { metadata: version } = serde_json::from_str(raw.get()).unwrap_or_default();
        let is_news = kind != "BOOKMARK"
            && self.overlap.admits_told(&version.uid, version.number(), kind == "DELETED", is_listing);
        if !is_listing && !version.text.is_empty() {
            self.version = Some(version.text);
        }
        self.tell(change.filter(|_| is_news)).await
    }

    /// Answers the version of the list, once all of it is read.
    async fn listed_line(&mut self, line: &[u8]) -> Result<Option<String>, Ended> {
        let Some(Line { kind, object: raw }) = read(line)? else { return Ok(None) };
        let Versioned { metadata: version } = serde_json::from_str(raw.get()).unwrap_or_default();
        match kind {
            "ADDED" | "MODIFIED" => {
                if self.overlap.admits_listed(&version.uid, version.number()) {
                    self.tell(self.listed(raw)).await?;
                }
                Ok(None)
            }
            "BOOKMARK" => Ok(version.annotations.initial_events_end.map(|_| version.text)),
            "DELETED" => Ok(None),
            _ => Err(refused_by(raw)),
        }
    }

    /// Lists by pages, where lists do not stream. What is told waits until then.
    async fn list(&mut self) -> Result<(), Ended> {
        let kind = self.source.kind;
        self.tell(Some(Change::Begin(kind))).await?;
        let mut token = String::new();
        loop {
            let (Version { text, continue_, .. }, page) = self.page(&format!("limit={PAGE}{token}")).await?;
            for item in items(&page)? {
                self.tell(self.listed(item)).await?;
            }
            let Some(next) = continue_.filter(|next| !next.is_empty()) else {
                self.overlap.begin(u64::MAX);
                self.version = Some(text);
                return self.tell(Some(Change::Complete(kind))).await;
            };
            token = format!("&continue={next}");
        }
    }

    /// One page of a list, and its version.
    async fn page(&self, query: &str) -> Result<(Version, Vec<u8>), Ended> {
        let request = self.request(query)?;
        let answer = async {
            let stream = self.client.request_stream(request).await.map_err(refusal)?;
            let (mut stream, mut page) = (Box::pin(stream), Vec::new());
            stream.read_to_end(&mut page).await.map_err(|error| Ended::Broken(error.into()))?;
            Ok(page)
        };
        let page = timeout(MARGIN, answer).await.map_err(|silence| Ended::Broken(silence.into()))??;
        self.pulse.beat(self.source.kind);
        let Page { metadata, .. } = parsed(&page)?;
        Ok((metadata, page))
    }

    /// Opens a watch.
    async fn open(&self, from: &str) -> Result<Lines, Ended> {
        let open = OPEN + STAGGER * self.source.kind as u64;
        let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={open}&{from}");
        let request = self.request(&query)?;
        match timeout(MARGIN, self.client.request_stream(request)).await {
            Ok(Ok(answer)) => {
                self.pulse.beat(self.source.kind);
                Ok(Lines::of(answer, Duration::from_secs(open) + MARGIN))
            }
            Ok(Err(error)) => Err(refusal(error)),
            Err(silence) => Err(Ended::Broken(silence.into())),
        }
    }

    fn listed(&self, raw: &RawValue) -> Option<Change> {
        self.decoded(raw, Change::Listed, Change::Broken)
    }

    fn applied(&self, raw: &RawValue) -> Option<Change> {
        self.decoded(raw, Change::Applied, Change::Broken)
    }

    fn gone(&self, raw: &RawValue) -> Option<Change> {
        self.decoded(raw, Change::Gone, Change::BrokenGone)
    }

    fn decoded(
        &self,
        raw: &RawValue,
        whole: impl FnOnce(Object) -> Change,
        broken: impl FnOnce(Broken) -> Change,
    ) -> Option<Change> {
        match object(self.source.kind, raw) {
            Ok(object) => Some(whole(object)),
            Err(Undecodable::Broken(what)) => Some(broken(what)),
            Err(Undecodable::Strange) => None,
        }
    }

    /// Waits while whoever listens has enough to do.
    async fn tell(&self, change: impl Into<Option<Change>>) -> Result<(), Ended> {
        match change.into() {
            Some(change) => self.changes.send(change).await.map_err(|_| Ended::NobodyListens),
            None => Ok(()),
        }
    }

    fn request(&self, query: &str) -> Result<Request<Vec<u8>>, Ended> {
        let Source { path, query: narrow, .. } = &self.source;
        let and = if narrow.is_empty() { "" } else { "&" };
        // A stream that is compressed as a whole would be held back until a block is full.
        let request = Request::get(format!("{path}?{narrow}{and}{query}"))
            .header(http::header::ACCEPT_ENCODING, "identity")
            .body(Vec::new());
        request.map_err(|error| Ended::Broken(error.into()))
    }
}

/// The event of a line; none if it is empty.
fn read(line: &[u8]) -> Result<Option<Line<'_>>, Ended> {
    match serde_json::from_slice(line) {
        Ok(line) => Ok(Some(line)),
        Err(_) if line.iter().all(u8::is_ascii_whitespace) => Ok(None),
        // It broke off with its connection.
        Err(_) => Err(Ended::Broken("a line is no event".into())),
    }
}

fn parsed(page: &[u8]) -> Result<Page<'_>, Ended> {
    serde_json::from_slice(page).map_err(|_| Ended::Broken("a page is no list".into()))
}

fn items(page: &[u8]) -> Result<Vec<&RawValue>, Ended> {
    Ok(parsed(page)?.items)
}
