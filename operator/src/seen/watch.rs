//! The watch of one kind: every object once, then every change, for as long as the process lives.
//!
//! It is our own, on kube's client, because kube's holds whole objects, a page of them at a time, fails for all when one
//! cannot be decoded, and does not tell that it is alive. Here one object at a time is in memory, as text, and what is
//! passed on is slim.

use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncBufReadExt, AsyncReadExt};
use http::Request;
use kube::Client;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::decode::{Broken, Object, Undecodable, object};
use super::wire::{Line, Page, Status, Version, Versioned};
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
/// The longest such wait.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// Objects a page, where the API server does not stream lists.
const PAGE: u32 = 25;

/// A line longer than this keeps no room for the next.
const USUAL_LINE: usize = 64 << 10;

/// What a watch has brought.
#[derive(Debug)]
pub enum Change {
    /// A list of all begins: what is not in it does not exist any more when it is [`Complete`](Change::Complete).
    Begin(Kind),
    /// This object is in the list.
    Listed(Object),
    /// The list is whole.
    Complete(Kind),
    /// This object is new or has changed.
    Applied(Object),
    /// This object is gone.
    Gone(Object),
    /// This object is there and cannot be decoded.
    Broken(Broken),
    /// This object could not be decoded and is gone.
    BrokenGone(Broken),
}

/// What is watched, and where.
#[derive(Clone, Debug)]
pub struct Source {
    pub kind: Kind,
    /// The path of its list, without query.
    pub path: &'static str,
    /// A query that narrows it, such as `labelSelector=…`; may be empty.
    pub query: &'static str,
}

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// What was known is too old to go on from.
    #[error("what was known is too old")]
    TooOld,
    /// The API server does not stream lists.
    #[error("the API server does not stream lists")]
    NoStream,
    /// The API server refused or failed.
    #[error("the API server answers {code}: {message}")]
    Refused { code: u16, message: String },
    /// It was not reached, or the connection broke.
    #[error("the connection failed")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody listens any more.
    #[error("nobody listens")]
    NobodyListens,
}

/// Watches `source`, and passes on what it brings, until nobody listens.
pub async fn watch(client: Client, source: Source, changes: Sender<Change>, pulse: Arc<Pulse>) {
    let mut watch = Watch { client, source, changes, pulse, version: None, streams: true };
    let mut failures = 0;
    loop {
        let heard_before = watch.pulse.heard(watch.source.kind);
        let Err(ended) = watch.run().await else {
            // The time was over that was asked for.
            failures = 0;
            continue;
        };
        // Whoever has brought something is not failing from the start.
        if watch.pulse.heard(watch.source.kind) != heard_before {
            failures = 0;
        }
        match ended {
            Ended::NobodyListens => return,
            Ended::TooOld => watch.version = None,
            Ended::NoStream => watch.streams = false,
            Ended::Refused { .. } | Ended::Broken(_) => {
                let kind = watch.source.kind.name();
                if failures == 0 {
                    warn!(error = chain(&ended), kind, "a watch broke; watching again");
                } else {
                    debug!(error = chain(&ended), kind, failures, "a watch broke again");
                }
                let wait = FIRST_BACKOFF.saturating_mul(1 << failures.min(10)).min(LONGEST_BACKOFF);
                sleep(wait).await;
                failures += 1;
            }
        }
    }
}

struct Watch {
    client: Client,
    source: Source,
    changes: Sender<Change>,
    pulse: Arc<Pulse>,
    /// From where to go on.
    version: Option<String>,
    /// Whether the API server streams lists.
    streams: bool,
}

