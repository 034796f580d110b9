use std::convert::Infallible;

use http::{Request, Response};
use kube::client::Body;

use super::*;
use crate::job::build::Settings;
use crate::slots::Limits;

/// A process that leads, what wakes its Backups, and the store of those that are being deleted.
fn leader(
    client: Client,
) -> (Arc<Context>, UnboundedReceiver<ObjectRef<Backup>>, Writer<Backup>, watch::Sender<bool>) {
    let (lead, leading) = watch::channel(true);
    let (wake, _) = mpsc::unbounded();
    let (wake_backup, woken) = mpsc::unbounded();
    let (deleted_backups, writer) = reflector::store();
    let metrics = Arc::default();
    let context = Context {
        voice: Voice::new(client.clone(), "pod", Arc::clone(&metrics)),
        client,
        settings: Settings {
            namespace: "system".into(),
            cluster_id: "c-1".into(),
            release_service_account: "let-go".into(),
            log_format: "text",
        },
        limits: Limits { total: 50, per_server: 8 },
        resync: None,
        databases: reflector::store().0,
        world: Mutex::default(),
        leading,
        metrics,
        wake,
        deleted_backups,
        wake_backup,
    };
    (Arc::new(context), woken, writer, lead)
}

/// An API server that answers nothing, and tells what it was asked.
fn silent(tell: mpsc::UnboundedSender<String>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let _ = tell.unbounded_send(format!("{} {}", request.method(), request.uri().path()));
        future::ready(Ok::<_, Infallible>(Response::new(Body::from(b"{}".to_vec()))))
    });
    Client::new(service, "system")
}

fn backup(deleted: Option<&str>) -> Backup {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Backup", "spec": {"database": "orders"},
        "metadata": {"name": "nightly", "namespace": "shop", "uid": "b-1", "deletionTimestamp": deleted,
                     "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["db.isotoma.com/backup"]},
    }))
    .unwrap()
}

#[tokio::test]
async fn a_backup_is_let_go_as_soon_as_the_watch_shows_that_it_is_deleted() {
    let (ask, mut asked) = mpsc::unbounded();
    let (context, woken, mut writer, _lead) = leader(silent(ask));
    let (stop, stopping) = watch::channel(false);
    let driver = serde_json::json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Driver", "metadata": {"name": "engine"},
        "spec": {"image": "img:1"},
    });
    let driver: DriverRegistration = serde_json::from_value(driver).unwrap();
    context.world().drivers.insert("engine".to_owned(), Arc::new(driver));
    let controlled = tokio::spawn(control_backups(Arc::clone(&context), woken, stopping));
    for event in [
        watcher::Event::Init,
        watcher::Event::InitApply(backup(None)),
        watcher::Event::InitDone,
        watcher::Event::Apply(backup(Some("2026-01-01T00:00:00Z"))),
    ] {
        take_deleted(&context, &mut writer, &event);
    }
    assert_eq!(asked.next().await.unwrap(), "POST /apis/batch/v1/namespaces/shop/jobs");
    stop.send_replace(true);
    controlled.await.unwrap();
}

#[tokio::test]
async fn a_backup_that_waits_for_a_restore_is_looked_at_when_that_has_ended() {
    let (ask, _asked) = mpsc::unbounded();
    let (context, mut woken, _writer, _lead) = leader(silent(ask));
    let deleted = KnownRequest::of_backup(backup(Some("2026-01-01T00:00:00Z"))).unwrap();
    context.world().requests.apply(deleted);
    let restore: Job = serde_json::from_value(serde_json::json!({
        "metadata": {
            "name": "restore", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app.kubernetes.io/managed-by": "db-operator", "db.isotoma.com/uid": "d-1",
                       "db.isotoma.com/operation": "restore", "db.isotoma.com/generation": "1",
                       "db.isotoma.com/attempt": "1"},
            "annotations": {"db.isotoma.com/database": "copy", "db.isotoma.com/namespace": "shop",
                            "db.isotoma.com/source": "b-1"},
        },
    }))
    .unwrap();
    take_jobs(&context, Change::Deleted(KnownJob::of(&restore).unwrap()));
    assert_eq!(woken.next().await.unwrap().name, "nightly");
}
