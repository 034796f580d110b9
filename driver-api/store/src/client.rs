//! The few S3 requests that a backup needs, each repeated while its failure may pass.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use s3::bucket::Bucket;
use s3::command::{Command, Multipart};
use s3::request::Request;
use s3::request::tokio_backend::ReqwestRequest;
use s3::serde_types::{CompleteMultipartUploadData, Part};

use super::fault::Fault;
use super::login::Login;
use super::retry::{Failures, Patience};
use super::target::StoreTarget;
use driver::error::{DriverError, ErrorKind, Result};

/// How long one request may take, its body included. No body is longer than a part.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// For how much of an answer room is made before it comes: a store may say anything about its length.
const LONGEST_RESERVED: usize = 8 << 20;

const CONTENT_TYPE: &str = "application/octet-stream";

/// A multipart upload that is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenUpload {
    /// The key of the object that it is to become.
    pub(super) key: String,
    /// What the store calls it.
    pub(super) id: String,
}

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
    /// [`ErrorKind::Invalid`] where the target's words make no request.
    pub(super) fn new(target: StoreTarget, patience: Patience) -> Result<Self> {
        // Repeating is our own affair: the crate's count is the same for the whole process.
        s3::set_retries(0);
        let login = Login::new(&target, REQUEST_TIMEOUT)?;
        Ok(Self { target: Arc::new(target), login: Arc::new(login), patience })
    }

    /// Where it stores.
    pub(super) fn target(&self) -> &StoreTarget {
        &self.target
    }

    /// The object's content, or none where there is no such object.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let answer = self.repeat(|bucket| send_whole(bucket, key, Command::GetObject)).await;
        present(answer.map(|(_, body)| body)).map_err(|fault| self.explain(&fault, "read", key))
    }

    /// The `length` bytes from `start`, or what there is of them, and the object's whole length. None where
    /// there is no such object, or none of these bytes.
    pub(super) async fn get_range(&self, key: &str, start: u64, length: u64) -> Result<Option<(Bytes, u64)>> {
        let end = Some((start + length).saturating_sub(1));
        let answer =
            self.repeat(|bucket| send_whole(bucket, key, Command::GetObjectRange { start, end })).await;
        match answer {
            Err(fault) if fault.status == Some(416) => Ok(None),
            answer => {
                let answer = present(answer).map_err(|fault| self.explain(&fault, "read", key))?;
                Ok(answer.map(|(headers, body)| {
                    let range = headers.get("content-range").and_then(|range| range.to_str().ok());
                    let whole = range.and_then(|range| range.rsplit_once('/')?.1.parse().ok());
                    let whole = whole.unwrap_or_else(|| start + body.len() as u64);
                    (body, whole)
                }))
            }
        }
    }

    /// The object's length, or none where there is no such object.
    pub(super) async fn head(&self, key: &str) -> Result<Option<u64>> {
        let answer = self.repeat(|bucket| send_whole(bucket, key, Command::HeadObject)).await;
        let headers = present(answer).map_err(|fault| self.explain(&fault, "look at", key))?;
        headers.map(|(headers, _)| content_length(&headers)).map_or(Ok(None), |length| {
            length.map(Some).ok_or_else(|| {
                let message = format!("the store does not say how long {key:?} is: use a store that does");
                DriverError::new(ErrorKind::StorageUnreachable, message)
            })
        })
    }

    /// Writes the object.
    pub(super) async fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        let answer =
            self.repeat(|bucket| send_whole(bucket, key, put_command(content, HeaderMap::new()))).await;
        answer.map(drop).map_err(|fault| self.explain(&fault, "write", key))
    }

    /// Writes the object where there is none, and reads back what is there.
    ///
    /// A store that does not know the condition may let the last of two writers win; both find the same.
    pub(super) async fn put_if_absent(&self, key: &str, content: &[u8]) -> Result<Written> {
        let condition =
            HeaderMap::from_iter([(HeaderName::from_static("if-none-match"), HeaderValue::from_static("*"))]);
        let answer =
            self.repeat(|bucket| send_whole(bucket, key, put_command(content, condition.clone()))).await;
        match answer {
            Ok(_) => {}
            Err(fault) if fault.status == Some(412) => {}
            Err(fault)
                if fault.status == Some(501)
                    || (fault.status == Some(400) && fault.code == "NotImplemented") =>
            {
                if self.get(key).await?.is_none() {
                    self.put(key, content).await?;
                }
            }
            Err(fault) => return Err(self.explain(&fault, "write", key)),
        }
        match self.get(key).await? {
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
        let mut found = BTreeMap::new();
        let mut token = None;
        loop {
            let page = self.repeat(|bucket| {
                let token = token.clone();
                async move { Ok(bucket.list_page(prefix.to_owned(), None, token, None, None).await?.0) }
            });
            let page = page.await.map_err(|fault| self.explain(&fault, "list", prefix))?;
            found.extend(page.contents.into_iter().map(|object| (object.key, object.size)));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// Deletes the object, if there is one.
    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        let answer = self.repeat(|bucket| send_whole(bucket, key, Command::DeleteObject)).await;
        present(answer).map(drop).map_err(|fault| self.explain(&fault, "delete", key))
    }

    /// Begins a multipart upload.
    pub(super) async fn begin_upload(&self, key: &str) -> Result<OpenUpload> {
        let answer = self.repeat(async |bucket: Arc<Bucket>| {
            Ok(bucket.initiate_multipart_upload(key, CONTENT_TYPE).await?)
        });
        let answer = answer.await.map_err(|fault| self.explain(&fault, "begin an upload of", key))?;
        Ok(OpenUpload { key: key.to_owned(), id: answer.upload_id })
    }

    /// Uploads one part; numbers begin at one. It returns what completes the upload.
    pub(super) async fn put_part(&self, upload: &OpenUpload, number: u32, content: &[u8]) -> Result<Part> {
        let answer = self.repeat(|bucket| {
            let multipart = Some(Multipart::new(number, &upload.id));
            let command =
                Command::PutObject { content, content_type: CONTENT_TYPE, custom_headers: None, multipart };
            send_whole(bucket, &upload.key, command)
        });
        let action = format!("write part {number} of");
        let (headers, _) = answer.await.map_err(|fault| self.explain(&fault, &action, &upload.key))?;
        let etag = headers.get("etag").and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned();
        Ok(Part { part_number: number, etag })
    }

    /// Makes the parts an object of `length` bytes.
    pub(super) async fn complete_upload(
        &self,
        upload: &OpenUpload,
        parts: &[Part],
        length: u64,
    ) -> Result<()> {
        let answer = self.repeat(|bucket| async move {
            let data = CompleteMultipartUploadData { parts: parts.to_vec() };
            let command = Command::CompleteMultipartUpload { upload_id: &upload.id, data };
            let (_, body) = send_whole(bucket, &upload.key, command).await?;
            // The store may find an error after it has begun to answer with success.
            let body = String::from_utf8_lossy(&body);
            if body.contains("CompleteMultipartUploadResult") {
                Ok(())
            } else {
                Err(Fault::answer(200, &body))
            }
        });
        match answer.await {
            Ok(()) => Ok(()),
            // An answer that was lost leaves a complete object, and no upload.
            Err(fault) if fault.code == "NoSuchUpload" && self.head(&upload.key).await? == Some(length) => {
                Ok(())
            }
            Err(fault) => Err(self.explain(&fault, "complete the upload of", &upload.key)),
        }
    }

    /// Ends an upload and forgets its parts. One that does not exist is no error.
    pub(super) async fn abort_upload(&self, upload: &OpenUpload) -> Result<()> {
        let command = || Command::AbortMultipartUpload { upload_id: &upload.id };
        let answer = self.repeat(|bucket| send_whole(bucket, &upload.key, command())).await;
        present(answer).map(drop).map_err(|fault| self.explain(&fault, "end the upload of", &upload.key))
    }

    /// All uploads below `prefix` that are not complete.
    pub(super) async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        let pages = self.repeat(async |bucket: Arc<Bucket>| {
            Ok(bucket.list_multiparts_uploads(Some(prefix), None).await?)
        });
        let pages = pages.await.map_err(|fault| self.explain(&fault, "list the uploads below", prefix))?;
        let uploads = pages.into_iter().flat_map(|page| page.uploads);
        // Not every store minds the prefix.
        Ok(uploads
            .filter(|upload| upload.key.starts_with(prefix))
            .map(|upload| OpenUpload { key: upload.key, id: upload.id })
            .collect())
    }

    fn explain(&self, fault: &Fault, action: &str, key: &str) -> DriverError {
        fault.explain(&format!("{action} {key:?}"), &self.target)
    }

    /// Sends a request until it succeeds, its failure stays, or patience runs out.
    async fn repeat<T, F>(&self, mut send: impl FnMut(Arc<Bucket>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut failures = Failures::new(self.patience);
        let mut renewed = false;
        loop {
            let fault = match self.login.bucket().await {
                Ok(bucket) => match send(bucket).await {
                    Ok(done) => return Ok(done),
                    Err(fault) => fault,
                },
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

/// Sends one request, and takes its answer whole.
async fn send_whole(
    bucket: Arc<Bucket>,
    key: &str,
    command: Command<'_>,
) -> Result<(HeaderMap, Bytes), Fault> {
    let head = matches!(command, Command::HeadObject);
    let request = ReqwestRequest::new(&bucket, key, command).await?;
    let mut answer = request.response().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    if !status.is_success() {
        return Err(Fault::answer(status.as_u16(), &answer.text().await?));
    }
    if head {
        return Ok((headers, Bytes::new()));
    }
    // Collected as it comes: to join what has come in the end would take twice its length.
    let length = content_length(&headers).and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let mut body = Vec::with_capacity(length.min(LONGEST_RESERVED));
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    Ok((headers, body.into()))
}

fn put_command(content: &[u8], headers: HeaderMap) -> Command<'_> {
    Command::PutObject { content, content_type: CONTENT_TYPE, custom_headers: Some(headers), multipart: None }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get("content-length")?.to_str().ok()?.parse().ok()
}

/// None in place of a missing object.
fn present<T>(answer: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(fault) if fault.is_missing_object() => Ok(None),
        Err(fault) => Err(fault),
    }
}
