//! An S3 server in memory, for tests on a machine that has none: signatures, ranges, conditional writes, multipart
//! uploads and pages, as a real one has them. It knows one login and lives as long as the process.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use driver::names::sha256;
use ring::hmac;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::encode::hex;

/// The name of the access key that it knows.
pub const ACCESS_KEY_ID: &str = "test";
/// The secret of that key.
pub const SECRET_KEY: &str = "testsecret";
/// Its region.
pub const REGION: &str = "eu-west-1";

/// The least length of a part, all but the last.
const SMALLEST_PART: usize = 5 << 20;

/// How many keys a page of a list has.
const PAGE: usize = 1000;

/// The address of this process' server, which is begun at the first call.
pub fn address() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        listener.set_nonblocking(true).expect("a socket");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        // A thread of its own, for the runtime of a test ends with the test.
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { serve(TcpListener::from_std(listener).expect("a listener")).await });
        });
        address
    })
}

async fn serve(listener: TcpListener) {
    let contents = Arc::<Mutex<Contents>>::default();
    while let Ok((stream, _)) = listener.accept().await {
        let contents = Arc::clone(&contents);
        tokio::spawn(async move {
            // A client that hangs up is no affair of the server.
            let _ = converse(stream, &contents).await;
        });
    }
}

#[derive(Default)]
struct Contents {
    buckets: BTreeMap<String, Bucket>,
    uploads: u64,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, Upload>,
}

struct Upload {
    key: String,
    parts: BTreeMap<u32, Vec<u8>>,
}

/// A request, as it was received.
struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: String::new(), body: body.into() }
    }

    fn error(status: u16, code: &str) -> Self {
        Self::of(
            status,
            format!("<Error><Code>{code}</Code><Message>so says the server in memory</Message></Error>"),
        )
    }
}

async fn converse(mut stream: TcpStream, contents: &Mutex<Contents>) -> std::io::Result<()> {
    let mut received = Vec::new();
    loop {
        let Some(request) = receive(&mut stream, &mut received).await? else { return Ok(()) };
        let head_only = request.method == "HEAD";
        let last = request.headers.get("connection").is_some_and(|connection| connection == "close");
        let answer = match check_signature(&request) {
            Ok(()) => answer(&mut lock(contents), &request),
            Err(code) => Answer::error(403, code),
        };
        let length = answer.body.len();
        let head =
            format!("HTTP/1.1 {} so\r\ncontent-length: {length}\r\n{}\r\n", answer.status, answer.headers);
        stream.write_all(head.as_bytes()).await?;
        if !head_only {
            stream.write_all(&answer.body).await?;
        }
        if last {
            return Ok(());
        }
    }
}

fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next request of a connection; none at its end.
async fn receive(stream: &mut TcpStream, received: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while received.len() < end + length {
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
    let body = received[end..end + length].to_vec();
    received.drain(..end + length);
    let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(owned).collect();
    Ok(Some(Request { method, path: path.to_owned(), query, headers, body }))
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// AWS' signature of version 4, over the headers that it names.
fn check_signature(request: &Request) -> Result<(), &'static str> {
    let header = |name: &str| request.headers.get(name).map(String::as_str).unwrap_or_default();
    let field = |name: &str| {
        let begin = header("authorization").split_once(name).map(|(_, rest)| rest).unwrap_or_default();
        begin.split([',', ' ']).next().unwrap_or_default()
    };
    let mut credential = field("Credential=").split('/');
    let (id, date, region) = (credential.next(), credential.next(), credential.next());
    if id != Some(ACCESS_KEY_ID) {
        return Err("InvalidAccessKeyId");
    }
    if region != Some(REGION) {
        return Err("AuthorizationHeaderMalformed");
    }
    if header("x-amz-content-sha256") != sha256(&request.body) {
        return Err("XAmzContentSHA256Mismatch");
    }
    // A client may leave more unescaped than the signature does.
    let again = |text: &str, kept: &str| encoded(&decoded(text), kept);
    let query = request.query.iter().map(|(name, value)| format!("{name}={}", again(value, "")));
    let query = query.collect::<Vec<_>>().join("&");
    let signed = field("SignedHeaders=");
    let mut canonical = format!("{}\n{}\n{query}\n", request.method, again(&request.path, "/"));
    for name in signed.split(';') {
        let _ = writeln!(canonical, "{name}:{}", header(name));
    }
    let _ = write!(canonical, "\n{signed}\n{}", header("x-amz-content-sha256"));
    let scope = format!("{}/{REGION}/s3/aws4_request", date.unwrap_or_default());
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", header("x-amz-date"), sha256(canonical.as_bytes()));
    let mac = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    };
    let key = scope.split('/').fold(format!("AWS4{SECRET_KEY}").into_bytes(), |key, part| mac(&key, part));
    if hex(&mac(&key, &to_sign)) == field("Signature=") { Ok(()) } else { Err("SignatureDoesNotMatch") }
}

