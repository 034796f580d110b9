//! The API server: paths → what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::chance::Chance;
use crate::cluster::{Cluster, Pods};
use crate::faults::{Fault, Faults, WatchFault};
use crate::store::{Key, RESOURCES, Resource, Store};
use crate::stream::{Body, Watch, bookmark, half, line, whole};

/// A Job that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The uid of the object that it works on.
    pub(crate) of: String,
    pub(crate) at: Instant,
}

/// All that the API server knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    /// Nobody can reach it.
    pub(crate) away: bool,
    /// Whether lists stream.
    pub(crate) streams: bool,
    /// The Jobs that it took, in their order.
    pub(crate) posts: Vec<Post>,
    /// The answers to the POSTs of Jobs, by code.
    pub(crate) answers: BTreeMap<u16, usize>,
    /// Reason and name of what each Event is about.
    pub(crate) events: Vec<(String, String)>,
    /// How many requests there were.
    pub(crate) requests: u64,
    /// Namespaces that the operator may not create Jobs in.
    pub(crate) unserved: BTreeSet<String>,
    /// Where the rest of each list is that is read by pages.
    pages: BTreeMap<String, (u64, Vec<Vec<Bytes>>)>,
    pub(crate) cluster: Cluster,
}

/// The API server.
#[derive(Debug)]
pub(crate) struct Server {
    state: Mutex<State>,
    news: watch::Sender<u64>,
    restarts: watch::Sender<u64>,
    begun: Instant,
    /// What its clock said when it began.
    time: Timestamp,
}

type Answer = Result<Response<Body>, Infallible>;

impl Server {
    /// A server without faults, whose clock is ahead of ours by so many seconds.
    pub(crate) fn new(mut chance: Chance, ahead: i64) -> Arc<Self> {
        let faults = Faults { chance: chance.split(), per_mille: 0, met: 0 };
        let state = State {
            store: Store::default(),
            faults,
            away: false,
            streams: true,
            posts: Vec::new(),
            answers: BTreeMap::new(),
            events: Vec::new(),
            requests: 0,
            unserved: BTreeSet::new(),
            pages: BTreeMap::new(),
            cluster: Cluster::new(chance.split(), Pods::default()),
        };
        let server = Arc::new(Self {
            state: Mutex::new(state),
            news: watch::Sender::new(0),
            restarts: watch::Sender::new(0),
            begun: Instant::now(),
            time: Timestamp::from_second(Timestamp::now().as_second() + ahead).unwrap(),
        });
        server.create("namespaces", json!({"metadata": {"name": "kube-system"}}));
        server
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // All is on one thread, so whoever waits here would wait for itself.
        self.state.try_lock().expect("the state is taken already")
    }

    /// Its clock.
    pub(crate) fn now(&self) -> String {
        let now = self.time.checked_add(self.begun.elapsed()).unwrap();
        Timestamp::from_second(now.as_second()).unwrap().to_string()
    }

    /// How long it has been there.
    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Tells the watches that something has changed.
    pub(crate) fn tell(&self) {
        self.news.send_modify(|news| *news += 1);
    }

