//! What a store's answers mean.

use s3::error::S3Error;

use super::target::StoreTarget;
use driver::error::{DriverError, ErrorKind};

/// Our own name for an answer that cannot be used.
const UNFIT: &str = "UnfitAnswer";
/// Our own name for an answer that is too long.
const TOO_LONG: &str = "TooLong";

/// How much of what a store says is repeated, in characters.
const LONGEST_WORDS: usize = 400;

/// What came of a request that did not do what it should.
#[derive(Debug)]
pub(super) struct Fault {
    /// The HTTP status, if the store has answered.
    pub(super) status: Option<u16>,
    /// S3's name for the error, such as `NoSuchKey`, if the answer has one.
    pub(super) code: String,
    /// What the store says about it, or what broke the connection.
    pub(super) message: String,
}

impl Fault {
    /// An answer with that status and that body.
    pub(super) fn answer(status: u16, body: &str) -> Self {
        let field = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>"))?;
            let value = rest.split_once(&format!("</{name}>")).map_or(rest, |(value, _)| value);
            Some(readable(value))
        };
        Self {
            status: Some(status),
            code: field("Code").unwrap_or_default(),
            message: field("Message").unwrap_or_default(),
        }
    }

    /// An answer of success that cannot be used.
    pub(super) fn unfit(why: &str) -> Self {
        Self { status: Some(200), code: UNFIT.to_owned(), message: readable(why) }
    }

    /// An answer that is longer than what was asked for.
    pub(super) fn too_long(longest: usize) -> Self {
        let message = format!("it is longer than {longest} bytes");
        Self { status: Some(200), code: TOO_LONG.to_owned(), message }
    }

    /// Whether the answer was longer than what was asked for.
    pub(super) fn is_too_long(&self) -> bool {
        self.code == TOO_LONG
    }

    /// No answer at all.
    pub(super) fn broken(message: String) -> Self {
        Self { status: None, code: String::new(), message }
    }

    /// A refusal that needs no answer of the store.
    pub(super) fn denied(message: String) -> Self {
        Self { status: Some(403), code: String::new(), message }
    }

    /// Whether the same request may succeed a little later.
    pub(super) fn passes(&self) -> bool {
        match (self.status, self.code.as_str()) {
            (
                _,
                "InternalError"
                | "SlowDown"
                | "ServiceUnavailable"
                | "RequestTimeout"
                | "OperationAborted"
                | "ConditionalRequestConflict",
            )
            | (Some(408 | 429), _)
            // An answer of success that lacks what it should hold.
            | (Some(200), "") => true,
            (Some(status), _) => status >= 500 && status != 501,
            (None, _) => !self.is_untrusted(),
        }
    }

    /// Whether the store says that there is no such object.
    pub(super) fn is_missing_object(&self) -> bool {
        self.status == Some(404) && self.code != "NoSuchBucket"
    }

    /// Whether the login has run out.
    pub(super) fn is_expired(&self) -> bool {
        matches!(self.code.as_str(), "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired")
    }

    fn is_untrusted(&self) -> bool {
        self.status.is_none() && self.message.contains("certificate")
    }

    /// The error for a person. `action` is such as `read "a/b"`.
    pub(super) fn explain(&self, action: &str, target: &StoreTarget) -> DriverError {
        let place = format!("in bucket {:?} at {}", target.bucket, target.endpoint());
        let said = self.said();
        let (kind, next) = match (self.status, self.code.as_str()) {
            (_, UNFIT) => (
                ErrorKind::StorageUnreachable,
                "see that the endpoint is that of a store which keeps to S3".to_owned(),
            ),
            (_, TOO_LONG) => (
                ErrorKind::BackupDamaged,
                "it is not what we have written: see who else writes to that bucket".to_owned(),
            ),
            (_, "InvalidObjectState") => (
                ErrorKind::StorageUnreachable,
                "the object is archived, such as in GLACIER: bring it back to a class that can be read at once".to_owned(),
            ),
            (_, "RequestTimeTooSkewed") => (
                ErrorKind::StorageDenied,
                "the clocks of this node and of the store differ too much: set the wrong one right".to_owned(),
            ),
            (_, "NoSuchBucket") => (
                ErrorKind::BucketMissing,
                "create the bucket, or correct its name in the backup's target".to_owned(),
            ),
            (Some(301 | 307), _)
            | (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => (
                ErrorKind::BucketMissing,
                format!("the bucket is not in region {:?}: correct the region or the endpoint", target.region),
            ),
            (_, "NoSuchUpload") => (
                ErrorKind::Busy,
                "another attempt of this backup, or a lifecycle rule of the bucket, has ended the upload: it is begun again at the next run".to_owned(),
            ),
            (_, "SignatureDoesNotMatch" | "InvalidAccessKeyId") => (
                ErrorKind::StorageDenied,
                "correct the access key or its secret in the store's credentials".to_owned(),
            ),
            (Some(401 | 403), _) | (_, "AccessDenied" | "AllAccessDisabled" | "ExpiredToken") => (
                ErrorKind::StorageDenied,
                "give the access key the rights to list, read, write and delete there, or renew it".to_owned(),
            ),
            (Some(404), _) => (
                ErrorKind::BucketMissing,
                "create the bucket, or correct its name in the backup's target".to_owned(),
            ),
            (None, _) if self.is_untrusted() => (
                ErrorKind::Untrusted,
                "give the authority that signed the store's certificate as s3.ca, or correct the endpoint".to_owned(),
            ),
            (Some(507), _) | (_, "XMinioStorageFull") => (
                ErrorKind::StorageUnreachable,
                "the store is full: make room there".to_owned(),
            ),
            _ => (
                ErrorKind::StorageUnreachable,
                "see that the store is up and reachable from this namespace".to_owned(),
            ),
        };
        DriverError::new(kind, format!("cannot {action} {place}: {said}; {next}"))
    }

    /// What the store, or the connection, says.
    pub(super) fn said(&self) -> String {
        let status = self.status.map(|status| format!("status {status}"));
        let parts = [status, Some(self.code.clone()), Some(self.message.clone())];
        parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    }
}

