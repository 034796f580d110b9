//! The Backups and Restores that exist, as far as decisions read them.

use std::collections::{BTreeMap, BTreeSet};

use api::Operation;
use api::{
    Backup, Conditions, Database, GROUP, READY, RETRY_ANNOTATION, Restore, RestoreSource, S3Credentials,
    S3Target, UID_LABEL,
};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

use crate::slots::Place;

/// A Backup or a Restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRequest {
    /// What it asks for: [`Operation::Backup`] or [`Operation::Restore`].
    pub operation: Operation,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Name of the Database that it is about.
    pub database: String,
    /// Uid of that Database, where it is about no other one of that name.
    pub database_uid: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// The value of `db.isotoma.com/retry`.
    pub retry: Option<String>,
    /// Whether somebody deletes it.
    pub deleted: bool,
    /// Whether everything is done.
    pub completed: bool,
    /// The Job that did it.
    pub completed_by: Option<String>,
    /// Of a Restore: where its backup is.
    pub from: Option<RestoreSource>,
    /// Of a Backup that is stored, or is being: where.
    pub stored_in: Option<S3Target>,
    /// Of a Backup whose objects in the store were deleted: what is said of that.
    pub deletion_note: Option<String>,
}

impl KnownRequest {
    /// A Backup.
    pub fn of_backup(backup: Backup) -> Option<Self> {
        let deleted = backup.is_being_deleted();
        let status = backup.status.unwrap_or_default();
        let phase = status.phase;
        let last_word = Conditions::get(&status.conditions, READY);
        let deletion_note = last_word.filter(|ready| deleted && ready.reason == "Deleted");
        let deletion_note = deletion_note.map(|ready| ready.message.clone());
        let stored_in = status.location.map(|location| location.s3);
        Some(Self {
            completed: phase == Some(api::BackupPhase::Completed),
            completed_by: status.job,
            stored_in,
            deletion_note,
            ..Self::of_metadata(Operation::Backup, backup.metadata, backup.spec.database)?
        })
    }

    /// A Restore.
    pub fn of_restore(restore: Restore) -> Option<Self> {
        let mut from = restore.spec.from;
        strip_source(&mut from);
        let status = restore.status.unwrap_or_default();
        Some(Self {
            completed: status.phase == Some(api::RestorePhase::Completed),
            completed_by: status.job,
            from: Some(from),
            ..Self::of_metadata(Operation::Restore, restore.metadata, restore.spec.database)?
        })
    }

    fn of_metadata(operation: Operation, metadata: ObjectMeta, database: String) -> Option<Self> {
        Some(Self {
            operation,
            name: metadata.name?,
            namespace: metadata.namespace?,
            uid: metadata.uid?,
            database,
            database_uid: metadata.labels.and_then(|mut labels| labels.remove(UID_LABEL)),
            created: metadata.creation_timestamp?.0,
            retry: metadata.annotations.and_then(|mut annotations| annotations.remove(RETRY_ANNOTATION)),
            deleted: metadata.deletion_timestamp.is_some(),
            completed: false,
            completed_by: None,
            from: None,
            stored_in: None,
            deletion_note: None,
        })
    }

    /// Whether somebody still waits for it.
    pub fn is_pending(&self) -> bool {
        !self.completed && !self.deleted
    }

    /// Where a Job that lets a Backup go counts.
    pub fn place(&self) -> Place {
        Place { namespace: self.namespace.clone(), server: store_key(self.stored_in.as_ref()) }
    }

    /// The Database that it is about.
    pub fn about(&self) -> ObjectRef<Database> {
        ObjectRef::new(&self.database).within(&self.namespace)
    }

    /// What an Event is about.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(format!("{GROUP}/v1alpha1")),
            kind: Some(if self.operation == Operation::Backup { "Backup" } else { "Restore" }.to_owned()),
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            uid: Some(self.uid.clone()),
            ..ObjectReference::default()
        }
    }
}

