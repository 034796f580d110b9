//! One request that ought to be refused, and who refuses it.

use anyhow::{Result, bail, ensure};
use http::Request;
use kube::Client;
use serde_json::Value;

/// What a thief tries: a name for it, and the request.
pub(crate) struct Attempt {
    what: String,
    method: &'static str,
    path: String,
    body: Option<Value>,
}

impl Attempt {
    /// To read.
    pub(crate) fn get(what: &str, path: &str) -> Self {
        Self { what: what.to_owned(), method: "GET", path: path.to_owned(), body: None }
    }

    /// To create. Nothing is stored even if it is admitted.
    pub(crate) fn post(what: &str, path: &str, body: Value) -> Self {
        let path = format!("{path}?dryRun=All");
        Self { what: what.to_owned(), method: "POST", path, body: Some(body) }
    }

    /// To change by a merge patch. Nothing is stored even if it is admitted.
    pub(crate) fn patch(what: &str, path: &str, body: Value) -> Self {
        let path = format!("{path}?dryRun=All");
        Self { what: what.to_owned(), method: "PATCH", path, body: Some(body) }
    }

    /// To delete. Nothing goes even if it is admitted.
    pub(crate) fn delete(what: &str, path: &str) -> Self {
        let path = format!("{path}?dryRun=All");
        Self { what: what.to_owned(), method: "DELETE", path, body: None }
    }

    /// Makes the attempt, which has to be refused, and returns the row of the table that says by whom.
    pub(crate) async fn refused(self, client: &Client) -> Result<String> {
        let what = self.what.clone();
        match self.answer(client).await? {
            None => bail!("{what}: admitted"),
            Some(refusal) => Ok(format!("| {what} | {} |\n", refuser(&what, &refusal)?)),
        }
    }

    /// Makes the attempt, which has to be admitted.
    pub(crate) async fn admitted(self, client: &Client) -> Result<()> {
        let what = self.what.clone();
        let refusal = self.answer(client).await?;
        ensure!(refusal.is_none(), "{what}: refused, {refusal:?}");
        Ok(())
    }

    /// What the API server said, if it refused.
    pub(crate) async fn answer(self, client: &Client) -> Result<Option<String>> {
        let media = if self.method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = self.body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(http::header::CONTENT_TYPE, media)
            .body(body.into_bytes())?;
        match client.request_text(request).await {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => Ok(Some(status.message)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Who refused, told from the words of the API server.
fn refuser(what: &str, message: &str) -> Result<&'static str> {
    if message.contains("ValidatingAdmissionPolicy") {
        Ok("admission policy")
    } else if message.contains(" cannot ") {
        Ok("RBAC")
    } else if message.contains("no new finalizers can be added") {
        Ok("API server")
    } else {
        bail!("{what}: it is not said who refused it: {message}")
    }
}
