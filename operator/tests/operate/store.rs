//! What the API server keeps: objects as text, versions, and what has changed since when.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hyper::body::Bytes;
use serde_json::{Value, json};

/// The plural name of a kind, as it is in a path.
pub(crate) type Resource = &'static str;

/// What is kept.
pub(crate) const RESOURCES: [Resource; 7] =
    ["databases", "backups", "restores", "drivers", "jobs", "namespaces", "leases"];

/// Kind, namespace (empty if it has none) and name.
pub(crate) type Key = (Resource, String, String);

/// An object as it is at a version. Its text is in parts, so that many can share what is long.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) text: Vec<Bytes>,
    /// None of one that is only text.
    pub(crate) value: Value,
}

/// A change.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) version: u64,
    pub(crate) key: Key,
    pub(crate) what: &'static str,
    pub(crate) object: Arc<Object>,
}

/// All objects.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) version: u64,
    pub(crate) objects: BTreeMap<Key, Arc<Object>>,
    pub(crate) log: VecDeque<Told>,
    /// Changes up to this version are forgotten.
    pub(crate) compacted: u64,
    /// What is gone, for those who look back.
    pub(crate) retired: BTreeMap<String, Value>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            version: 1_000,
            objects: BTreeMap::new(),
            log: VecDeque::new(),
            compacted: 0,
            retired: BTreeMap::new(),
        }
    }
}

impl Store {
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key).map(|object| &object.value)
    }

    /// All of a kind.
    pub(crate) fn of(&self, resource: Resource) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
        let from = (resource, String::new(), String::new());
        self.objects.range(from..).take_while(move |(key, _)| key.0 == resource)
    }

    pub(crate) fn with_uid(&self, resource: Resource, uid: &str) -> Option<(&Key, &Value)> {
        let mut all = self.of(resource).map(|(key, object)| (key, &object.value));
        all.find(|(_, value)| value.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid))
    }

    /// Makes an object. Answers it, or nothing if there is one of that name.
    pub(crate) fn create(&mut self, resource: Resource, mut value: Value, now: &str) -> Option<Value> {
        let text =
            |value: &Value, path| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (resource, text(&value, "/metadata/namespace"), text(&value, "/metadata/name"));
        if self.objects.contains_key(&key) {
            return None;
        }
        let metadata = &mut value["metadata"];
        metadata["uid"] = json!(format!("{resource}-{}", self.version + 1));
        metadata["generation"] = json!(1);
        metadata["creationTimestamp"] = json!(now);
        Some(self.put(key, "ADDED", value))
    }

    /// Changes an object, if it is there. One that is being deleted and has no finalizer is gone.
    pub(crate) fn update(&mut self, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Value> {
        let mut value = self.get(key)?.clone();
        change(&mut value);
        Some(if is_ended(&value) { self.gone(key, value) } else { self.put(key.clone(), "MODIFIED", value) })
    }

    /// Deletes an object, as soon as it has no finalizer.
    pub(crate) fn delete(&mut self, key: &Key, now: &str) {
        self.update(key, |value| {
            if value.pointer("/metadata/deletionTimestamp").is_none() {
                value["metadata"]["deletionTimestamp"] = json!(now);
            }
        });
    }

    /// Puts an object that is only text, with its version instead of `@version`.
    pub(crate) fn put_text(&mut self, key: Key, parts: &[Bytes]) {
        self.version += 1;
        let version = self.version.to_string();
        let versioned = |part: &Bytes| match std::str::from_utf8(part) {
            Ok(text) if part.len() < 4_096 => Bytes::from(text.replace("@version", &version)),
            Ok(_) | Err(_) => part.clone(),
        };
        let object = Object { text: parts.iter().map(versioned).collect(), value: Value::Null };
        self.tell(key, "ADDED", object, true);
    }

    /// Forgets what has changed so far.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.version;
        self.log.clear();
    }

    fn put(&mut self, key: Key, what: &'static str, mut value: Value) -> Value {
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Object { text: vec![value.to_string().into()], value: value.clone() };
        self.tell(key, what, object, true);
        value
    }

    fn gone(&mut self, key: &Key, mut value: Value) -> Value {
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let uid = value["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        self.retired.insert(uid, value.clone());
        let object = Object { text: vec![value.to_string().into()], value: value.clone() };
        self.tell(key.clone(), "DELETED", object, false);
        value
    }

    fn tell(&mut self, key: Key, what: &'static str, object: Object, stays: bool) {
        let object = Arc::new(object);
        self.log.push_back(Told {
            version: self.version,
            key: key.clone(),
            what,
            object: Arc::clone(&object),
        });
        if stays {
            self.objects.insert(key, object);
        } else {
            self.objects.remove(&key);
        }
    }
}

fn is_ended(value: &Value) -> bool {
    let finalizers = value.pointer("/metadata/finalizers").and_then(Value::as_array);
    value.pointer("/metadata/deletionTimestamp").is_some() && finalizers.is_none_or(Vec::is_empty)
}