/// As a signature has it: all is escaped but what never needs it, and what is `kept`.
fn encoded(text: &str, kept: &str) -> String {
    text.bytes().fold(String::new(), |mut text, byte| {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || kept.contains(c) {
            text.push(c);
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// What stands for `%2F` and the like.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok()).filter(|_| *first == b'%');
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = after.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn answer(contents: &mut Contents, request: &Request) -> Answer {
    let path = decoded(request.path.trim_start_matches('/'));
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    if request.method == "PUT" && key.is_empty() {
        contents.buckets.entry(bucket.to_owned()).or_default();
        return Answer::of(200, "");
    }
    contents.uploads += 1;
    let number = contents.uploads;
    match contents.buckets.get_mut(bucket) {
        None => Answer::error(404, "NoSuchBucket"),
        Some(found) if key.is_empty() => about_bucket(found, bucket, request),
        Some(found) => match request.query.get("uploadId") {
            Some(upload) => about_upload(found, key, &decoded(upload), request),
            None => about_object(found, key, number, request),
        },
    }
}

fn about_bucket(bucket: &Bucket, name: &str, request: &Request) -> Answer {
    let query = |name: &str| request.query.get(name).map(|value| decoded(value)).unwrap_or_default();
    let prefix = query("prefix");
    if request.query.contains_key("uploads") {
        let found = bucket.uploads.iter().filter(|(_, upload)| upload.key.starts_with(&prefix));
        let found = found.fold(String::new(), |mut text, (id, upload)| {
            let key = escaped(&upload.key);
            let _ = write!(
                text,
                "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated>\
                 <StorageClass>STANDARD</StorageClass></Upload>"
            );
            text
        });
        let body = format!(
            "<ListMultipartUploadsResult><Bucket>{name}</Bucket><IsTruncated>false</IsTruncated>{found}\
             </ListMultipartUploadsResult>"
        );
        return Answer::of(200, body);
    }
    let after = query("continuation-token");
    let mut left = bucket.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
    let page: Vec<_> = left.by_ref().take(PAGE).collect();
    let more = left.next().is_some();
    let mut body = format!("<ListBucketResult><Name>{name}</Name><IsTruncated>{more}</IsTruncated>");
    for (key, content) in &page {
        let _ = write!(
            body,
            "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>",
            escaped(key),
            content.len()
        );
    }
    if let (true, Some((last, _))) = (more, page.last()) {
        let _ = write!(body, "<NextContinuationToken>{}</NextContinuationToken>", escaped(last));
    }
    Answer::of(200, body + "</ListBucketResult>")
}

fn about_object(bucket: &mut Bucket, key: &str, number: u64, request: &Request) -> Answer {
    let missing = || Answer::error(404, "NoSuchKey");
    match request.method.as_str() {
        "POST" => {
            let id = format!("upload-{number}");
            bucket.uploads.insert(id.clone(), Upload { key: key.to_owned(), parts: BTreeMap::new() });
            let result = format!("<Bucket>b</Bucket><Key>{}</Key><UploadId>{id}</UploadId>", escaped(key));
            let name = "InitiateMultipartUploadResult";
            Answer::of(200, format!("<{name}>{result}</{name}>"))
        }
        "PUT" if request.headers.contains_key("if-none-match") && bucket.objects.contains_key(key) => {
            Answer::error(412, "PreconditionFailed")
        }
        "PUT" => {
            bucket.objects.insert(key.to_owned(), request.body.clone());
            Answer::of(200, "")
        }
        "DELETE" => {
            bucket.objects.remove(key);
            Answer::of(204, "")
        }
        _ => match bucket.objects.get(key) {
            None => missing(),
            Some(content) => match request.headers.get("range").and_then(|range| bounds(range)) {
                None => Answer::of(200, content.clone()),
                Some((start, _)) if start >= content.len() => Answer::error(416, "InvalidRange"),
                Some((start, end)) => {
                    let end = end.map_or(content.len(), |end| content.len().min(end + 1));
                    let whole = content.len();
                    let headers = format!("content-range: bytes {start}-{}/{whole}\r\n", end - 1);
                    Answer { status: 206, headers, body: content[start..end].to_vec() }
                }
            },
        },
    }
}

fn bounds(range: &str) -> Option<(usize, Option<usize>)> {
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((start.parse().ok()?, end.parse().ok()))
}

fn about_upload(bucket: &mut Bucket, key: &str, id: &str, request: &Request) -> Answer {
    let Some(upload) = bucket.uploads.get_mut(id).filter(|upload| upload.key == key) else {
        return Answer::error(404, "NoSuchUpload");
    };
    match request.method.as_str() {
        "PUT" => {
            let number = request.query.get("partNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
            upload.parts.insert(number, request.body.clone());
            let headers = format!("etag: \"{}\"\r\n", sha256(&request.body));
            Answer { status: 200, headers, body: Vec::new() }
        }
        "DELETE" => {
            bucket.uploads.remove(id);
            Answer::of(204, "")
        }
        _ => {
            let last = upload.parts.len().saturating_sub(1);
            if upload.parts.values().take(last).any(|part| part.len() < SMALLEST_PART) {
                return Answer::error(400, "EntityTooSmall");
            }
            let whole = upload.parts.values().flatten().copied().collect();
            bucket.objects.insert(key.to_owned(), whole);
            bucket.uploads.remove(id);
            let name = "CompleteMultipartUploadResult";
            Answer::of(200, format!("<{name}><Key>{}</Key></{name}>", escaped(key)))
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
