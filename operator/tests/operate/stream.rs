//! What an answer consists of: texts, and the lines of a watch.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::faults::WatchFault;
use crate::server::Server;
use crate::store::{Object, Resource};

type Frames = Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>>;

/// The body of an answer.
pub(crate) type Body = StreamBody<Frames>;

/// A body that is all there.
pub(crate) fn whole(parts: Vec<Bytes>) -> Body {
    body(stream::iter(parts).map(Ok))
}

/// The first half of a body, and the end of the connection.
pub(crate) fn half(parts: &[Bytes]) -> Body {
    let text = parts.concat();
    let first = Bytes::copy_from_slice(&text[..text.len() / 2]);
    body(stream::iter([Ok(first), Err(broken())]))
}

fn body(parts: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(Box::pin(parts.map(|part| part.map(Frame::data))))
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection ends")
}

/// How often a watch says that it is alive, if it does.
const BOOKMARKS: Duration = Duration::from_secs(20);

/// A watch that is open.
pub(crate) struct Watch {
    pub(crate) server: Arc<Server>,
    pub(crate) resource: Resource,
    pub(crate) from: u64,
    /// What is sent first.
    pub(crate) first: Vec<Bytes>,
    pub(crate) until: Instant,
    pub(crate) fault: WatchFault,
    pub(crate) opened: Instant,
    pub(crate) news: watch::Receiver<u64>,
}

/// A line of a watch.
pub(crate) fn line(what: &str, object: &Object) -> Vec<Bytes> {
    let mut parts = vec![Bytes::from(format!("{{\"type\":\"{what}\",\"object\":"))];
    parts.extend(object.text.iter().cloned());
    parts.push(Bytes::from_static(b"}\n"));
    parts
}

/// A line that only says how far it is.
pub(crate) fn bookmark(version: u64, ends_the_list: bool) -> Bytes {
    let annotations = if ends_the_list { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
    let metadata = json!({"resourceVersion": version.to_string(), "annotations": annotations});
    let line = json!({"type": "BOOKMARK", "object": {"metadata": metadata}});
    format!("{line}\n").into()
}

fn too_old() -> Bytes {
    let status =
        json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"});
    format!("{}\n", json!({"type": "ERROR", "object": status})).into()
}

impl Watch {
    pub(crate) fn body(self) -> Body {
        body(stream::unfold(Some(self), |watch| async move { watch?.next().await }).flat_map(stream::iter))
    }

    async fn next(mut self) -> Option<(Vec<io::Result<Bytes>>, Option<Self>)> {
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() {
            return Some((first.into_iter().map(Ok).collect(), Some(self)));
        }
        loop {
            let bookmark_at = Instant::now() + BOOKMARKS;
            let (ends_at, last) = match self.fault {
                WatchFault::Cut(after) => {
                    (self.opened + after, vec![Ok(Bytes::from_static(b"{\"type\":\"ADD")), Err(broken())])
                }
                WatchFault::TooOld(after) => (self.opened + after, vec![Ok(too_old())]),
                WatchFault::None | WatchFault::Deaf(_) | WatchFault::Late(_) => (self.until, vec![]),
            };
            if let WatchFault::Deaf(after) = self.fault
                && Instant::now() >= self.opened + after
            {
                std::future::pending::<()>().await;
            }
            if Instant::now() >= ends_at.min(self.until) {
                return if ends_at <= self.until { Some((last, None)) } else { None };
            }
            let told = self.server.told_since(self.resource, &mut self.from);
            match told {
                Err(()) => return Some((vec![Ok(too_old())], None)),
                Ok(parts) if !parts.is_empty() => {
                    if let WatchFault::Late(by) = self.fault {
                        tokio::time::sleep(by).await;
                    }
                    return Some((parts.into_iter().map(Ok).collect(), Some(self)));
                }
                Ok(_) => {}
            }
            tokio::select! {
                _ = self.news.changed() => {}
                () = sleep_until(ends_at.min(self.until)) => {}
                () = sleep_until(bookmark_at) => {
                    return Some((vec![Ok(bookmark(self.from, false))], Some(self)));
                }
            }
        }
    }
}