impl Watch {
    /// Lists, unless it goes on from before, and follows until the connection ends.
    async fn run(&mut self) -> Result<(), Ended> {
        if self.version.is_none() && !self.streams {
            self.list().await?;
        }
        let open = OPEN + STAGGER * self.source.kind as u64;
        let from = match &self.version {
            Some(version) => format!("resourceVersion={version}"),
            None => "sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned(),
        };
        let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={open}&{from}");
        let patience = Duration::from_secs(open) + MARGIN;
        let mut listing = self.version.is_none();
        let request = self.request(&query)?;
        let mut lines = match timeout(MARGIN, self.client.request_stream(request)).await {
            Ok(Ok(lines)) => Box::pin(lines),
            Ok(Err(error)) => return Err(self.refusal(error, listing)),
            Err(silence) => return Err(Ended::Broken(silence.into())),
        };
        self.pulse.beat(self.source.kind);
        if listing {
            self.tell(Change::Begin(self.source.kind)).await?;
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            line.shrink_to(USUAL_LINE);
            match timeout(patience, lines.read_until(b'\n', &mut line)).await {
                Ok(Ok(0)) if listing => return Err(Ended::Broken("the list broke off".into())),
                Ok(Ok(0)) => return Ok(()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(Ended::Broken(error.into())),
                Err(silence) => return Err(Ended::Broken(silence.into())),
            }
            self.pulse.beat(self.source.kind);
            let Ok(read) = serde_json::from_slice::<Line<'_>>(&line) else {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                // A line that broke off with its connection.
                return Err(Ended::Broken("a line is no event".into()));
            };
            self.take(&read, &mut listing).await?;
        }
    }

    async fn take(&mut self, line: &Line<'_>, listing: &mut bool) -> Result<(), Ended> {
        let kind = self.source.kind;
        let raw = line.object;
        match line.kind {
            "ADDED" | "MODIFIED" if *listing => self.tell(self.listed(raw)).await?,
            "ADDED" | "MODIFIED" => self.tell(self.applied(raw)).await?,
            "DELETED" => self.tell(self.gone(raw)).await?,
            "BOOKMARK" => {
                let marks: Versioned = serde_json::from_str(raw.get()).unwrap_or_default();
                if *listing && marks.metadata.annotations.initial_events_end.is_some() {
                    *listing = false;
                    self.tell(Some(Change::Complete(kind))).await?;
                }
            }
            _ => {
                let Status { code, message } = serde_json::from_str(raw.get()).unwrap_or_default();
                return Err(refused(code, message));
            }
        }
        if !*listing {
            let version: Versioned = serde_json::from_str(raw.get()).unwrap_or_default();
            if !version.metadata.number.is_empty() {
                self.version = Some(version.metadata.number);
            }
        }
        Ok(())
    }

    /// Lists by pages, where lists do not stream.
    async fn list(&mut self) -> Result<(), Ended> {
        let kind = self.source.kind;
        self.tell(Change::Begin(kind)).await?;
        let mut token = String::new();
        loop {
            let request = self.request(&format!("limit={PAGE}{token}"))?;
            let answer = async {
                let stream =
                    self.client.request_stream(request).await.map_err(|error| self.refusal(error, false))?;
                let (mut stream, mut page) = (Box::pin(stream), Vec::new());
                stream.read_to_end(&mut page).await.map_err(|error| Ended::Broken(error.into()))?;
                Ok(page)
            };
            let page = timeout(MARGIN, answer).await.map_err(|silence| Ended::Broken(silence.into()))??;
            self.pulse.beat(kind);
            let page: Page<'_> =
                serde_json::from_slice(&page).map_err(|_| Ended::Broken("a page is no list".into()))?;
            for item in page.items {
                self.tell(self.listed(item)).await?;
            }
            let Version { number, continue_, .. } = page.metadata;
            let Some(next) = continue_.filter(|next| !next.is_empty()) else {
                self.version = Some(number);
                return self.tell(Some(Change::Complete(kind))).await;
            };
            token = format!("&continue={next}");
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

    fn refusal(&self, error: kube::Error, listing: bool) -> Ended {
        match error {
            // It refuses the parameter that asks for a stream.
            kube::Error::Api(status) if listing && self.streams && matches!(status.code, 400 | 422) => {
                Ended::NoStream
            }
            kube::Error::Api(status) => refused(status.code, status.message.clone()),
            error => Ended::Broken(error.into()),
        }
    }
}

fn refused(code: u16, message: String) -> Ended {
    match code {
        410 => Ended::TooOld,
        code => Ended::Refused { code, message },
    }
}
