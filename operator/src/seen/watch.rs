//! Watches that keep of each object only what decisions read, and the wait for our kinds to exist.

use std::fmt::Debug;
use std::time::Duration;

use api::{
    Backup, Database, DriverRegistration, RECONCILE_ANNOTATION, RETRY_ANNOTATION, Restore, S3Credentials,
};
use futures::{Stream, TryStreamExt, pin_mut};
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tracing::{info, warn};

use crate::seen::requests::strip_source;

/// How often the API server is asked for what we wait for at the start.
const START_INTERVAL: Duration = Duration::from_secs(5);

/// Objects a page when a watch begins: it bounds the memory that a large cluster costs at that moment.
const PAGE: u32 = 100;

/// What a watch has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// All objects that exist. Others do not, any more.
    All(Vec<T>),
    /// This object is new or has changed.
    Applied(T),
    /// This object is gone.
    Deleted(T),
}

/// The watch of one kind, repeated for ever after errors.
pub fn events<K>(
    api: Api<K>,
    labels: Option<&str>,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + use<K>
where
    K: Resource + Clone + Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let config = watcher::Config { label_selector: labels.map(str::to_owned), ..watcher::Config::default() };
    watcher(api, config.page_size(PAGE)).default_backoff()
}

/// Follows a watch for ever. Of each object only what `project` makes of it is kept.
pub async fn follow<K, T>(
    what: &str,
    events: impl Stream<Item = Result<Event<K>, watcher::Error>>,
    project: impl Fn(K) -> Option<T>,
    mut tell: impl FnMut(Change<T>),
) {
    let mut all = Vec::new();
    pin_mut!(events);
    loop {
        match events.try_next().await {
            Ok(Some(Event::Init)) => all = Vec::new(),
            Ok(Some(Event::InitApply(object))) => all.extend(project(object)),
            Ok(Some(Event::InitDone)) => tell(Change::All(std::mem::take(&mut all))),
            Ok(Some(Event::Apply(object))) => {
                if let Some(object) = project(object) {
                    tell(Change::Applied(object));
                }
            }
            Ok(Some(Event::Delete(object))) => {
                if let Some(object) = project(object) {
                    tell(Change::Deleted(object));
                }
            }
            Ok(None) => return,
            Err(error) => warn!(%error, what, "the watch broke; watching again"),
        }
    }
}

/// Drops from a Database what no decision and no Job is made from, its password first of all.
pub fn strip(database: &mut Database) {
    let metadata = &mut database.metadata;
    metadata.managed_fields = None;
    metadata.labels = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, _| name == RETRY_ANNOTATION || name == RECONCILE_ANNOTATION);
    }
    let spec = &mut database.spec;
    spec.parameters.clear();
    spec.secret_template = None;
    for source in [&mut spec.credentials.username, &mut spec.credentials.password] {
        source.value = None;
    }
    if let Some(target) = &mut spec.backup_to {
        target.s3.as_mut().and_then(|s3| s3.credentials.as_mut()).map(S3Credentials::strip);
    }
    if let Some(source) = &mut spec.restore_from {
        strip_source(source);
    }
    if let Some(ca) = spec.connect.tls.as_mut().and_then(|tls| tls.ca.as_mut()) {
        ca.value = None;
    }
}

/// Of what the watch of Backups brings, those that are being deleted.
pub fn deleted_backups(event: &Event<Backup>) -> Option<Event<Backup>> {
    let strip = |backup: &Backup| {
        let mut backup = backup.clone();
        backup.metadata.managed_fields = None;
        backup.metadata.labels = None;
        backup
    };
    match event {
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
        Event::InitApply(backup) if backup.is_being_deleted() => Some(Event::InitApply(strip(backup))),
        Event::Apply(backup) if backup.is_being_deleted() => Some(Event::Apply(strip(backup))),
        Event::Delete(backup) => Some(Event::Delete(strip(backup))),
        Event::InitApply(_) | Event::Apply(_) => None,
    }
}

/// Waits until the API server answers and knows our kinds.
pub async fn wait_for_kinds(client: Client) {
    let mut said = None;
    loop {
        let Err(why) = ask_for_kinds(&client).await else { return };
        if said.as_ref() != Some(&why) {
            warn!("{why}; asking again every {} s", START_INTERVAL.as_secs());
            said = Some(why);
        }
        tokio::time::sleep(START_INTERVAL).await;
    }
}

