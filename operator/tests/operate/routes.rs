//! What the API server does for each path: paths → what is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::{Method, Response};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::faults::WatchFault;
use crate::server::{Post, Server};
use crate::store::{Key, RESOURCES, Resource};
use crate::stream::{Body, Watch, bookmark, line, whole};

impl Server {
    /// Does what is asked.
    pub(crate) fn handle(
        self: &Arc<Self>,
        method: &Method,
        path: &str,
        query: &BTreeMap<String, String>,
        sent: &[u8],
    ) -> Response<Body> {
        let Some((resource, namespace, name)) = place(path) else {
            return self.event(path, sent);
        };
        if query.contains_key("watch") {
            return self.watch(resource, query);
        }
        let key = (resource, namespace.to_owned(), name.to_owned());
        match (method, name) {
            (&Method::GET, "") => self.list(resource, query),
            (&Method::GET, _) => self.get(&key),
            (&Method::POST, _) => self.post(resource, namespace, sent),
            (&Method::PATCH, _) => self.patch(&key, sent),
            _ => refusal(405, "MethodNotAllowed", "the operator does not do this", ""),
        }
    }

    fn get(&self, key: &Key) -> Response<Body> {
        match self.state().store.get(key) {
            Some(value) => self.dated(200, value),
            None => refusal(404, "NotFound", "not found", ""),
        }
    }

    fn list(&self, resource: Resource, query: &BTreeMap<String, String>) -> Response<Body> {
        let mut state = self.state();
        let limit: usize = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
        let page = if let Some(token) = query.get("continue") {
            state.pages.remove(token)
        } else {
            let all = state.store.of(resource).filter(|(_, object)| is_watched(resource, &object.value));
            Some((state.store.version, all.map(|(_, object)| object.text.clone()).collect()))
        };
        let Some((version, mut rest)) = page else {
            return refusal(410, "Expired", "the provided continue parameter is too old", "");
        };
        let next = rest.split_off(limit.min(rest.len()));
        let token = format!("{resource}-{version}-{}-{}", next.len(), state.requests);
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if !next.is_empty() {
            metadata["continue"] = json!(token);
            state.pages.insert(token, (version, next));
        }
        let mut parts = vec![Bytes::from(format!("{{\"kind\":\"List\",\"metadata\":{metadata},\"items\":["))];
        for (index, text) in rest.into_iter().enumerate() {
            if index > 0 {
                parts.push(Bytes::from_static(b","));
            }
            parts.extend(text);
        }
        parts.push(Bytes::from_static(b"]}"));
        Response::new(whole(parts))
    }

    fn watch(self: &Arc<Self>, resource: Resource, query: &BTreeMap<String, String>) -> Response<Body> {
        let mut state = self.state();
        let seconds = query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(300);
        let (mut from, mut first) = (state.store.version, Vec::new());
        if query.contains_key("sendInitialEvents") {
            if !state.streams {
                return refusal(422, "Invalid", "sendInitialEvents is forbidden for watch", "");
            }
            let all = state.store.of(resource).filter(|(_, object)| is_watched(resource, &object.value));
            first = all.flat_map(|(_, object)| line("ADDED", object)).collect();
            first.push(bookmark(from, true));
        } else if let Some(version) = query.get("resourceVersion").and_then(|version| version.parse().ok()) {
            from = version;
            if version < state.store.compacted {
                return refusal(410, "Expired", "too old resource version", "");
            }
        }
        let fault = match state.too_old_after {
            _ if resource == "leases" => WatchFault::None,
            Some(after) => WatchFault::TooOld(after),
            None => state.faults.of_watch(),
        };
        let (opened, news) = (Instant::now(), self.news.subscribe());
        let until = opened + Duration::from_secs(seconds);
        let server = Arc::clone(self);
        Response::new(Watch { server, resource, from, first, until, fault, opened, news }.body())
    }

    /// The lines for what has changed since `from`, which is set to now; an error if that is forgotten.
    pub(crate) fn told_since(&self, resource: Resource, from: &mut u64) -> Result<Vec<Bytes>, ()> {
        let store = &self.state().store;
        if *from < store.compacted {
            return Err(());
        }
        let since = store.log.partition_point(|told| told.version <= *from);
        let told = store.log.range(since..).filter(|told| told.key.0 == resource);
        let told = told.filter(|told| is_watched(resource, &told.object.value));
        let lines = told.flat_map(|told| line(told.what, &told.object)).collect();
        *from = store.version;
        Ok(lines)
    }

