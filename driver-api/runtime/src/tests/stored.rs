//! A Database that is backed up to an S3 server, by a way on which things go wrong.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::World;
use super::api_server::Fault;
use super::objects::Kind;
use crate::outcome::Outcome;
use api::Operation;
use driver::secret::Secret;
use driver::testkit::{MemoryServer, MemorySession};
use driver::{Driver, Login, Mark, Server, ServerTls, Target, TlsMode};
use store::StoreTarget;
use store::testing::proxy::{Fate, through};
use store::testing::{bucket, keys_and_no_uploads, read, store, tamper};

/// Where the final backup is.
pub(super) const FINAL: &str = "shop/orders/final-u-1";

/// What goes wrong at one request to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreFault {
    /// The driver dies before the request is made.
    KilledBefore,
    /// The driver dies when the request has taken effect.
    KilledAfter,
    /// The connection breaks before the request has taken effect.
    Cut,
    /// The request takes effect, and its answer is lost.
    AnswerLost,
    /// The database server ends the session that holds the lock before the request is made.
    LockLost,
}

impl StoreFault {
    pub(super) const ALL: [Self; 5] =
        [Self::KilledBefore, Self::KilledAfter, Self::Cut, Self::AnswerLost, Self::LockLost];
}

/// What happens on the way to the store.
#[derive(Default)]
struct Way {
    asked: Vec<String>,
    fault: Option<(usize, StoreFault)>,
    meanwhile: Option<Box<dyn FnMut() + Send>>,
}

/// A world with a place for backups.
pub(super) struct Stored {
    pub(super) world: World,
    /// The place, without anything in between.
    pub(super) direct: StoreTarget,
    /// The place as the spec has it.
    pub(super) s3: Value,
    way: Arc<Mutex<Way>>,
}

impl Stored {
    /// A Database that is complete and holds those rows.
    pub(super) async fn with(bucket: &StoreTarget, rows: &[&str]) -> Self {
        let stored = Self::empty(bucket, &json!({})).await;
        assert_eq!(stored.world.run(Operation::Create).await, Outcome::Done);
        for row in rows {
            stored.commit(row);
        }
        stored.forget_requests();
        stored
    }

    /// A Database that is not made yet.
    pub(super) async fn empty(bucket: &StoreTarget, fields: &Value) -> Self {
        let prefix = format!("{}/", store::testing::random_attempt().unwrap());
        let direct = StoreTarget { prefix: Some(prefix.clone()), ..bucket.clone() };
        let way = Arc::<Mutex<Way>>::default();
        let world = World::with(&json!({"deletionPolicy": "BackupThenDelete"}));
        let (decides, killer, server) = (Arc::clone(&way), world.api.killer(), world.server.clone());
        let (proxied, _) = through(&direct, move |asked| {
            let mut way = decides.lock().unwrap();
            if let Some(meanwhile) = &mut way.meanwhile {
                meanwhile();
            }
            let index = way.asked.len();
            way.asked.push(format!("{} {}", asked.method, asked.path));
            let kill = |after| Fate::Kill { after, killer: Arc::clone(&killer) };
            match way.fault.filter(|(at, _)| *at == index).map(|(_, fault)| fault) {
                None => Fate::Pass,
                Some(StoreFault::KilledBefore) => kill(false),
                Some(StoreFault::KilledAfter) => kill(true),
                Some(StoreFault::Cut) => Fate::CutRequest(0),
                Some(StoreFault::AnswerLost) => Fate::LoseAnswer,
                Some(StoreFault::LockLost) => {
                    server.end_sessions();
                    Fate::Pass
                }
            }
        })
        .await;
        let s3 = json!({
            "region": "eu-west-1", "bucket": direct.bucket, "prefix": prefix, "endpoint": proxied.endpoint,
            "credentials": {"accessKeyId": {"value": "test"}, "secretAccessKey": {"value": "testsecret"}},
        });
        world.api.edit(|database| {
            database["spec"]["backupTo"] = json!({"s3": s3});
            for (name, value) in fields.as_object().unwrap() {
                database["spec"][name] = value.clone();
            }
        });
        Self { world, direct, s3, way }
    }

    /// The same, in a bucket of its own.
    pub(super) async fn alone(rows: &[&str]) -> Self {
        Self::with(&bucket().await, rows).await
    }

    /// The database as its application sees it.
    pub(super) fn target() -> Target {
        Target::new("orders".to_owned(), Mark::new("c-1", "u-1"), 32)
    }

    /// Commits a row as the application does.
    pub(super) fn commit(&self, row: &str) {
        self.world.server.commit(&Self::target(), row).unwrap();
    }

    /// The rows on the server, if the database is there.
    pub(super) fn rows(&self) -> Option<Vec<String>> {
        self.world.server.database("orders").map(|stored| stored.rows)
    }

