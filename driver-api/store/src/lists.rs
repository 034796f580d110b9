//! The lists that a store answers with, page by page. One that is not whole is an error, and never a shorter list.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::fault::Fault;

/// How many keys a list may have. A backup has an object for each stream, and one for each 48 GiB of it.
const MOST_KEYS: usize = 200_000;

/// A page of a list of objects.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectsPage {
    #[serde(default)]
    contents: Vec<Object>,
    is_truncated: Option<String>,
    next_continuation_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Object {
    key: String,
    size: u64,
}

/// A page of a list of multipart uploads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UploadsPage {
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
    is_truncated: Option<String>,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
}

/// What the store calls the upload that it has begun.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Initiated {
    upload_id: String,
}

/// Where in a list of uploads the next page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) key: Option<String>,
    pub(super) upload_id: Option<String>,
}

/// Objects that are listed.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Keys and lengths.
    pub(super) found: BTreeMap<String, u64>,
    /// What asks for the next page.
    pub(super) token: Option<String>,
}

impl Objects {
    /// Takes a page. Answers whether there are more.
    pub(super) fn take(&mut self, body: &[u8]) -> Result<bool, Fault> {
        let page: ObjectsPage = parse(body, "ListBucketResult")?;
        let before = self.found.len();
        self.found.extend(page.contents.into_iter().map(|object| (object.key, object.size)));
        let next = page.next_continuation_token.filter(|token| !token.is_empty());
        let more = is_more(page.is_truncated.as_deref(), next.is_some())?;
        check_progress(more, self.found.len() > before && next != self.token, self.found.len())?;
        self.token = next;
        Ok(more)
    }
}

/// Uploads that are listed.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    /// Keys and what the store calls the uploads.
    pub(super) found: Vec<(String, String)>,
    /// Where the next page begins.
    pub(super) marker: Marker,
}

impl Uploads {
    /// Takes a page. Answers whether there are more.
    pub(super) fn take(&mut self, body: &[u8]) -> Result<bool, Fault> {
        let page: UploadsPage = parse(body, "ListMultipartUploadsResult")?;
        let before = self.found.len();
        self.found.extend(page.uploads.into_iter().map(|upload| (upload.key, upload.upload_id)));
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let next = Marker { key: some(page.next_key_marker), upload_id: some(page.next_upload_id_marker) };
        // Without the word that there are more, a store may name the last one all the same.
        let more = page.is_truncated.as_deref() == Some("true");
        let goes_on = self.found.len() > before && next.key.is_some() && next != self.marker;
        check_progress(more, goes_on, self.found.len())?;
        self.marker = next;
        Ok(more)
    }
}

/// What the store calls the upload that it has begun.
pub(super) fn upload_id(body: &[u8]) -> Result<String, Fault> {
    Ok(parse::<Initiated>(body, "InitiateMultipartUploadResult")?.upload_id)
}

fn is_more(truncated: Option<&str>, has_next: bool) -> Result<bool, Fault> {
    match truncated {
        Some("true") if !has_next => {
            Err(Fault::unfit("its list has more pages, and does not say how to ask for them"))
        }
        Some("true") => Ok(true),
        Some(_) => Ok(false),
        // Not every store says it.
        None => Ok(has_next),
    }
}

fn check_progress(more: bool, goes_on: bool, length: usize) -> Result<(), Fault> {
    if length > MOST_KEYS {
        return Err(Fault::unfit("its list has no end"));
    }
    if more && !goes_on {
        return Err(Fault::unfit("its list goes round in a circle"));
    }
    Ok(())
}

/// Reads a document whose root has that name. What is in place of it, such as a page for people, is no empty list.
fn parse<T: DeserializeOwned>(body: &[u8], root: &str) -> Result<T, Fault> {
    let text = String::from_utf8_lossy(body);
    if !text.contains(&format!("<{root}")) {
        return Err(Fault::unfit(&format!("its answer is not a {root}")));
    }
    quick_xml::de::from_str(&text)
        .map_err(|error| Fault::unfit(&format!("its {root} cannot be read ({error})")))
}
