//! JSON → slim objects. What cannot be decoded costs itself alone.
//!
//! An object is taken as raw text first, which no nesting can break, and then decoded into a slim type that skips what
//! it does not know, again without a limit on nesting.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::database::KnownDatabase;
use super::driver::KnownDriver;
use super::job::{Forged, KnownJob, SeenJob};
use super::metadata::{Metadata, Uid};
use super::request::{KnownRequest, SeenBackup, SeenRestore};
use crate::kind::Kind;

/// An object, as far as anybody reads it.
#[derive(Debug)]
pub enum Object {
    /// A Database.
    Database(Box<KnownDatabase>),
    /// A Backup or Restore.
    Request(Box<KnownRequest>),
    /// A Driver.
    Driver(KnownDriver),
    /// A Job of ours.
    Job(Box<KnownJob>),
    /// A Namespace.
    Namespace(KnownNamespace),
}

/// A Namespace.
#[derive(Clone, Debug)]
pub struct KnownNamespace {
    pub name: Arc<str>,
    pub uid: Uid,
    /// Whether it is terminating.
    pub terminating: bool,
}

/// An object that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What kind of object it is.
    pub kind: Kind,
    pub uid: Uid,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    /// What is wrong with it. It quotes no value of the object.
    pub why: Arc<str>,
}

impl Broken {
    /// What an Event is about.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(format!("{}/v1alpha1", api::GROUP)),
            kind: Some(self.kind.name().to_owned()),
            name: Some(self.name.to_string()),
            namespace: Some(self.namespace.to_string()).filter(|namespace| !namespace.is_empty()),
            uid: Some(self.uid.to_string()),
            ..ObjectReference::default()
        }
    }
}

/// Why there is no object.
#[derive(Debug)]
pub enum Undecodable {
    /// It is one of a kind of ours, and something is wrong with it.
    Broken(Broken),
    /// It is no affair of ours: a Job that somebody else made, or nothing that has a name.
    Strange,
}

/// Decodes an object of that kind.
pub fn object(kind: Kind, json: &RawValue) -> Result<Object, Undecodable> {
    let text = json.get();
    let decoded = match kind {
        Kind::Database => serde_json::from_str(text).map(|database| Object::Database(Box::new(database))),
        Kind::Backup => {
            serde_json::from_str(text).map(|SeenBackup(request)| Object::Request(Box::new(request)))
        }
        Kind::Restore => {
            serde_json::from_str(text).map(|SeenRestore(request)| Object::Request(Box::new(request)))
        }
        Kind::Driver => serde_json::from_str(text).map(Object::Driver),
        Kind::Job => match serde_json::from_str::<SeenJob>(text) {
            Ok(SeenJob { job: Ok(job), .. }) => Ok(Object::Job(Box::new(job))),
            Ok(SeenJob { job: Err(Forged), .. }) | Err(_) => return Err(Undecodable::Strange),
        },
        Kind::Namespace => serde_json::from_str(text).map(|bare: Bare| {
            let Metadata { name, uid, deleted, .. } = bare.metadata;
            Object::Namespace(KnownNamespace { name, uid, terminating: deleted })
        }),
    };
    decoded.map_err(|error| match serde_json::from_str::<Bare>(text) {
        Ok(Bare { metadata: Metadata { uid, namespace, name, .. } }) => {
            Undecodable::Broken(Broken { kind, uid, namespace, name, why: explain(&error).into() })
        }
        Err(_) => Undecodable::Strange,
    })
}

#[derive(Deserialize)]
struct Bare {
    metadata: Metadata,
}

/// What is wrong, without a value: of an unknown word the error quotes it, which may be long or secret.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("at line {} column {}", error.line(), error.column());
    let what = ["missing field", "unknown variant", "invalid type", "invalid value", "invalid length"];
    let what = what.into_iter().find(|what| text.starts_with(what)).unwrap_or("not what was expected");
    // Names of fields and of expected words are ours.
    let expected = text.split_once(", expected").map(|(_, rest)| rest).unwrap_or_default();
    let expected = expected.split(" at line ").next().unwrap_or_default();
    let field = text.strip_prefix("missing field ").and_then(|rest| rest.split(' ').next());
    let mut said = what.to_owned();
    if let Some(field) = field {
        said = format!("{said} {field}");
    }
    if !expected.is_empty() && expected.len() < 400 {
        said = format!("{said}, expected{expected}");
    }
    format!("{said} ({place})")
}

#[cfg(test)]
mod tests;