async fn ask_for_kinds(client: &Client) -> Result<(), String> {
    let one = ListParams::default().limit(1);
    let answers = [
        ("Database", Api::<Database>::all(client.clone()).list_metadata(&one).await.map(|_| ())),
        ("Backup", Api::<Backup>::all(client.clone()).list_metadata(&one).await.map(|_| ())),
        ("Restore", Api::<Restore>::all(client.clone()).list_metadata(&one).await.map(|_| ())),
        ("Driver", Api::<DriverRegistration>::all(client.clone()).list_metadata(&one).await.map(|_| ())),
    ];
    let mut missing = Vec::new();
    for (kind, answer) in answers {
        match answer {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => missing.push(kind),
            Err(kube::Error::Api(status)) => {
                return Err(format!(
                    "the API server does not let us list {kind} objects: {}",
                    status.message
                ));
            }
            Err(error) => return Err(format!("cannot reach the API server: {}", chain(&error))),
        }
    }
    if missing.is_empty() {
        info!("the API server knows our kinds");
        return Ok(());
    }
    Err(format!(
        "the API server does not know {} of group db.isotoma.com yet: install the CRDs, which the chart does",
        missing.join(", ")
    ))
}

/// An error and its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A Driver without what is only for people.
pub fn project_driver(mut driver: DriverRegistration) -> Option<(String, DriverRegistration)> {
    driver.metadata.managed_fields = None;
    Some((driver.name_any(), driver))
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_list_arrives_whole_and_replaces_what_was_there() {
        let list = |names: &[&'static str]| {
            let applied = names.iter().map(|name| Ok(Event::InitApply(*name)));
            let begin = std::iter::once(Ok(Event::Init)).chain(applied);
            begin.chain(std::iter::once(Ok(Event::InitDone))).collect::<Vec<_>>()
        };
        // A list that breaks off and begins again must not leave its first half behind.
        let broken = vec![Ok(Event::Init), Ok(Event::InitApply("half"))];
        let live = vec![Ok(Event::Apply("new")), Ok(Event::Delete("old")), Ok(Event::Apply("skipped"))];
        let events = stream::iter([broken, list(&["old"]), live, list(&[])].into_iter().flatten());
        let mut changes = Vec::new();
        let keep = |name: &'static str| (name != "skipped").then_some(name);
        follow("names", events, keep, |change| changes.push(change)).await;
        assert_eq!(
            changes,
            [Change::All(vec!["old"]), Change::Applied("new"), Change::Deleted("old"), Change::All(vec![])]
        );
    }

    #[test]
    fn of_the_backups_only_those_that_are_being_deleted_are_kept() {
        let backup = |deleted: bool| -> Backup {
            let time = deleted.then_some("2026-01-01T00:00:00Z");
            serde_json::from_value(serde_json::json!({
                "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Backup", "spec": {"database": "orders"},
                "metadata": {"name": "nightly", "namespace": "shop", "deletionTimestamp": time},
            }))
            .unwrap()
        };
        let (mut writer, kept) = {
            let (reader, writer) = kube::runtime::reflector::store();
            (writer, move || reader.len())
        };
        let mut take = |event: Event<Backup>| {
            if let Some(event) = deleted_backups(&event) {
                writer.apply_watcher_event(&event);
            }
            kept()
        };
        assert_eq!([Event::Init, Event::InitApply(backup(false)), Event::InitDone].map(&mut take), [0, 0, 0]);
        assert_eq!(take(Event::Apply(backup(false))), 0);
        assert_eq!(take(Event::Apply(backup(true))), 1);
        assert_eq!(take(Event::Delete(backup(true))), 0);
        assert_eq!([Event::Init, Event::InitApply(backup(true)), Event::InitDone].map(&mut take), [0, 0, 1]);
    }

    #[test]
    fn no_password_stays_in_memory() {
        let mut database: Database = serde_json::from_value(serde_json::json!({
            "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2",
                                         "db.isotoma.com/retry": "y"}},
            "spec": {"driver": "engine", "connect": {"host": "h"}, "parameters": {"note": "hunter2"},
                     "backupTo": {"s3": {"region": "r", "bucket": "bbb"}},
                     "credentials": {"username": {"value": "u"}, "password": {"value": "hunter2"}}},
        }))
        .unwrap();
        let policy = database.spec.deletion_policy();
        strip(&mut database);
        let text = serde_json::to_string(&database).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(database.annotation(RETRY_ANNOTATION), Some("y"));
        assert_eq!(database.spec.deletion_policy(), policy);
    }
}
