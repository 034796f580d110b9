//! The few S3 requests that a backup needs, each repeated while its failure may pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use s3::command::Command;

use super::fault::Fault;
use super::lists::Objects;
use super::login::Login;
use super::manifest::LONGEST_MANIFEST;
use super::retry::{Failures, Patience};
use super::send::{Answer, content_length, send};
use super::target::StoreTarget;
use super::words::check_target;
use driver::error::{DriverError, ErrorKind, Result};

/// The longest answer of a request that brings no content.
pub(super) const LONGEST_WORD: usize = 64 << 10;

/// The longest page of a list.
pub(super) const LONGEST_PAGE: usize = 8 << 20;

pub(super) const CONTENT_TYPE: &str = "application/octet-stream";

/// What a conditional write found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The object is what was written.
    Ours,
    /// The object existed, and has this content.
    Other(Bytes),
}

/// A client of one bucket. Keys are whole: they begin with the target's folder.
#[derive(Clone, Debug)]
pub(super) struct Client {
    target: Arc<StoreTarget>,
    login: Arc<Login>,
    patience: Patience,
}

impl Client {
    /// A client of that target. It asks the store nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the target's words make no request, or lead elsewhere.
    pub(super) fn new(target: StoreTarget, patience: Patience) -> Result<Self> {
        check_target(&target)?;
        let login = Login::new(&target)?;
        Ok(Self { target: Arc::new(target), login: Arc::new(login), patience })
    }

    /// How long it waits.
    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// Where it stores.
    pub(super) fn target(&self) -> &StoreTarget {
        &self.target
    }

    /// The same, with that patience.
    pub(super) fn with_patience(&self, patience: Patience) -> Self {
        Self { patience, ..self.clone() }
    }

    /// The object's content, of at most `longest` bytes, or none if there is no such object.
    pub(super) async fn get(&self, key: &str, longest: usize) -> Result<Option<Bytes>> {
        let answer = self.ask(key, longest, || Command::GetObject).await;
        present(answer.map(|answer| answer.body)).map_err(|fault| self.explain(&fault, "read", key))
    }

    /// The `length` bytes from `start`, or what there is of them, and the object's whole length. None if
    /// there is no such object, or none of these bytes.
    pub(super) async fn get_range(&self, key: &str, start: u64, length: u64) -> Result<Option<(Bytes, u64)>> {
        let end = Some((start + length).saturating_sub(1));
        let longest = usize::try_from(length).unwrap_or(usize::MAX);
        let answer = self.ask(key, longest, || Command::GetObjectRange { start, end }).await;
        let answer = match answer {
            Err(fault) if fault.status == Some(416) => return Ok(None),
            // A store that minds no range sends all there is.
            Err(fault) if fault.is_too_long() => Err(Fault::unfit("it ignores ranges")),
            Ok(answer) if answer.status == 200 && start > 0 => Err(Fault::unfit("it ignores ranges")),
            answer => answer,
        };
        let answer = present(answer).map_err(|fault| self.explain(&fault, "read", key))?;
        Ok(answer.map(|Answer { headers, body, .. }| {
            let range = headers.get("content-range").and_then(|range| range.to_str().ok());
            let whole = range.and_then(|range| range.rsplit_once('/')?.1.parse().ok());
            let whole = whole.unwrap_or_else(|| start + body.len() as u64);
            (body, whole)
        }))
    }

    /// The object's length, or none if there is no such object.
    pub(super) async fn head(&self, key: &str) -> Result<Option<u64>> {
        let answer = self.ask(key, LONGEST_WORD, || Command::HeadObject).await;
        let answer = present(answer).map_err(|fault| self.explain(&fault, "look at", key))?;
        answer.map(|answer| content_length(&answer.headers)).map_or(Ok(None), |length| {
            length.map(Some).ok_or_else(|| {
                let message = format!("the store does not say how long {key:?} is: use a store that does");
                DriverError::new(ErrorKind::StorageUnreachable, message)
            })
        })
    }