    fn post(self: &Arc<Self>, resource: Resource, namespace: &str, sent: &[u8]) -> Response<Body> {
        let mut value: Value = serde_json::from_slice(sent).unwrap();
        value["metadata"]["namespace"] = json!(namespace);
        if resource != "jobs" {
            return match self.create(resource, value) {
                Some(created) => self.dated(201, &created),
                None => refusal(409, "AlreadyExists", "already exists", ""),
            };
        }
        match self.post_job(namespace, value) {
            Ok(created) => self.dated(201, &created),
            Err(refused) => refused,
        }
    }

    #[expect(clippy::result_large_err, reason = "it is the answer")]
    fn post_job(self: &Arc<Self>, namespace: &str, value: Value) -> Result<Value, Response<Body>> {
        let text =
            |value: &Value, path| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some((code, message)) = self.state().refused.get(namespace) {
            return Err(refusal(*code, "Forbidden", message, ""));
        }
        let of_namespace =
            self.state().store.get(&("namespaces", String::new(), namespace.to_owned())).cloned();
        if of_namespace.is_none_or(|it| it.pointer("/metadata/deletionTimestamp").is_some()) {
            return Err(refusal(403, "Forbidden", "namespace is being terminated", "NamespaceTerminating"));
        }
        let Some(created) = self.create("jobs", value) else {
            return Err(refusal(409, "AlreadyExists", "jobs.batch already exists", ""));
        };
        let post = Post {
            namespace: namespace.to_owned(),
            name: text(&created, "/metadata/name"),
            uid: text(&created, "/metadata/labels/db.isotoma.com~1uid"),
            at: self.age(),
        };
        self.state().posts.push(post);
        crate::cluster::start(self, &created);
        Ok(created)
    }

    /// Only Leases are changed by the operator.
    fn patch(&self, key: &Key, sent: &[u8]) -> Response<Body> {
        let patch: Value = serde_json::from_slice(sent).unwrap();
        let Some(before) = self.state().store.get(key).cloned() else {
            return refusal(404, "NotFound", "not found", "");
        };
        let wanted = &patch["metadata"]["resourceVersion"];
        if !wanted.is_null() && *wanted != before["metadata"]["resourceVersion"] {
            return refusal(409, "Conflict", "the object has been modified", "");
        }
        let changed = self.update(key, |value| {
            for (name, field) in patch["spec"].as_object().unwrap() {
                value["spec"][name] = field.clone();
            }
        });
        self.dated(200, &changed.unwrap())
    }

    fn event(&self, path: &str, sent: &[u8]) -> Response<Body> {
        let Ok(event) = serde_json::from_slice::<Value>(sent) else {
            return refusal(404, "NotFound", path, "");
        };
        let text = |path| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.state().events.push((text("/reason"), text("/regarding/name")));
        self.dated(201, &event)
    }

    fn dated(&self, code: u16, value: &Value) -> Response<Body> {
        let now: Timestamp = self.now().parse().unwrap();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let response = Response::builder().status(code).header("date", date);
        response.body(whole(vec![value.to_string().into()])).unwrap()
    }
}

/// Whether a watch of that kind is told of the object: of Jobs only those with our label.
fn is_watched(resource: Resource, value: &Value) -> bool {
    let label = value.pointer("/metadata/labels/app.kubernetes.io~1managed-by");
    resource != "jobs" || label.and_then(Value::as_str) == Some("db-operator")
}

/// Kind, namespace and name in a path; nothing for Events.
pub(crate) fn place(path: &str) -> Option<(Resource, &str, &str)> {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let after_version = if parts[0] == "api" { &parts[2..] } else { &parts[3..] };
    let (namespace, rest) = match after_version {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let resource = RESOURCES.into_iter().find(|resource| Some(resource) == rest.first())?;
    Some((resource, namespace, rest.get(1).copied().unwrap_or_default()))
}

pub(crate) fn refusal(code: u16, reason: &str, message: &str, cause: &str) -> Response<Body> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
        "details": {"causes": [{"reason": cause, "message": message}], "retryAfterSeconds": 1},
    });
    let response = Response::builder().status(code).header("retry-after", "1");
    response.body(whole(vec![status.to_string().into()])).unwrap()
}