    /// The rows in the backup at `location`, if there is one.
    pub(super) async fn dumped(&self, location: &str) -> Option<Vec<String>> {
        let store = store(&self.direct);
        let manifest = store.read_manifest(location).await.unwrap()?;
        let download = store.open(location, manifest, None).unwrap();
        let text = String::from_utf8(read(&download, "rows").await.unwrap().to_vec()).unwrap();
        Some(text.lines().map(str::to_owned).collect())
    }

    /// To whom the backup at `location` is encrypted.
    pub(super) async fn recipients(&self, location: &str) -> Vec<String> {
        let manifest = store(&self.direct).read_manifest(location).await.unwrap().unwrap();
        manifest.encryption.map(|encryption| encryption.recipients).unwrap_or_default()
    }

    /// The owner has backups encrypted to those from now on.
    pub(super) fn encrypt_to(&self, recipients: &[&String]) {
        self.world.api.edit(|database| {
            database["spec"]["backupTo"]["encryption"] = json!({"recipients": recipients});
        });
    }

    /// The keys of all objects. There is no upload that is not complete.
    pub(super) async fn keys(&self) -> Vec<String> {
        let prefix = self.direct.prefix.clone().unwrap();
        let all = keys_and_no_uploads(&self.direct).await;
        all.into_iter().filter(|key| key.starts_with(&prefix)).collect()
    }

    /// Changes the one object whose key ends so, behind everybody's back.
    pub(super) async fn tamper(&self, ending: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        let keys = self.keys().await;
        let key = keys.iter().find(|key| key.ends_with(ending)).unwrap();
        tamper(&self.direct, key, change).await;
    }

    /// Flips a bit in the middle of a segment, behind everybody's back.
    pub(super) async fn damage(&self) {
        let flip = |mut content: Vec<u8>| {
            let middle = content.len() / 2;
            content[middle] ^= 1;
            Some(content)
        };
        self.tamper(".zst", flip).await;
    }

    /// Runs until a fault at the request of that index kills it; from then on nothing goes wrong.
    pub(super) async fn killed_at(&self, index: usize, operation: Operation) {
        self.world.api.fault_at(index, Fault::KilledBefore);
        assert_eq!(self.world.try_run(operation).await, None);
        self.world.api.heal();
    }

    /// Somebody asks for a Backup. Answers where it will be stored.
    pub(super) fn ask_backup(&self, name: &str) -> String {
        self.ask(name, &json!({"database": "orders"}))
    }

    /// The same, with the policy `Delete`.
    pub(super) fn ask_deletable_backup(&self, name: &str) -> String {
        self.ask(name, &json!({"database": "orders", "deletionPolicy": "Delete"}))
    }

    fn ask(&self, name: &str, spec: &Value) -> String {
        let uid = self.world.api.objects(|objects| objects.make(Kind::Backup, name, spec));
        format!("shop/orders/{uid}")
    }

    /// Somebody asks for a Restore of the Backup `from`.
    pub(super) fn ask_restore(&self, name: &str, from: &str, overwrite: bool) {
        let spec = json!({"database": "orders", "from": {"backup": from}, "overwrite": overwrite});
        self.world.api.objects(|objects| objects.make(Kind::Restore, name, &spec));
    }

    /// The status of a Backup or Restore.
    pub(super) fn status(&self, kind: Kind, name: &str) -> Value {
        self.world.api.objects(|objects| objects.get(kind, name)).unwrap_or_default()["status"].clone()
    }

    /// Status, reason and message of the condition `Ready` of a Backup or Restore.
    pub(super) fn ready(&self, kind: Kind, name: &str) -> (String, String, String) {
        let status = self.status(kind, name);
        let conditions = status["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        let text = |field: &str| ready[field].as_str().unwrap().to_owned();
        (text("status"), text("reason"), text("message"))
    }

    /// Lets `fault` happen at the request to the store of that index, counted from now.
    pub(super) fn fault_at(&self, index: usize, fault: StoreFault) {
        let mut way = self.way.lock().unwrap();
        way.asked.clear();
        way.fault = Some((index, fault));
    }

    /// The requests to the store, counted from the last call of `fault_at`.
    pub(super) fn asked(&self) -> Vec<String> {
        self.way.lock().unwrap().asked.clone()
    }

    /// Calls `meanwhile` before each request to the API server and to the store.
    pub(super) fn meanwhile(&self, meanwhile: impl FnMut() + Clone + Send + 'static) {
        self.world.api.meanwhile(meanwhile.clone());
        self.way.lock().unwrap().meanwhile = Some(Box::new(meanwhile));
    }

    pub(super) fn forget_requests(&self) {
        self.world.api.forget_requests();
        self.way.lock().unwrap().asked.clear();
    }

    /// Another run's session, which holds the lock.
    pub(super) async fn hold_lock(&self) -> MemorySession {
        let tls = ServerTls::new(TlsMode::Disable, None);
        let server = Server::new("db.example.com", 1, tls, Login::new("admin", Secret::new("any")));
        self.world.server.driver().connect(&server, &Self::target()).await.unwrap()
    }

    pub(super) fn server(&self) -> MemoryServer {
        self.world.server.clone()
    }
}