    /// Writes the object.
    pub(super) async fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        let answer = self.ask(key, LONGEST_WORD, || put_command(content, HeaderMap::new())).await;
        answer.map(drop).map_err(|fault| self.explain(&fault, "write", key))
    }

    /// Writes the object if there is none, and reads back what is there.
    ///
    /// A store that does not know the condition may let the last of two writers win; both find the same.
    pub(super) async fn put_if_absent(&self, key: &str, content: &[u8]) -> Result<Written> {
        let condition =
            HeaderMap::from_iter([(HeaderName::from_static("if-none-match"), HeaderValue::from_static("*"))]);
        let answer = self.ask(key, LONGEST_WORD, || put_command(content, condition.clone())).await;
        match answer {
            Ok(_) => {}
            Err(fault) if fault.status == Some(412) => {}
            Err(fault)
                if fault.status == Some(501)
                    || (fault.status == Some(400) && fault.code == "NotImplemented") =>
            {
                if self.head(key).await?.is_none() {
                    self.put(key, content).await?;
                }
            }
            Err(fault) => return Err(self.explain(&fault, "write", key)),
        }
        match self.get(key, LONGEST_MANIFEST).await? {
            Some(found) if found == content => Ok(Written::Ours),
            Some(found) => Ok(Written::Other(found)),
            None => Err(DriverError::new(
                ErrorKind::StorageUnreachable,
                format!(
                    "{key:?} was written to {:?} and is not there: the next run writes it again",
                    self.target.bucket
                ),
            )),
        }
    }

    /// The keys and lengths of all objects whose keys begin with `prefix`.
    pub(super) async fn list(&self, prefix: &str) -> Result<BTreeMap<String, u64>> {
        let mut objects = Objects::default();
        loop {
            let answer = self.ask("/", LONGEST_PAGE, || Command::ListObjectsV2 {
                prefix: prefix.to_owned(),
                delimiter: None,
                continuation_token: objects.token.clone(),
                start_after: None,
                max_keys: None,
            });
            let answer = answer.await;
            let more = answer.and_then(|answer| objects.take(&answer.body));
            if !more.map_err(|fault| self.explain(&fault, "list", prefix))? {
                return Ok(objects.found);
            }
        }
    }

    /// Deletes the object, if there is one.
    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        let answer = self.ask(key, LONGEST_WORD, || Command::DeleteObject).await;
        present(answer).map(drop).map_err(|fault| self.explain(&fault, "delete", key))
    }

    pub(super) fn explain(&self, fault: &Fault, action: &str, key: &str) -> DriverError {
        fault.explain(&format!("{action} {key:?}"), &self.target)
    }

    /// Sends what `command` makes until it succeeds, its failure stays, or patience runs out.
    pub(super) async fn ask<'c>(
        &self,
        key: &str,
        longest: usize,
        command: impl Fn() -> Command<'c>,
    ) -> Result<Answer, Fault> {
        self.ask_within(self.patience.answer, key, longest, command, Ok).await
    }

    /// The same, each time within `time`, and until `read` takes the answer.
    pub(super) async fn ask_within<'c, T>(
        &self,
        time: Duration,
        key: &str,
        longest: usize,
        command: impl Fn() -> Command<'c>,
        read: impl Fn(Answer) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut failures = Failures::new(self.patience);
        let mut renewed = false;
        loop {
            let answer = match self.login.bucket().await {
                Ok(bucket) => send(&bucket, key, command(), longest, time).await,
                Err(fault) => Err(fault),
            };
            let fault = match answer.and_then(&read) {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            if fault.is_expired() && !renewed {
                renewed = self.login.forget().await;
                if renewed {
                    continue;
                }
            }
            if !fault.passes() || !failures.bear().await {
                return Err(fault);
            }
            tracing::warn!(why = fault.said(), "the store failed: trying again");
        }
    }
}

fn put_command(content: &[u8], headers: HeaderMap) -> Command<'_> {
    Command::PutObject { content, content_type: CONTENT_TYPE, custom_headers: Some(headers), multipart: None }
}

/// None in place of a missing object.
pub(super) fn present<T>(answer: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(fault) if fault.is_missing_object() => Ok(None),
        Err(fault) => Err(fault),
    }
}