/// The object store, as caps count it.
pub(crate) fn store_key(target: Option<&S3Target>) -> String {
    let address = target.map(|target| target.endpoint.clone().unwrap_or_else(|| target.region.clone()));
    address.unwrap_or_default().to_ascii_lowercase()
}

/// Drops the secrets that are written down in the source of a restore.
pub(crate) fn strip_source(source: &mut RestoreSource) {
    if let Some(key) = &mut source.decryption_key {
        key.value = None;
    }
    if let Some(location) = &mut source.location {
        location.s3.credentials.as_mut().map(S3Credentials::strip);
    }
}

/// All Backups and Restores that exist.
#[derive(Debug, Default)]
pub struct Requests {
    by_uid: BTreeMap<String, KnownRequest>,
    // Namespace and name of a Database → the uids of those about it.
    by_database: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Requests {
    /// Takes all that exist of one operation.
    pub fn replace(&mut self, operation: Operation, all: Vec<KnownRequest>) {
        let present: BTreeSet<_> = all.iter().map(|request| request.uid.clone()).collect();
        let is_gone = |known: &&KnownRequest| known.operation == operation && !present.contains(&known.uid);
        let gone: Vec<_> = self.by_uid.values().filter(is_gone).map(|gone| gone.uid.clone()).collect();
        for uid in gone {
            self.delete(&uid);
        }
        for request in all {
            self.apply(request);
        }
    }

    /// Takes one as it is now. Answers how it was before.
    pub fn apply(&mut self, request: KnownRequest) -> Option<KnownRequest> {
        let database = (request.namespace.clone(), request.database.clone());
        self.by_database.entry(database).or_default().insert(request.uid.clone());
        self.by_uid.insert(request.uid.clone(), request)
    }

    /// Forgets one.
    pub fn delete(&mut self, uid: &str) {
        let Some(request) = self.by_uid.remove(uid) else { return };
        let database = (request.namespace, request.database);
        if let Some(uids) = self.by_database.get_mut(&database) {
            uids.remove(uid);
            if uids.is_empty() {
                self.by_database.remove(&database);
            }
        }
    }

    /// The one with that uid.
    pub fn get(&self, uid: &str) -> Option<&KnownRequest> {
        self.by_uid.get(uid)
    }

    /// Those about a Database, in no particular order.
    pub fn about(&self, database: &Database) -> impl Iterator<Item = &KnownRequest> {
        let namespace = database.metadata.namespace.clone().unwrap_or_default();
        let name = database.metadata.name.clone().unwrap_or_default();
        let uid = database.metadata.uid.clone();
        let uids = self.by_database.get(&(namespace, name));
        uids.into_iter()
            .flatten()
            .filter_map(|uid| self.by_uid.get(uid))
            .filter(move |request| request.database_uid.is_none() || request.database_uid == uid)
    }

    /// The uid of the Backup that `from` names, if that is complete.
    pub fn complete_source(&self, namespace: &str, from: Option<&RestoreSource>) -> Option<String> {
        let backup = self.backup(namespace, from?.backup.as_ref()?)?;
        (backup.completed && !backup.deleted).then(|| backup.uid.clone())
    }

    /// The Restores that wait for `backup`.
    pub fn restores_of(&self, backup: &KnownRequest) -> impl Iterator<Item = &KnownRequest> {
        self.by_uid.values().filter(|request| {
            request.is_pending()
                && request.namespace == backup.namespace
                && request.from.as_ref().and_then(|from| from.backup.as_ref()) == Some(&backup.name)
        })
    }

    /// The Backup of that name.
    pub fn backup(&self, namespace: &str, name: &str) -> Option<&KnownRequest> {
        self.by_uid.values().find(|request| {
            request.operation == Operation::Backup && request.namespace == namespace && request.name == name
        })
    }
}

/// A Backup that waits, for tests.
#[cfg(test)]
pub(crate) fn request(uid: &str, database: &str) -> KnownRequest {
    KnownRequest {
        operation: Operation::Backup,
        name: uid.into(),
        namespace: "shop".into(),
        uid: uid.into(),
        database: database.into(),
        database_uid: None,
        created: Timestamp::UNIX_EPOCH,
        retry: None,
        deleted: false,
        completed: false,
        completed_by: None,
        from: None,
        stored_in: None,
        deletion_note: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(name: &str, uid: &str) -> Database {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
            "metadata": {"name": name, "namespace": "shop", "uid": uid},
            "spec": {"driver": "engine", "connect": {"host": "h"},
                     "credentials": {"username": {"value": "u"}, "password": {"value": "p"}}},
        }))
        .unwrap()
    }

    fn names<'a>(requests: &'a Requests, database: &Database) -> Vec<&'a str> {
        requests.about(database).map(|request| request.name.as_str()).collect()
    }

    #[test]
    fn a_list_replaces_what_was_known_of_its_kind_alone() {
        let mut requests = Requests::default();
        let restore = KnownRequest { operation: Operation::Restore, ..request("restore", "orders") };
        requests.replace(Operation::Backup, vec![request("one", "orders"), request("two", "orders")]);
        requests.apply(restore);
        requests.replace(Operation::Backup, vec![request("two", "orders")]);
        assert_eq!(names(&requests, &database("orders", "d")), ["restore", "two"]);
        assert!(names(&requests, &database("other", "d")).is_empty());
    }

    #[test]
    fn what_is_about_a_database_that_is_gone_is_not_about_the_next_of_its_name() {
        let mut requests = Requests::default();
        requests.apply(KnownRequest { database_uid: Some("old".into()), ..request("final", "orders") });
        assert_eq!(names(&requests, &database("orders", "old")), ["final"]);
        assert!(names(&requests, &database("orders", "new")).is_empty());
    }

    #[test]
    fn a_backup_that_is_complete_is_a_source_and_wakes_those_who_wait_for_it() {
        let from: RestoreSource = serde_json::from_value(serde_json::json!({"backup": "nightly"})).unwrap();
        let restore =
            |uid: &str, from| KnownRequest { operation: Operation::Restore, from, ..request(uid, "copy") };
        let mut requests = Requests::default();
        requests.apply(restore("waits", Some(from.clone())));
        requests.apply(restore("waits-for-another", None));
        requests.apply(KnownRequest { completed: true, ..restore("done", Some(from.clone())) });
        requests
            .apply(KnownRequest { namespace: "elsewhere".into(), ..restore("there", Some(from.clone())) });
        let mut backup = KnownRequest { name: "nightly".into(), ..request("b-1", "orders") };
        requests.apply(backup.clone());
        assert_eq!(requests.complete_source("shop", Some(&from)), None);
        backup.completed = true;
        requests.apply(backup.clone());
        assert_eq!(requests.complete_source("shop", Some(&from)).as_deref(), Some("b-1"));
        assert_eq!(requests.complete_source("elsewhere", Some(&from)), None);
        let woken: Vec<_> = requests.restores_of(&backup).map(|restore| restore.uid.as_str()).collect();
        assert_eq!(woken, ["waits"]);
    }

    #[test]
    fn no_secret_of_a_restore_stays_in_memory() {
        let restore: Restore = serde_json::from_value(serde_json::json!({
            "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Restore",
            "metadata": {"name": "r", "namespace": "shop", "uid": "r", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"database": "orders", "from": {
                "decryptionKey": {"value": "hunter2"},
                "location": {"path": "a/b", "s3": {"region": "r", "bucket": "bbb", "credentials": {
                    "accessKeyId": {"value": "hunter2"}, "secretAccessKey": {"value": "hunter2"},
                    "sessionToken": {"value": "hunter2"}}}}}},
        }))
        .unwrap();
        let known = KnownRequest::of_restore(restore).unwrap();
        assert!(!format!("{:?}", known.from).contains("hunter2"));
        assert!(!serde_json::to_string(&known.from).unwrap().contains("hunter2"));
    }
}