    /// Wakes with each change.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub(crate) fn create(&self, resource: Resource, value: Value) -> Option<Value> {
        let created = self.state().store.create(resource, value, &self.now());
        self.tell();
        created
    }

    pub(crate) fn update(&self, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Value> {
        let changed = self.state().store.update(key, change);
        self.tell();
        changed
    }

    pub(crate) fn delete(&self, key: &Key) {
        self.state().store.delete(key, &self.now());
        self.tell();
    }

    /// Ends all connections.
    pub(crate) fn restart(&self) {
        self.restarts.send_modify(|restarts| *restarts += 1);
    }

    /// Forgets what has changed so far: who wants to go on from there is told 410.
    pub(crate) fn compact(&self) {
        let mut state = self.state();
        state.store.compact();
        state.pages.clear();
        drop(state);
        self.tell();
    }

    /// Is away for so long.
    pub(crate) async fn go_away(&self, length: Duration) {
        self.state().away = true;
        self.restart();
        sleep(length).await;
        self.state().away = false;
    }

    /// A client of it. While `cut` is true, nothing gets through.
    pub(crate) fn client(self: &Arc<Self>, cut: &Arc<AtomicBool>) -> Client {
        let (server, cut) = (Arc::clone(self), Arc::clone(cut));
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (server, cut) = (Arc::clone(&server), Arc::clone(&cut));
            async move {
                if cut.load(Ordering::Relaxed) || server.state().away {
                    return Err(Box::<dyn std::error::Error + Send + Sync>::from("connection refused"));
                }
                let (parts, body) = request.into_parts();
                let request = Request::from_parts(parts, Full::new(body.collect_bytes().await?));
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                tokio::spawn(server.serve(theirs, cut));
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
                tokio::spawn(connection);
                Ok(sender.send_request(request).await?)
            }
        });
        Client::new(service, "default")
    }

    async fn serve(self: Arc<Self>, connection: tokio::io::DuplexStream, cut: Arc<AtomicBool>) {
        let mut restarts = self.restarts.subscribe();
        let service = service_fn(|request| Arc::clone(&self).answer(request));
        let serving =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service);
        let is_cut = async {
            while !cut.load(Ordering::Relaxed) {
                if restarts.changed().await.is_err() || !cut.load(Ordering::Relaxed) {
                    break;
                }
            }
        };
        tokio::select! {
            _ = serving => {}
            () = is_cut => {}
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
        let (parts, body) = request.into_parts();
        let sent = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let query: BTreeMap<String, String> = parts.uri.query().map(pairs).unwrap_or_default();
        let is_watch = query.contains_key("watch");
        let fault = {
            let mut state = self.state();
            state.requests += 1;
            state.faults.of_request(is_watch)
        };
        let lost = || std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection ends");
        match fault {
            Fault::Refused(code) => return Ok(refusal(code, "ServiceUnavailable", "try again later", "")),
            Fault::TooOld => return Ok(refusal(410, "Expired", "too old resource version", "")),
            Fault::LostBefore => return Err(lost()),
            Fault::Late(by) => sleep(by).await,
            Fault::None | Fault::LostAfter | Fault::Cut | Fault::Silent => {}
        }
        let Ok(answer) = self.handle(&parts.method, parts.uri.path(), &query, &sent);
        match fault {
            Fault::LostAfter => Err(lost()),
            Fault::Silent => std::future::pending().await,
            Fault::Cut if !is_watch => {
                let (parts, body) = answer.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok(Response::from_parts(parts, half(&[body])))
            }
            Fault::Cut
            | Fault::None
            | Fault::Refused(_)
            | Fault::TooOld
            | Fault::LostBefore
            | Fault::Late(_) => Ok(answer),
        }
    }

    fn handle(
        self: &Arc<Self>,
        method: &Method,
        path: &str,
        query: &BTreeMap<String, String>,
        sent: &[u8],
    ) -> Answer {
        let Some((resource, namespace, name)) = place(path) else {
            return Ok(self.event(path, sent));
        };
        if query.contains_key("watch") {
            return Ok(self.watch(resource, query));
        }
        let key = (resource, namespace.to_owned(), name.to_owned());
        Ok(match (method, name) {
            (&Method::GET, "") => self.list(resource, query),
            (&Method::GET, _) => self.get(&key),
            (&Method::POST, _) => self.post(resource, namespace, sent),
            (&Method::PATCH, _) => self.patch(&key, sent),
            _ => refusal(405, "MethodNotAllowed", "the operator does not do this", ""),
        })
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
        let (version, mut rest) = match query.get("continue") {
            Some(token) => match state.pages.remove(token) {
                Some(page) => page,
                None => return refusal(410, "Expired", "the provided continue parameter is too old", ""),
            },
            None => {
                let all = state.store.of(resource).filter(|(_, object)| is_watched(resource, &object.value));
                (state.store.version, all.map(|(_, object)| object.text.clone()).collect())
            }
        };
        let next = rest.split_off(limit.min(rest.len()));
        let token = format!("page-{version}-{}", next.len());
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
        let fault = if resource == "leases" { WatchFault::None } else { state.faults.of_watch() };
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
        let answer = self.post_job(namespace, value);
        let code = answer.as_ref().map_or_else(|refused| refused.status().as_u16(), |_| 201);
        *self.state().answers.entry(code).or_default() += 1;
        match answer {
            Ok(created) => self.dated(201, &created),
            Err(refused) => refused,
        }
    }

    #[expect(clippy::result_large_err, reason = "it is the answer")]
    fn post_job(self: &Arc<Self>, namespace: &str, value: Value) -> Result<Value, Response<Body>> {
        let text =
            |value: &Value, path| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        if self.state().unserved.contains(namespace) {
            let message = format!(
                "jobs.batch is forbidden: cannot create resource \"jobs\" in the namespace \"{namespace}\""
            );
            return Err(refusal(403, "Forbidden", &message, ""));
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
            of: text(&created, "/metadata/labels/db.isotoma.com~1uid"),
            at: Instant::now(),
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
fn place(path: &str) -> Option<(Resource, &str, &str)> {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let after_version = if parts[0] == "api" { &parts[2..] } else { &parts[3..] };
    let (namespace, rest) = match after_version {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let resource = RESOURCES.into_iter().find(|resource| Some(resource) == rest.first())?;
    Some((resource, namespace, rest.get(1).copied().unwrap_or_default()))
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn refusal(code: u16, reason: &str, message: &str, cause: &str) -> Response<Body> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
        "details": {"causes": [{"reason": cause, "message": message}], "retryAfterSeconds": 1},
    });
    let response = Response::builder().status(code).header("retry-after", "1");
    response.body(whole(vec![status.to_string().into()])).unwrap()
}
