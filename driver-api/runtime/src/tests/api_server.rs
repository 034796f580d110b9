//! An API server in memory, as far as the runtime talks to it, with faults.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::effects::Effects;
use super::objects::{Kind, Objects, conflict, failure, found, merge};

/// What goes wrong at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The driver dies before the request is made.
    KilledBefore,
    /// The driver dies when the request has taken effect.
    KilledAfter,
    /// The request takes effect, and its answer is lost.
    AnswerLost,
    /// The request takes effect, its answer is lost, and the API server is away until the run has ended.
    GoesAway,
    /// The API server is away from this request on until the run has ended.
    IsAway,
    /// Somebody deletes the Database just before.
    Deleted,
    /// Somebody else writes the Database just before.
    Written,
    /// The owner changes the deletion policy to Retain just before.
    Retained,
    /// Another run claims the Database for a Restore just before.
    Overtaken,
    /// Somebody deletes all Backups and Restores just before.
    RequestsDeleted,
    /// Another run completes all Backups and Restores just before.
    RequestsCompleted,
}

impl Fault {
    /// Those that leave what is wanted as it is.
    pub(super) const ALL: [Self; 7] = [
        Self::KilledBefore,
        Self::KilledAfter,
        Self::AnswerLost,
        Self::GoesAway,
        Self::IsAway,
        Self::Deleted,
        Self::Written,
    ];
}

/// The contents of the API server. Clones share them.
#[derive(Clone)]
pub(super) struct ApiServer {
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
}

/// What happens before each request, whoever makes it.
type Meanwhile = Box<dyn FnMut() + Send>;

#[derive(Default)]
struct State {
    meanwhile: Option<Meanwhile>,
    objects: Objects,
    database: Option<Value>,
    secret: Option<Value>,
    version: u64,
    requests: Vec<String>,
    fault: Option<(usize, Fault)>,
    /// Whether an outage is under way.
    away: bool,
    effects: Effects,
}

impl ApiServer {
    pub(super) fn new(database: Value) -> Self {
        let state = State { database: Some(database), version: 1, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), killed: Arc::default() }
    }

    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// Lets `fault` happen at the request of that index, counted from now.
    pub(super) fn fault_at(&self, index: usize, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        state.requests.clear();
        state.fault = Some((index, fault));
    }

    /// Calls `meanwhile` before each request is answered.
    pub(super) fn meanwhile(&self, meanwhile: impl FnMut() + Send + 'static) {
        self.state.lock().unwrap().meanwhile = Some(Box::new(meanwhile));
    }

    /// The Backups and Restores.
    pub(super) fn objects<T>(&self, look: impl FnOnce(&mut Objects) -> T) -> T {
        look(&mut self.state.lock().unwrap().objects)
    }

    /// What ends a run when it is notified.
    pub(super) fn killer(&self) -> Arc<Notify> {
        Arc::clone(&self.killed)
    }

    /// Runs `work` until it ends, or until a fault kills it. Then an outage is over.
    pub(super) async fn until_killed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let done = tokio::select! {
            done = work => Some(done),
            () = self.killed.notified() => None,
        };
        self.state.lock().unwrap().away = false;
        done
    }

    /// Lets nothing go wrong any more.
    pub(super) fn heal(&self) {
        self.fault_at(usize::MAX, Fault::Written);
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Notes what runs do from here on.
    pub(super) fn note_effects(&self, effects: &Effects) {
        self.state.lock().unwrap().effects = effects.clone();
    }

    pub(super) fn forget_requests(&self) {
        self.state.lock().unwrap().requests.clear();
    }

    pub(super) fn database(&self) -> Option<Value> {
        self.state.lock().unwrap().database.clone()
    }

    pub(super) fn secret(&self) -> Option<Value> {
        self.state.lock().unwrap().secret.clone()
    }

    pub(super) fn set_secret(&self, secret: Option<Value>) {
        self.state.lock().unwrap().secret = secret;
    }

    /// Changes the Database as somebody else would.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state.lock().unwrap();
        state.touch(change);
    }

    /// The owner has changed the spec.
    pub(super) fn change(&self) {
        self.edit(|database| {
            let generation = database["metadata"]["generation"].as_i64().unwrap();
            database["metadata"]["generation"] = json!(generation + 1);
        });
    }

    pub(super) fn delete(&self) {
        self.state.lock().unwrap().delete();
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let fault = {
            let mut state = self.state.lock().unwrap();
            let index = state.requests.len();
            let line = super::objects::describe(&parts.method, parts.uri.path(), &body);
            state.requests.push(line);
            if let Some(meanwhile) = &mut state.meanwhile {
                meanwhile();
            }
            let fault = state.fault.filter(|(at, _)| *at == index).map(|(_, fault)| fault);
            let was_away = state.away;
            state.away |= matches!(fault, Some(Fault::GoesAway | Fault::IsAway));
            if was_away { Some(Fault::IsAway) } else { fault }
        };
        match fault {
            Some(Fault::KilledBefore) => self.kill().await,
            Some(Fault::Deleted) => self.delete(),
            Some(Fault::Written) => {
                self.edit(|database| database["metadata"]["labels"]["seen"] = json!("yes"));
                self.objects(Objects::touch_all);
            }
            Some(Fault::Retained) => self.edit(|database| {
                database["spec"]["deletionPolicy"] = json!("Retain");
                let generation = database["metadata"]["generation"].as_i64().unwrap();
                database["metadata"]["generation"] = json!(generation + 1);
            }),
            Some(Fault::Overtaken) => self.edit(|database| {
                database["status"]["phase"] = json!("RestoreRequested");
                database["status"]["activeOperation"] =
                    json!({"operation": "restore", "job": "another", "restore": "theirs"});
            }),
            Some(Fault::RequestsDeleted) => self.objects(Objects::delete_all),
            Some(Fault::RequestsCompleted) => self.objects(Objects::complete_all),
            Some(Fault::IsAway) => {
                return response(StatusCode::SERVICE_UNAVAILABLE, &failure(503, "ServiceUnavailable"));
            }
            Some(Fault::KilledAfter | Fault::AnswerLost | Fault::GoesAway) | None => {}
        }
        let apply =
            parts.headers.get("content-type").is_some_and(|kind| kind == "application/apply-patch+yaml");
        let (code, answer) = self.state.lock().unwrap().handle(&parts.method, parts.uri.path(), body, apply);
        match fault {
            Some(Fault::KilledAfter) => self.kill().await,
            Some(Fault::AnswerLost | Fault::GoesAway) => {
                return response(StatusCode::GATEWAY_TIMEOUT, &failure(504, "Timeout"));
            }
            _ => {}
        }
        response(code, &answer)
    }

    async fn kill(&self) {
        self.killed.notify_one();
        std::future::pending::<()>().await;
    }
}