/// The text of an XML element, for people.
fn readable(text: &str) -> String {
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&#34;", "\"")];
    let mut beginning: String = text.trim().chars().take(2 * LONGEST_WORDS).collect();
    for (entity, character) in entities {
        beginning = beginning.replace(entity, character);
    }
    // Last, for what it stands for must not become another entity.
    let whole = beginning.replace("&amp;", "&");
    let cut: String = whole.chars().take(LONGEST_WORDS).collect();
    if cut.len() < whole.len() || text.trim().chars().nth(2 * LONGEST_WORDS).is_some() {
        cut + "…"
    } else {
        cut
    }
}

impl From<S3Error> for Fault {
    fn from(error: S3Error) -> Self {
        if let S3Error::HttpFailWithBody(status, body) = &error {
            return Self::answer(*status, body);
        }
        // The outermost sentence of a connection error says little; the innermost says why.
        let is_late = matches!(&error, S3Error::Reqwest(error) if error.is_timeout());
        let mut message = if is_late { "no answer in time".to_owned() } else { error.to_string() };
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            let next = cause.to_string();
            if !message.contains(&next) {
                message = format!("{message}: {next}");
            }
            source = cause.source();
        }
        Self::broken(message)
    }
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        Self::from(S3Error::Reqwest(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::StoreCredentials;

    fn target() -> StoreTarget {
        StoreTarget {
            endpoint: Some("http://store:9000".to_owned()),
            region: "eu-west-1".to_owned(),
            bucket: "dumps".to_owned(),
            prefix: None,
            path_style: true,
            credentials: StoreCredentials::Ambient,
        }
    }

    #[test]
    fn every_answer_has_its_kind_and_says_what_to_do() {
        let cases = [
            (403, "AccessDenied", ErrorKind::StorageDenied, "give the access key the rights"),
            (403, "SignatureDoesNotMatch", ErrorKind::StorageDenied, "correct the access key"),
            (403, "RequestTimeTooSkewed", ErrorKind::StorageDenied, "clocks"),
            (404, "NoSuchBucket", ErrorKind::BucketMissing, "create the bucket"),
            (404, "NoSuchUpload", ErrorKind::Busy, "begun again"),
            (301, "PermanentRedirect", ErrorKind::BucketMissing, "not in region \"eu-west-1\""),
            (400, "AuthorizationHeaderMalformed", ErrorKind::BucketMissing, "not in region"),
            (403, "InvalidObjectState", ErrorKind::StorageUnreachable, "the object is archived"),
            (507, "", ErrorKind::StorageUnreachable, "make room"),
            (507, "XMinioStorageFull", ErrorKind::StorageUnreachable, "make room"),
            (503, "SlowDown", ErrorKind::StorageUnreachable, "is up and reachable"),
        ];
        for (status, code, kind, next) in cases {
            let body = format!("<Error><Code>{code}</Code><Message>so it is</Message></Error>");
            let error = Fault::answer(status, &body).explain("read \"a\"", &target());
            assert_eq!(error.kind(), kind, "{code}");
            let message = error.to_string();
            assert!(
                message.starts_with("cannot read \"a\" in bucket \"dumps\" at http://store:9000: "),
                "{message}"
            );
            assert!(message.contains(next) && message.contains("so it is"), "{message}");
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        let fault = |status, code: &str| Fault::answer(status, &format!("<Code>{code}</Code>"));
        for (status, code) in [
            (500, ""),
            (503, "SlowDown"),
            (429, ""),
            (200, "InternalError"),
            (200, ""),
            (400, "RequestTimeout"),
        ] {
            assert!(fault(status, code).passes(), "{status} {code}");
        }
        for (status, code) in
            [(400, ""), (403, "AccessDenied"), (404, "NoSuchKey"), (412, ""), (501, "NotImplemented")]
        {
            assert!(!fault(status, code).passes(), "{status} {code}");
        }
        assert!(Fault::broken("connection reset".to_owned()).passes());
        assert!(!Fault::broken("invalid peer certificate: UnknownIssuer".to_owned()).passes());
    }
}
