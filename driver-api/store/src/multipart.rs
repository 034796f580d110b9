//! The requests of a multipart upload.

use s3::command::{Command, Multipart};
use s3::serde_types::{CompleteMultipartUploadData, Part};

use super::client::{CONTENT_TYPE, Client, LONGEST_PAGE, LONGEST_WORD, present};
use super::fault::Fault;
use super::lists::{Uploads, upload_id};
use super::send::Answer;
use driver::error::Result;

/// A multipart upload that is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenUpload {
    /// The key of the object that it is to become.
    pub(super) key: String,
    /// What the store calls it.
    pub(super) id: String,
}

impl Client {
    /// Begins a multipart upload.
    pub(super) async fn begin_upload(&self, key: &str) -> Result<OpenUpload> {
        let command = || Command::InitiateMultipartUpload { content_type: CONTENT_TYPE };
        let answer = self.ask(key, LONGEST_WORD, command).await;
        let id = answer.and_then(|answer| upload_id(&answer.body));
        let id = id.map_err(|fault| self.explain(&fault, "begin an upload of", key))?;
        Ok(OpenUpload { key: key.to_owned(), id })
    }

    /// Uploads one part; numbers begin at one. It returns what completes the upload.
    pub(super) async fn put_part(&self, upload: &OpenUpload, number: u32, content: &[u8]) -> Result<Part> {
        let command = || Command::PutObject {
            content,
            content_type: CONTENT_TYPE,
            custom_headers: None,
            multipart: Some(Multipart::new(number, &upload.id)),
        };
        let answer = self.ask(&upload.key, LONGEST_WORD, command).await;
        let action = format!("write part {number} of");
        let Answer { headers, .. } = answer.map_err(|fault| self.explain(&fault, &action, &upload.key))?;
        let etag = headers.get("etag").and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned();
        Ok(Part { part_number: number, etag })
    }

    /// Makes the parts an object of `length` bytes. A store may take minutes for that.
    pub(super) async fn complete_upload(
        &self,
        upload: &OpenUpload,
        parts: &[Part],
        length: u64,
    ) -> Result<()> {
        let command = || Command::CompleteMultipartUpload {
            upload_id: &upload.id,
            data: CompleteMultipartUploadData { parts: parts.to_vec() },
        };
        let read = |answer: Answer| {
            // The store may find an error after it has begun to answer with success.
            let body = String::from_utf8_lossy(&answer.body);
            if body.contains("CompleteMultipartUploadResult") {
                Ok(())
            } else {
                Err(Fault::answer(200, &body))
            }
        };
        let time = self.patience().completion;
        match self.ask_within(time, &upload.key, LONGEST_WORD, command, read).await {
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
        let answer = self.ask(&upload.key, LONGEST_WORD, command).await;
        present(answer).map(drop).map_err(|fault| self.explain(&fault, "end the upload of", &upload.key))
    }

    /// All uploads below `prefix` that are not complete.
    pub(super) async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        let mut uploads = Uploads::default();
        loop {
            let marker = &uploads.marker;
            let answer = self.ask("/", LONGEST_PAGE, || Command::ListMultipartUploads {
                prefix: Some(prefix),
                delimiter: None,
                key_marker: marker.key.clone(),
                upload_id_marker: marker.upload_id.clone(),
                max_uploads: None,
            });
            let answer = answer.await;
            let more = answer.and_then(|answer| uploads.take(&answer.body));
            if !more.map_err(|fault| self.explain(&fault, "list the uploads below", prefix))? {
                break;
            }
        }
        // Not every store minds the prefix.
        let found = uploads.found.into_iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, id)| OpenUpload { key, id }).collect())
    }
}
