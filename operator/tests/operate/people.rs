//! What people do, by seed: they make Databases, Backups and Restores, change them, delete them, and write nonsense.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::json;
use tokio::time::sleep;

use crate::chance::Chance;
use crate::server::Server;
use crate::store::Key;

/// What there should be at the end.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) kept: Vec<Key>,
    pub(crate) deleted: Vec<Key>,
    pub(crate) requests: Vec<Key>,
    /// Objects that cannot be decoded.
    pub(crate) nonsense: Vec<Key>,
}

/// What of a Database that is only text may be long or strange.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) phase: &'static str,
    pub(crate) annotations: Bytes,
    pub(crate) parameters: Bytes,
}

impl Default for Text {
    fn default() -> Self {
        let nothing = Bytes::from_static(b"{}");
        Self { phase: "null", annotations: nothing.clone(), parameters: nothing }
    }
}

/// A Database as text.
pub(crate) fn text_database(namespace: &str, name: &str, text: &Text) -> (Key, Vec<Bytes>) {
    let Text { phase, annotations, parameters } = text;
    let begin = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"text-{namespace}-{name}","generation":1,"resourceVersion":"@version","annotations":"#
    );
    let between = format!(
        r#"}},"status":{{"phase":{phase}}},"spec":{{"driver":"engine","connect":{{"host":"db.example"}},"deletionPolicy":"Delete","parameters":"#
    );
    let key = ("databases", namespace.to_owned(), name.to_owned());
    let end = Bytes::from_static(b"}}");
    (key, vec![begin.into(), annotations.clone(), between.into(), parameters.clone(), end])
}

pub(crate) fn nested(levels: usize) -> Bytes {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)).into()
}

/// Plays all of it.
pub(crate) async fn play(server: &Arc<Server>, chance: &mut Chance) -> Wanted {
    let mut wanted = Wanted::default();
    let namespaces: Vec<_> = (0..=chance.below(4)).map(|index| format!("team-{index}")).collect();
    for namespace in &namespaces {
        server.namespace(namespace);
    }
    if chance.thousandth(700) {
        server.driver("engine", "img:1");
    }
    for index in 0..5 + chance.below(10) {
        let namespace = &namespaces[usize::try_from(chance.below(namespaces.len() as u64)).unwrap()];
        let name = format!("db-{index}");
        let policy = match chance.below(3) {
            0 => {
                json!({"deletionPolicy": "BackupThenDelete", "backupTo": {"s3": {"region": "r", "bucket": "b"}}})
            }
            1 => json!({"deletionPolicy": "Retain", "connect": {"host": format!("db-{}", chance.below(3))}}),
            _ => json!({}),
        };
        match chance.below(12) {
            0 => {
                let levels = if chance.thousandth(500) { 140 } else { 1 };
                let text = Text { phase: "\"Sideways\"", parameters: nested(levels), ..Text::default() };
                let (key, parts) = text_database(namespace, &name, &text);
                server.state().store.put_text(key.clone(), &parts);
                server.tell();
                wanted.nonsense.push(key);
            }
            1 => wanted.deleted.push(server.database(namespace, &name, &policy)),
            _ => wanted.kept.push(server.database(namespace, &name, &policy)),
        }
        sleep(chance.time(0, 4_000)).await;
    }
    server.driver("engine", "img:1");
    for _ in 0..chance.below(10) {
        sleep(chance.time(0, 10_000)).await;
        let index = usize::try_from(chance.below(wanted.kept.len() as u64)).unwrap();
        let Some(key) = wanted.kept.get(index).cloned() else { continue };
        match chance.below(5) {
            0 | 1 => {
                let (resource, from) = if chance.thousandth(700) {
                    ("backups", json!(null))
                } else {
                    ("restores", json!({"location": {"s3": {"region": "r", "bucket": "b"}, "path": "p"}}))
                };
                let name = format!("request-{}", server.state().store.version);
                let metadata = json!({"name": name, "namespace": key.1});
                let spec = json!({"database": key.2, "from": from});
                let spec = if from.is_null() { json!({"database": key.2}) } else { spec };
                server.create(resource, json!({"metadata": metadata, "spec": spec}));
                wanted.requests.push((resource, key.1, name));
            }
            2 => {
                server.update(&key, |it| {
                    it["metadata"]["generation"] = json!(it["metadata"]["generation"].as_i64().unwrap() + 1);
                });
            }
            3 => {
                server.update(&key, |it| {
                    it["metadata"]["annotations"] = json!({api::RECONCILE_ANNOTATION: "again"});
                });
            }
            _ => {
                server.delete(&key);
                wanted.deleted.push(wanted.kept.swap_remove(index));
                // What is asked of one that goes is not done.
                wanted.requests.retain(|request| {
                    let state = server.state();
                    let of = state.store.get(request).and_then(|it| it["spec"]["database"].as_str());
                    request.1 != key.1 || of != Some(key.2.as_str())
                });
            }
        }
    }
    for key in &wanted.deleted {
        sleep(chance.time(0, 5_000)).await;
        server.delete(key);
    }
    wanted
}

/// What goes wrong in the large, for so long: restarts, compactions, and an API server that is away.
pub(crate) async fn trouble(server: &Arc<Server>, mut chance: Chance, length: Duration) {
    while server.age() < length {
        sleep(chance.time(1_000, 30_000)).await;
        match chance.below(4) {
            0 => server.restart(),
            1 => server.compact(),
            2 => {
                server.compact();
                server.restart();
            }
            _ => {
                let (length, forgets) = (chance.time(500, 60_000), chance.thousandth(500));
                server.go_away(length, forgets).await;
            }
        }
    }
}
