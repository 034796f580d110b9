//! One request: signed by rust-s3, sent by us, its answer read within limits.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use s3::bucket::Bucket;
use s3::command::{Command, HttpMethod};
use s3::request::Request;
use s3::request::tokio_backend::ReqwestRequest;

use super::fault::Fault;

/// For how much of an answer room is made before it comes: a store may say anything about its length.
const LONGEST_RESERVED: usize = 8 << 20;

/// How much is read of an answer that is an error.
const LONGEST_ERROR: usize = 64 << 10;

/// What a store has answered.
pub(super) struct Answer {
    /// The status, which is one of success.
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Sends `command` about `key`, whose answer is to come in `time` and to have a body of at most `longest` bytes.
///
/// # Errors
///
/// An answer that is none of success, and one that is longer.
pub(super) async fn send(
    bucket: &Bucket,
    key: &str,
    command: Command<'_>,
    longest: usize,
    time: Duration,
) -> Result<Answer, Fault> {
    let is_head = matches!(command, Command::HeadObject);
    let method = match command.http_verb() {
        HttpMethod::Delete => http::Method::DELETE,
        HttpMethod::Get => http::Method::GET,
        HttpMethod::Put => http::Method::PUT,
        HttpMethod::Post => http::Method::POST,
        HttpMethod::Head => http::Method::HEAD,
    };
    let signed = ReqwestRequest::new(bucket, key, command).await?;
    let request = bucket
        .http_client()
        .request(method, signed.url()?)
        .headers(signed.headers().await?)
        .body(signed.request_body()?)
        .timeout(time);
    let mut answer = request.send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    if is_head && status.is_success() {
        return Ok(Answer { status: status.as_u16(), headers, body: Bytes::new() });
    }
    let longest = if status.is_success() { longest } else { LONGEST_ERROR };
    // Collected as it comes: to join what has come in the end would take twice its length.
    let said = content_length(&headers).and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let mut body = Vec::with_capacity(said.min(LONGEST_RESERVED).min(longest));
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > longest {
            if status.is_success() {
                return Err(Fault::too_long(longest));
            }
            // Of an error, its beginning is enough.
            break;
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(Answer { status: status.as_u16(), headers, body: body.into() });
    }
    Err(Fault::answer(status.as_u16(), &String::from_utf8_lossy(&body)))
}

/// The length that a header says.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get("content-length")?.to_str().ok()?.parse().ok()
}
