//! What moves Jobs: pods that start after a while, run a driver, and end; Jobs that are removed when their time is over.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::chance::Chance;
use crate::driver::{self, Exit, Run};
use crate::pods::Pods;
use crate::server::Server;
use crate::store::Key;

/// Moves a Job on, from now until it is removed.
pub(crate) fn start(server: &Arc<Server>, job: &Value) {
    let text = |path| job.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let key: Key = ("jobs", text("/metadata/namespace"), text("/metadata/name"));
    let image = text("/spec/template/spec/containers/0/image");
    let time_to_live = job.pointer("/spec/ttlSecondsAfterFinished").and_then(Value::as_u64).unwrap_or(3_600);
    let (server, job) = (Arc::clone(server), job.clone());
    let (mut chance, pods) = {
        let cluster = &mut server.state().cluster;
        (cluster.chance.split(), cluster.pods.clone())
    };
    tokio::spawn(async move {
        if pods.suspended.contains(&key.1) {
            server.update(&key, |job| job["spec"]["suspend"] = json!(true));
            return;
        }
        sleep(chance.time(pods.start.0, pods.start.1)).await;
        let namespace = server.state().store.get(&("namespaces", String::new(), key.1.clone())).cloned();
        if namespace.is_none_or(|it| it.pointer("/metadata/deletionTimestamp").is_some()) {
            return;
        }
        if server.update(&key, |job| job["status"] = json!({"active": 1, "ready": 0})).is_none() {
            return;
        }
        let mut news = server.listen();
        while server.state().cluster.pods.not_pulled.contains(&image) {
            if news.changed().await.is_err() {
                return;
            }
        }
        sleep(chance.time(pods.start.0, pods.start.1)).await;
        if server.update(&key, |job| job["status"] = json!({"active": 1, "ready": 1})).is_none() {
            return;
        }
        let exit = work(&server, &job, &mut chance, &pods).await;
        // Kubernetes takes its time to say that a Job is complete.
        sleep(chance.time(0, 3_000)).await;
        let (kind, reason, message) = match exit {
            Exit::Done => ("Complete", "CompletionsReached", ""),
            Exit::Failed => ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        };
        let condition = json!({
            "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": server.now(),
        });
        server.update(&key, |job| job["status"] = json!({"failed": 1, "conditions": [condition]}));
        sleep(Duration::from_secs(time_to_live)).await;
        server.delete(&key);
    });
}

async fn work(server: &Arc<Server>, job: &Value, chance: &mut Chance, pods: &Pods) -> Exit {
    let uid = job.pointer("/metadata/labels/db.isotoma.com~1uid").and_then(Value::as_str).unwrap_or_default();
    let (on, lock) = {
        let mut state = server.state();
        let database = state.store.with_uid("databases", uid);
        // A Job of an object that is gone holds no slot, for anybody could forge one; its run finds nothing to do.
        let on = database.map(|(_, it)| it["spec"]["connect"]["host"].to_string());
        let cluster = &mut state.cluster;
        if let Some(on) = &on {
            let here = cluster.at_work.entry(on.clone()).or_default();
            *here += 1;
            cluster.most_on_one_server = cluster.most_on_one_server.max(*here);
            cluster.most_at_work = cluster.most_at_work.max(cluster.at_work.values().sum());
        }
        (on, Arc::clone(cluster.locks.entry(uid.to_owned()).or_default()))
    };
    sleep(pods.work).await;
    let exit = {
        let _alone = lock.lock().await;
        let mut run = Run { server, job, chance, pods, uid };
        driver::drive(&mut run).await
    };
    if let Some(on) = on
        && let Some(here) = server.state().cluster.at_work.get_mut(&on)
    {
        *here -= 1;
    }
    exit
}

/// Deletes a namespace and all that is in it; it is gone when nothing is left.
pub(crate) async fn end_namespace(server: &Arc<Server>, name: &str, patience: Duration) -> bool {
    let namespace: Key = ("namespaces", String::new(), name.to_owned());
    server.update(&namespace, |it| it["metadata"]["finalizers"] = json!(["kubernetes"]));
    server.delete(&namespace);
    let deadline = Instant::now() + patience;
    let mut news = server.listen();
    loop {
        let left: Vec<Key> = {
            let state = server.state();
            let all = state.store.objects.keys().filter(|key| key.1 == name).cloned();
            all.collect()
        };
        if left.is_empty() {
            server.update(&namespace, |it| it["metadata"]["finalizers"] = json!([]));
            return true;
        }
        for key in left {
            let is_deleted = {
                let state = server.state();
                state.store.get(&key).is_none_or(|it| it.pointer("/metadata/deletionTimestamp").is_some())
            };
            if !is_deleted {
                server.delete(&key);
            }
        }
        tokio::select! {
            _ = news.changed() => {}
            () = tokio::time::sleep_until(deadline) => return false,
        }
    }
}
