//! A Database that is backed up to an S3 server, by a way on which things go wrong.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::World;
use super::api_server::Fault;
use super::effects::Effects;
use super::objects::Kind;
use crate::outcome::Outcome;
use api::Operation;
use driver::secret::Secret;
use driver::testkit::{MemoryServer, MemorySession};
use driver::{Driver, Login, Mark, Server, ServerTls, Target, TlsMode};
use store::StoreTarget;
use store::testing::proxy::{Fate, through};
use store::testing::{bucket, keys_and_no_uploads, put, read, store, tamper};
use tokio::sync::watch;

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
    effects: Effects,
    held: Option<(Asks, watch::Receiver<bool>)>,
}

/// Whether a request to the store, such as `PUT /bucket/key`, is meant.
type Asks = Box<dyn Fn(&str) -> bool + Send>;

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

    /// The same with another uid, and at a place that another Database has, too.
    pub(super) async fn with_uid(uid: &str, place: &StoreTarget, rows: &[&str]) -> Self {
        let stored = Self::at(place.clone(), &json!({})).await;
        stored.world.api.edit(|database| database["metadata"]["uid"] = json!(uid));
        assert_eq!(stored.world.run(Operation::Create).await, Outcome::Done);
        for row in rows {
            stored.commit(row);
        }
        stored
    }

    /// A Database that is not made yet.
    pub(super) async fn empty(bucket: &StoreTarget, fields: &Value) -> Self {
        let prefix = format!("{}/", store::random_attempt().unwrap());
        Self::at(StoreTarget { prefix: Some(prefix), ..bucket.clone() }, fields).await
    }

    async fn at(direct: StoreTarget, fields: &Value) -> Self {
        let way = Arc::<Mutex<Way>>::default();
        let world = World::with(&json!({"deletionPolicy": "BackupThenDelete"}));
        let (decides, killer, server) = (Arc::clone(&way), world.api.killer(), world.server.clone());
        let (proxied, _) = through(&direct, move |asked| {
            let mut way = decides.lock().unwrap();
            if let Some(meanwhile) = &mut way.meanwhile {
                meanwhile();
            }
            let (index, line) = (way.asked.len(), format!("{} {}", asked.method, asked.path));
            way.asked.push(line.clone());
            way.effects.asked_store(&line);
            if let Some((_, go)) = way.held.take_if(|(is_meant, _)| is_meant(&line)) {
                return Fate::Hold(go);
            }
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
            "region": "eu-west-1", "bucket": direct.bucket, "prefix": direct.prefix, "endpoint": proxied.endpoint,
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
        let manifest = store.read_manifest(location).await.unwrap()?.manifest;
        let download = store.open(location, manifest, None).unwrap();
        let text = String::from_utf8(read(&download, "rows").await.unwrap().to_vec()).unwrap();
        Some(text.lines().map(str::to_owned).collect())
    }

    /// Where the final backup is, if there is one.
    pub(super) async fn final_backup(&self) -> Option<String> {
        let (prefix, keys) = (self.direct.prefix.clone().unwrap(), self.keys().await);
        let path = |key: &String| Some(key.strip_prefix(&prefix)?.strip_suffix("/manifest.json")?.to_owned());
        let finals: Vec<_> =
            keys.iter().filter_map(path).filter(|path| path.starts_with("shop/orders/final-u-1-")).collect();
        assert!(finals.len() < 2, "{finals:?}");
        finals.into_iter().next()
    }

    /// The rows in the final backup, if there is one.
    pub(super) async fn dumped_final(&self) -> Option<Vec<String>> {
        self.dumped(&self.final_backup().await?).await
    }

    /// To whom the backup at `location` is encrypted.
    pub(super) async fn recipients(&self, location: &str) -> Vec<String> {
        let manifest = store(&self.direct).read_manifest(location).await.unwrap().unwrap().manifest;
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

    /// Notes what runs do from here on.
    pub(super) fn note_effects(&self, effects: &Effects) {
        self.world.api.note_effects(effects);
        self.way.lock().unwrap().effects = effects.clone();
    }

    /// Does `work`, and `meddle` as somebody else, while the first request to the store is held that `is_meant`.
    pub(super) fn while_held<'a, T: 'a>(
        &'a self,
        is_meant: impl Fn(&str) -> bool + Send + 'static,
        work: impl Future<Output = T> + 'a,
        meddle: impl AsyncFnOnce() + 'a,
    ) -> Pin<Box<dyn Future<Output = T> + 'a>> {
        let (go, going) = watch::channel(false);
        self.way.lock().unwrap().held = Some((Box::new(is_meant), going));
        Box::pin(async move {
            let meddling = async {
                while self.way.lock().unwrap().held.is_some() {
                    tokio::task::yield_now().await;
                }
                meddle().await;
                go.send_replace(true);
            };
            tokio::join!(work, meddling).0
        })
    }

    /// Puts an object there, as somebody else does who may write the bucket.
    pub(super) async fn plant(&self, path: &str, content: Vec<u8>) {
        let key = format!("{}{path}", self.direct.prefix.as_deref().unwrap());
        put(&self.direct, &key, &content).await;
    }

    /// The content of the one object whose key ends so.
    pub(super) async fn content(&self, ending: &str) -> Vec<u8> {
        let mut found = Vec::new();
        self.tamper(ending, |content| {
            found.clone_from(&content);
            Some(content)
        })
        .await;
        found
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
