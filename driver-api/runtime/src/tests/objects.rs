//! The Backups and Restores of the API server in memory, and what all its objects share.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

/// A kind that asks for a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Backup,
    Restore,
}

impl Kind {
    /// The kind that a path is about, and the name in it.
    pub(super) fn in_path(path: &str) -> Option<(Self, &str)> {
        let both = [("/backups", Self::Backup), ("/restores", Self::Restore)];
        both.into_iter().find_map(|(plural, kind)| {
            let (_, rest) = path.split_once(plural)?;
            let name = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
            Some((kind, name))
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }
}

/// The Backups and Restores. What is deleted is gone, unless a finalizer holds it.
#[derive(Default)]
pub(super) struct Objects {
    by_name: BTreeMap<(Kind, String), Value>,
    version: u64,
}

impl Objects {
    /// Makes one, as its owner does. Answers its uid.
    pub(super) fn make(&mut self, kind: Kind, name: &str, spec: &Value) -> String {
        let api_kind = if kind == Kind::Backup { "Backup" } else { "Restore" };
        let body = json!({
            "apiVersion": "db.isotoma.com/v1alpha1", "kind": api_kind,
            "metadata": {"name": name}, "spec": spec,
        });
        self.store(kind, body)["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    fn store(&mut self, kind: Kind, mut body: Value) -> Value {
        self.version += 1;
        let name = body["metadata"]["name"].as_str().unwrap().to_owned();
        body["metadata"]["namespace"] = json!("shop");
        body["metadata"]["uid"] = json!(format!("{}-{}", kind.as_str(), self.version));
        body["metadata"]["generation"] = json!(1);
        body["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.by_name.insert((kind, name), body.clone());
        body
    }

    /// The one of that name.
    pub(super) fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        self.by_name.get(&(kind, name.to_owned())).cloned()
    }

    /// All of a kind, the oldest first.
    pub(super) fn all(&self, kind: Kind) -> Vec<Value> {
        let mut all: Vec<_> = self
            .by_name
            .iter()
            .filter(|((of, _), _)| *of == kind)
            .map(|(_, object)| object.clone())
            .collect();
        let number = |object: &Value| {
            let uid = object["metadata"]["uid"].as_str().unwrap();
            uid.rsplit('-').next().unwrap().parse::<u64>().unwrap()
        };
        all.sort_by_key(number);
        all
    }

    /// Changes one as somebody else would.
    pub(super) fn edit(&mut self, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) {
        self.version += 1;
        let version = self.version.to_string();
        if let Some(object) = self.by_name.get_mut(&(kind, name.to_owned())) {
            change(object);
            object["metadata"]["resourceVersion"] = json!(version);
        }
    }

    /// Deletes one as its owner does.
    pub(super) fn delete(&mut self, kind: Kind, name: &str) {
        self.edit(kind, name, |object| {
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = json!("2026-11-21T00:00:00Z");
                object["metadata"]["generation"] = json!(2);
            }
        });
        self.drop_if_free(kind, name);
    }

    pub(super) fn delete_all(&mut self) {
        let names: Vec<_> = self.by_name.keys().cloned().collect();
        for (kind, name) in names {
            self.delete(kind, &name);
        }
    }

    fn drop_if_free(&mut self, kind: Kind, name: &str) {
        let free = |object: &Value| {
            !object["metadata"]["deletionTimestamp"].is_null()
                && object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
        };
        if self.get(kind, name).is_some_and(|object| free(&object)) {
            self.by_name.remove(&(kind, name.to_owned()));
        }
    }

    /// Writes all as somebody else would.
    pub(super) fn touch_all(&mut self) {
        self.edit_all(|object| object["metadata"]["labels"]["seen"] = json!("yes"));
    }

    /// Completes all as another run would.
    pub(super) fn complete_all(&mut self) {
        let ready = json!([{
            "type": "Ready", "status": "True", "reason": "Completed", "message": "it is stored",
            "lastTransitionTime": "2026-11-21T00:00:00Z",
        }]);
        self.edit_all(|object| object["status"] = json!({"phase": "Completed", "conditions": ready.clone()}));
    }

    fn edit_all(&mut self, change: impl Fn(&mut Value)) {
        let names: Vec<_> = self.by_name.keys().cloned().collect();
        for (kind, name) in names {
            self.edit(kind, &name, &change);
        }
    }

    /// Answers a request of the runtime.
    pub(super) fn handle(
        &mut self,
        method: &Method,
        kind: Kind,
        name: &str,
        status: bool,
        body: Value,
    ) -> (StatusCode, Value) {
        let stored = self.get(kind, name);
        match (method.as_str(), kind, status) {
            ("GET", _, false) => found(stored.as_ref()),
            ("POST", Kind::Backup, false) => {
                let name = body["metadata"]["name"].as_str().unwrap();
                if self.get(kind, name).is_some() {
                    return conflict("AlreadyExists");
                }
                (StatusCode::CREATED, self.store(kind, body))
            }
            ("PATCH", Kind::Backup, _) | ("PATCH", _, true) => {
                let Some(stored) = stored else { return found(None) };
                for field in ["uid", "resourceVersion"] {
                    if body["metadata"][field] != stored["metadata"][field] {
                        return conflict("Conflict");
                    }
                }
                if !status {
                    assert_holds_finalizers_alone(&body);
                }
                let (was, will) = (&stored["metadata"], &body["metadata"]["finalizers"]);
                let more =
                    will.as_array().map_or(0, Vec::len) > was["finalizers"].as_array().map_or(0, Vec::len);
                assert!(!more || was["deletionTimestamp"].is_null(), "a finalizer on what is being deleted");
                self.edit(kind, name, |object| {
                    if status {
                        merge(&mut object["status"], &body["status"]);
                    } else {
                        object["metadata"]["finalizers"] = will.clone();
                    }
                });
                let answer = self.get(kind, name);
                self.drop_if_free(kind, name);
                found(answer.as_ref())
            }
            _ => panic!("the runtime asks for {method} of {kind:?} {name}, which its role does not hold"),
        }
    }
}

/// A patch that sets or takes off a finalizer says for which object it is, and nothing else: an admission policy lets
/// nothing else through.
pub(super) fn assert_holds_finalizers_alone(body: &Value) {
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(body), ["metadata"], "{body}");
    assert_eq!(names(&body["metadata"]), ["finalizers", "resourceVersion", "uid"], "{body}");
}

/// JSON merge patch, RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}

/// What kind of object a path is about.
pub(super) fn kind_in(path: &str) -> &'static str {
    let request = Kind::in_path(path).map(|(kind, _)| kind.as_str());
    request.unwrap_or_else(|| if path.contains("/secrets") { "secret" } else { "database" })
}

/// One line for one request: what a reader needs to see the order of effects.
pub(super) fn describe(method: &Method, path: &str, body: &Value) -> String {
    let (request, kind) = (Kind::in_path(path), kind_in(path));
    let detail = if path.ends_with("/status") {
        format!(" status {}", body["status"]["phase"].as_str().unwrap_or_default())
    } else if kind == "secret" && body.is_object() {
        let keys: Vec<_> =
            body["data"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        format!(" {}", keys.join(","))
    } else if request.is_some() && body["metadata"]["finalizers"].is_null() && body.is_object() {
        format!(" {}", body["metadata"]["name"].as_str().unwrap_or_default())
    } else if body.is_object() {
        format!(" finalizers {}", body["metadata"]["finalizers"])
    } else {
        String::new()
    };
    format!("{method} {kind}{detail}")
}

pub(super) fn found(object: Option<&Value>) -> (StatusCode, Value) {
    object.map_or_else(
        || (StatusCode::NOT_FOUND, failure(404, "NotFound")),
        |object| (StatusCode::OK, object.clone()),
    )
}

pub(super) fn conflict(reason: &str) -> (StatusCode, Value) {
    (StatusCode::CONFLICT, failure(409, reason))
}

pub(super) fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason, "code": code})
}