impl State {
    fn touch(&mut self, change: impl FnOnce(&mut Value)) {
        self.version += 1;
        let version = self.version.to_string();
        if let Some(database) = &mut self.database {
            change(database);
            database["metadata"]["resourceVersion"] = json!(version);
        }
    }

    fn delete(&mut self) {
        let guarded = self.database.as_ref().is_some_and(has_finalizers);
        if guarded {
            self.touch(|database| {
                if database["metadata"]["deletionTimestamp"].is_null() {
                    database["metadata"]["deletionTimestamp"] = json!("2026-11-21T00:00:00Z");
                    let generation = database["metadata"]["generation"].as_i64().unwrap();
                    database["metadata"]["generation"] = json!(generation + 1);
                }
            });
        } else {
            self.database = None;
            self.secret = None;
        }
    }

    /// Answers a request of the runtime, and notes what has come of it.
    fn handle(&mut self, method: &Method, path: &str, body: Value, apply: bool) -> (StatusCode, Value) {
        let before = self.subject(path);
        let (code, answer) = self.answer(method, path, body, apply);
        if code.is_success() || method == Method::GET {
            let kind = super::objects::kind_in(path);
            match method.as_str() {
                "GET" => self.effects.note(format!("read {kind}")),
                "POST" => self.effects.note(format!("make {kind}")),
                _ if kind == "secret" => self.effects.note("write secret"),
                _ => self.effects.changed(kind, &before.unwrap_or_default(), &answer),
            }
        }
        (code, answer)
    }

    /// The object that a path is about.
    fn subject(&self, path: &str) -> Option<Value> {
        match Kind::in_path(path) {
            Some((kind, name)) => self.objects.get(kind, name),
            None => self.database.clone(),
        }
    }

    fn answer(&mut self, method: &Method, path: &str, body: Value, apply: bool) -> (StatusCode, Value) {
        if let Some((kind, name)) = Kind::in_path(path) {
            return self.objects.handle(method, kind, name, path.ends_with("/status"), body);
        }
        let secret = path.contains("/secrets");
        match (secret, method.as_str()) {
            (false, "GET") => found(self.database.as_ref()),
            (false, "PATCH") => self.patch_database(path.ends_with("/status"), &body, apply),
            (true, "GET") => found(self.secret.as_ref()),
            (true, "POST") if self.secret.is_some() => conflict("AlreadyExists"),
            (true, "POST") => {
                let mut body = body;
                body["metadata"]["uid"] = json!("secret-uid");
                self.secret = Some(body.clone());
                (StatusCode::CREATED, body)
            }
            (true, "PATCH") => {
                let Some(stored) = &mut self.secret else { return found(None) };
                assert!(apply, "Secrets are written by server-side apply");
                if body["metadata"]["uid"] != stored["metadata"]["uid"] {
                    return conflict("Conflict");
                }
                merge(stored, &body);
                (StatusCode::OK, stored.clone())
            }
            _ => panic!("the runtime asks for {method} {path}, which its role does not hold"),
        }
    }

    fn patch_database(&mut self, status: bool, body: &Value, apply: bool) -> (StatusCode, Value) {
        let Some(database) = &self.database else { return found(None) };
        let (sent, stored) = (&body["metadata"], &database["metadata"]);
        if !status {
            super::objects::assert_holds_finalizers_alone(body);
        }
        if sent["uid"] != stored["uid"] {
            return conflict("Conflict");
        }
        assert!(!apply, "a Database is written by compare-and-swap");
        if sent["resourceVersion"] != stored["resourceVersion"] {
            return conflict("Conflict");
        }
        if status {
            let change = body["status"].clone();
            self.touch(|database| merge(&mut database["status"], &change));
        } else {
            let more = sent["finalizers"].as_array().map_or(0, Vec::len)
                > stored["finalizers"].as_array().map_or(0, Vec::len);
            assert!(!more || stored["deletionTimestamp"].is_null(), "a finalizer on what is being deleted");
            let finalizers = sent["finalizers"].clone();
            self.touch(|database| database["metadata"]["finalizers"] = finalizers);
        }
        let answer = self.database.clone().unwrap();
        if !answer["metadata"]["deletionTimestamp"].is_null() && !has_finalizers(&answer) {
            self.database = None;
            self.secret = None;
        }
        (StatusCode::OK, answer)
    }
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

fn response(code: StatusCode, body: &Value) -> Response<Body> {
    Response::builder().status(code).body(Body::from(serde_json::to_vec(body).unwrap())).unwrap()
}
