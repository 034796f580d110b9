//! The metadata of an object, as far as anybody reads it. Everything else is skipped while it is decoded: what a tenant
//! may write there has no bound.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use api::{RECONCILE_ANNOTATION, RETRY_ANNOTATION, UID_LABEL};
use k8s_openapi::jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::decision::Wish;

/// What identifies an object. Clones share it.
pub type Uid = Arc<str>;

/// Namespace and name.
pub type Key = (Arc<str>, Arc<str>);

/// What every object has.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    pub name: Arc<str>,
    /// Its namespace; empty if it has none.
    #[serde(default)]
    pub namespace: Arc<str>,
    pub uid: Uid,
    /// Counts the changes of its spec.
    #[serde(default)]
    pub generation: i64,
    /// When it was made.
    #[serde(default, deserialize_with = "lenient_time")]
    pub creation_timestamp: Option<Timestamp>,
    /// Whether somebody deletes it.
    #[serde(default, rename = "deletionTimestamp", deserialize_with = "is_there")]
    pub deleted: bool,
    /// Which of our finalizers it has.
    #[serde(default)]
    pub finalizers: Finalizers,
    /// Which of the labels it has that we read.
    #[serde(default)]
    pub labels: Labels,
    /// Which of the annotations it has that we read.
    #[serde(default)]
    pub annotations: Annotations,
}

/// The finalizers of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finalizers {
    /// That of a Database.
    pub database: bool,
    /// That of a Backup.
    pub backup: bool,
}

impl<'de> Deserialize<'de> for Finalizers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Finalizers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names")
            }

            fn visit_unit<E>(self) -> Result<Finalizers, E> {
                Ok(Finalizers::default())
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Finalizers, A::Error> {
                let mut found = Finalizers::default();
                while let Some(name) = list.next_element::<std::borrow::Cow<'_, str>>()? {
                    found.database |= name == api::FINALIZER;
                    found.backup |= name == api::BACKUP_FINALIZER;
                }
                Ok(found)
            }
        }
        deserializer.deserialize_any(Each)
    }
}

/// The values of a map whose keys are asked for, each cut to a length.
fn wanted<'de, D: Deserializer<'de>>(
    deserializer: D,
    wanted: &'static [&'static str],
) -> Result<BTreeMap<&'static str, String>, D::Error> {
    struct Each(&'static [&'static str]);
    impl<'de> Visitor<'de> for Each {
        type Value = BTreeMap<&'static str, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of texts")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = BTreeMap::new();
            while let Some(name) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                match self.0.iter().find(|wanted| **wanted == name) {
                    Some(name) => {
                        found.insert(*name, map.next_value()?);
                    }
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(found)
        }
    }
    deserializer.deserialize_any(Each(wanted))
}

/// The labels that we read.
#[derive(Clone, Debug, Default)]
pub struct Labels(BTreeMap<&'static str, String>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use crate::labels;
        let names = &[UID_LABEL, labels::OPERATION, labels::GENERATION, labels::ATTEMPT, labels::REQUEST];
        wanted(deserializer, names).map(Self)
    }
}

/// The annotations that we read: wishes as hashes, for their values have no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// `db.isotoma.com/retry`, or what a Job remembers of it.
    pub retry: Option<Wish>,
    /// `db.isotoma.com/reconcile`, or what a Job remembers of it.
    pub reconcile: Option<Wish>,
    /// Of a Job: the uid of the Backup that it loads.
    pub source: Option<Arc<str>>,
    /// Of a Job: which state of its Driver it was built from.
    pub driver: Option<Box<str>>,
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use crate::labels;
        let names = &[
            RETRY_ANNOTATION,
            RECONCILE_ANNOTATION,
            labels::RETRY_WISH,
            labels::RECONCILE_WISH,
            labels::SOURCE,
            labels::DRIVER,
        ];
        let mut found = wanted(deserializer, names)?;
        // A Job of an earlier release has the value itself.
        let wish = |value: &str, remembered: Option<&String>| match remembered {
            Some(hash) => u64::from_str_radix(hash, 16).ok().map(Wish),
            None => Some(Wish::of(value)).filter(|_| !value.is_empty()),
        };
        let text = |name: &str| found.get(name).map(String::as_str).unwrap_or_default();
        let retry = wish(text(RETRY_ANNOTATION), found.get(labels::RETRY_WISH));
        let reconcile = wish(text(RECONCILE_ANNOTATION), found.get(labels::RECONCILE_WISH));
        let mut bounded = |name: &str| found.remove(name).filter(|text| text.len() <= 100);
        Ok(Self {
            retry,
            reconcile,
            source: bounded(labels::SOURCE).map(Into::into),
            driver: bounded(labels::DRIVER).map(Into::into),
        })
    }
}

/// Longest text that is kept of what others than the API server bound: a status, and a Job of whoever.
pub(super) const LONGEST_TEXT: usize = 512;

/// A text, or none if it is longer than any that a driver writes: what stands in a status has no bound.
pub(super) fn short<'de, D: Deserializer<'de>, T: From<String>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| text.len() <= LONGEST_TEXT).map(T::from))
}

/// Whether a field has a value, whatever that is.
pub(super) fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(deserializer).map(|value| value.is_some())
}

/// A time, or none if it is one that we do not understand.
pub(super) fn lenient_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}
