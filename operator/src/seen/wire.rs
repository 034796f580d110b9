//! What a watch and a list are on the wire, as far as we read it.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A line of a watch.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Versioned {
    pub(super) metadata: Version,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Version {
    pub(super) uid: String,
    #[serde(rename = "resourceVersion")]
    pub(super) text: String,
    #[serde(rename = "continue")]
    pub(super) continue_: Option<String>,
    pub(super) annotations: Marks,
}

impl Version {
    /// The version as a number: of one kind the higher is the newer. Nothing if it is none.
    pub(super) fn number(&self) -> u64 {
        self.text.parse().unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Marks {
    #[serde(rename = "k8s.io/initial-events-end")]
    pub(super) initial_events_end: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) message: String,
}

#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(default)]
    pub(super) metadata: Version,
    #[serde(borrow, default)]
    pub(super) items: Vec<&'a RawValue>,
}
