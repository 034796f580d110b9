//! A fault at every request of every operation that talks to a store ends as a run without one does.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::api_server::Fault;
use super::objects::{Kind, Objects};
use super::operator::{runs_to_rest, settle};
use super::stored::{StoreFault, Stored};
use crate::outcome::Outcome;
use api::Operation;
use store::testing::bucket;

/// Name of the Backup that records the final backup.
const RECORD: &str = "orders-final-";

const API_FAULTS: [Fault; 8] = [
    Fault::KilledBefore,
    Fault::KilledAfter,
    Fault::AnswerLost,
    Fault::GoesAway,
    Fault::IsAway,
    Fault::Written,
    Fault::Deleted,
    Fault::RequestsDeleted,
];

/// Where a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    Api(usize, Fault),
    Store(usize, StoreFault),
}

impl Point {
    /// Every point at a request of that index.
    fn at(index: usize) -> Vec<Self> {
        let api = API_FAULTS.map(|fault| Self::Api(index, fault));
        let store = StoreFault::ALL.map(|fault| Self::Store(index, fault));
        api.into_iter().chain(store).collect()
    }

    fn arm(self, stored: &Stored) {
        match self {
            Self::Api(index, fault) => stored.world.api.fault_at(index, fault),
            Self::Store(index, fault) => stored.fault_at(index, fault),
        }
    }

    fn was_met(self, stored: &Stored) -> bool {
        match self {
            Self::Api(index, _) => stored.world.api.requests().len() > index,
            Self::Store(index, _) => stored.asked().len() > index,
        }
    }

    /// Whether the point is the fault that deletes the Database.
    fn deletes(self) -> bool {
        matches!(self, Self::Api(_, Fault::Deleted))
    }

    /// Whether the point is the fault that deletes the Backups and Restores.
    fn forgets(self) -> bool {
        matches!(self, Self::Api(_, Fault::RequestsDeleted))
    }
}

/// Lets each fault happen at each request of what the operator does from `begin` on, and checks each end.
async fn every_point(begin: impl AsyncFn() -> Stored, check: impl AsyncFn(Stored, Point, bool)) -> usize {
    let (mut met, mut index) = (0, 0);
    loop {
        let before = met;
        for point in Point::at(index) {
            let stored = begin().await;
            point.arm(&stored);
            let rests = runs_to_rest(&stored.world).await;
            if point.was_met(&stored) {
                met += 1;
                check(stored, point, rests).await;
            }
        }
        if met == before {
            return met;
        }
        index += 1;
    }
}

/// An application that commits a row at every request, and remembers which were acknowledged.
#[derive(Clone, Default)]
struct Application(Arc<Mutex<Vec<(String, bool)>>>);

impl Application {
    /// It notes of each row whether the database began with `loaded` then.
    fn starts(stored: &Stored, loaded: &'static [&'static str]) -> Self {
        let application = Self::default();
        let (log, server, target) = (Arc::clone(&application.0), stored.server(), Stored::target());
        stored.meanwhile(move || {
            let row = format!("late-{}", log.lock().unwrap().len());
            if server.commit(&target, &row).is_ok() {
                let rows = server.database("orders").unwrap().rows;
                let after = rows.iter().zip(loaded).filter(|(row, loaded)| row == loaded).count()
                    == loaded.len()
                    && rows.get(loaded.len()).is_some_and(|row| row.starts_with("late"));
                log.lock().unwrap().push((row, after));
            }
        });
        application
    }

    /// `rows`, and all that were acknowledged; only those after the load where `after` is set.
    fn with(&self, rows: &[&str], after: bool) -> Vec<String> {
        let acknowledged = self.0.lock().unwrap().clone();
        let counted =
            acknowledged.into_iter().filter(|(_, is_after)| *is_after || !after).map(|(row, _)| row);
        rows.iter().map(|row| (*row).to_owned()).chain(counted).collect()
    }
}

/// The Database is gone, and so is all that was on the server; the final backup holds exactly `rows`.
async fn assert_saved_and_dropped(stored: &Stored, rows: &[String], case: &str) {
    assert_eq!((stored.world.api.database(), stored.world.server.counts()), (None, (0, 0)), "{case}");
    assert_eq!(stored.dumped_final().await.as_deref(), Some(rows), "{case}");
}

/// What a person or `kubectl wait` looks at: all that is done is Ready, and nothing is Stalled.
pub(super) fn assert_said_well(stored: &Stored, case: &str) {
    let requests = |kind| stored.world.api.objects(|objects: &mut Objects| objects.all(kind));
    let all = [Kind::Backup, Kind::Restore].into_iter().flat_map(requests).chain(stored.world.api.database());
    for object in all {
        let (name, status) = (object["metadata"]["name"].clone(), &object["status"]);
        let condition = |kind: &str| {
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            conditions.into_iter().find(|condition| condition["type"] == kind)
        };
        let case = format!("{case}: {} {name}: {status}", object["kind"]);
        let done = if object["kind"] == "Database" { "Created" } else { "Completed" };
        assert_eq!(status["phase"], done, "{case}");
        let ready = condition("Ready").unwrap_or_default();
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("True"), &json!(done)), "{case}");
        assert_eq!(condition("Stalled"), None, "{case}");
        assert_eq!(status["observedGeneration"], object["metadata"]["generation"], "{case}");
        assert_eq!(ready["observedGeneration"], object["metadata"]["generation"], "{case}");
    }
}

fn assert_in_service(stored: &Stored, case: &str) {
    assert_said_well(stored, case);
    assert_eq!(stored.world.phase().as_deref(), Some("Created"), "{case}");
    assert!(stored.world.api.database().unwrap()["status"]["activeOperation"].is_null(), "{case}");
    assert!(stored.world.login_works(), "{case}");
    let key = |key: &str| stored.world.secret(key).unwrap_or_else(|| panic!("{case}: no key {key}"));
    assert!(key("uri").contains(&key("password")), "{case}");
    assert_eq!(key("sslmode"), "require", "{case}");
}

#[tokio::test]
async fn a_backup_ends_right_after_a_fault_at_every_request() {
    let bucket = bucket().await;
    let begin = async || {
        let stored = Stored::with(&bucket, &["one", "two"]).await;
        stored.ask_backup("nightly");
        stored
    };
    let met = every_point(begin, async |stored, point, rests| {
        let case = format!("{point:?}");
        assert!(rests, "{case}: {:?}", stored.world.api.database());
        let keys = stored.keys().await;
        if point.deletes() {
            assert_saved_and_dropped(&stored, &["one".to_owned(), "two".to_owned()], &case).await;
        } else {
            assert_in_service(&stored, &case);
            assert_eq!(stored.rows().unwrap(), ["one", "two"], "{case}");
        }
        if point.forgets() {
            return;
        }
        let completed = stored.status(Kind::Backup, "nightly")["phase"] == "Completed";
        let dumped = stored.dumped("shop/orders/backup-1").await;
        assert_eq!(dumped.is_some(), completed, "{case}");
        assert!(completed || point.deletes(), "{case}");
        if let Some(dumped) = dumped {
            assert_eq!(dumped, ["one", "two"], "{case}");
            assert_eq!(keys.iter().filter(|key| key.contains("backup-1")).count(), 2, "{case}: {keys:?}");
        }
    })
    .await;
    println!("backup: {met} points");
    assert!(met >= 60, "only {met} faults were met");
}

#[tokio::test]
async fn a_backup_that_is_deleted_at_any_request_leaves_nothing() {
    let bucket = bucket().await;
    let begin = async || {
        let stored = Stored::with(&bucket, &["one", "two"]).await;
        stored.ask_deletable_backup("nightly");
        stored
    };
    let met = every_point(begin, async |stored, point, rests| {
        let case = format!("{point:?}");
        assert!(rests, "{case}: {:?}", stored.world.api.database());
        stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
        settle(&stored.world).await;
        assert_eq!(stored.world.api.objects(|objects| objects.get(Kind::Backup, "nightly")), None, "{case}");
        let keys = stored.keys().await;
        assert!(!keys.iter().any(|key| key.contains("backup-1")), "{case}: {keys:?}");
        if !point.deletes() {
            assert_in_service(&stored, &case);
        }
    })
    .await;
    println!("backup that is deleted: {met} points");
    assert!(met >= 60, "only {met} faults were met");
}

#[tokio::test]
async fn the_deletion_of_what_is_stored_ends_right_after_a_fault_at_every_request() {
    let bucket = bucket().await;
    let kept = Mutex::new(String::new());
    let begin = async || {
        let stored = Stored::with(&bucket, &["one", "two"]).await;
        stored.ask_deletable_backup("nightly");
        settle(&stored.world).await;
        *kept.lock().unwrap() = stored.ask_backup("kept");
        settle(&stored.world).await;
        stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
        stored
    };
    let met = every_point(begin, async |stored, point, rests| {
        let case = format!("{point:?}");
        assert!(rests, "{case}");
        assert_eq!(stored.world.api.objects(|objects| objects.get(Kind::Backup, "nightly")), None, "{case}");
        let keys = stored.keys().await;
        assert!(!keys.iter().any(|key| key.contains("backup-1")), "{case}: {keys:?}");
        let location = kept.lock().unwrap().clone();
        assert_eq!(stored.dumped(&location).await.unwrap(), ["one", "two"], "{case}");
        if !point.deletes() {
            assert_in_service(&stored, &case);
        }
    })
    .await;
    println!("deletion of what is stored: {met} points");
    assert!(met >= 40, "only {met} faults were met");
}

#[tokio::test]
async fn a_final_backup_and_the_drop_end_right_after_a_fault_at_every_request() {
    let bucket = bucket().await;
    let application = Mutex::new(Application::default());
    let begin = async || {
        let stored = Stored::with(&bucket, &["one", "two"]).await;
        stored.world.api.delete();
        *application.lock().unwrap() = Application::starts(&stored, &[]);
        stored
    };
    let met = every_point(begin, async |stored, point, rests| {
        let case = format!("{point:?}");
        assert!(rests, "{case}: {:?}", stored.world.api.database());
        let rows = application.lock().unwrap().with(&["one", "two"], false);
        assert!(rows.len() > 2, "no application was at work");
        assert_saved_and_dropped(&stored, &rows, &case).await;
        assert_eq!(stored.keys().await.len(), 2, "{case}");
        assert_said_well(&stored, &case);
        let records = stored.world.api.objects(|objects| objects.all(Kind::Backup));
        let completed = |record: &serde_json::Value| {
            assert!(record["metadata"]["name"].as_str().unwrap().starts_with(RECORD));
            record["status"]["phase"] == "Completed"
        };
        // Somebody may throw the record away when all is done.
        assert!(
            point.forgets() || (records.len() == 1 && records.iter().all(completed)),
            "{case}: {records:?}"
        );
    })
    .await;
    println!("final backup and drop: {met} points");
    assert!(met >= 70, "only {met} faults were met");
}

#[tokio::test]
async fn a_restore_ends_right_after_a_fault_at_every_request() {
    let bucket = bucket().await;
    let application = Mutex::new(Application::default());
    let begin = async || {
        let stored = Stored::with(&bucket, &["one", "two"]).await;
        stored.ask_backup("nightly");
        settle(&stored.world).await;
        stored.commit("new");
        stored.ask_restore("back", "nightly", true);
        *application.lock().unwrap() = Application::starts(&stored, &["one", "two"]);
        stored
    };
    let met = every_point(begin, async |stored, point, rests| {
        let case = format!("{point:?}");
        if !rests {
            // Whoever threw the Restore away applies another one.
            assert!(point.forgets(), "{case}: {:?}", stored.world.api.database());
            let from = json!({"location": {"s3": stored.s3, "path": "shop/orders/backup-1"}});
            let spec = json!({"database": "orders", "from": from, "overwrite": false});
            stored.world.api.objects(|objects| objects.make(Kind::Restore, "again", &spec));
            settle(&stored.world).await;
        }
        let application = application.lock().unwrap().clone();
        let before = application.with(&["one", "two", "new"], false);
        let after = application.with(&["one", "two"], true);
        stored.keys().await;
        if point.deletes() {
            let saved = stored.dumped_final().await.unwrap();
            assert_saved_and_dropped(
                &stored,
                if saved.contains(&"new".to_owned()) { &before } else { &after },
                &case,
            )
            .await;
            return;
        }
        assert_in_service(&stored, &case);
        let rows = stored.rows().unwrap();
        if point.forgets() && rows.contains(&"new".to_owned()) {
            assert_eq!(rows, before, "{case}");
            return;
        }
        assert_eq!(rows, after, "{case}");
        let restores = stored.world.api.objects(|objects| objects.all(Kind::Restore));
        assert!(restores.iter().all(|restore| restore["status"]["phase"] == "Completed"), "{case}");
    })
    .await;
    println!("restore: {met} points");
    assert!(met >= 70, "only {met} faults were met");
}

#[tokio::test]
async fn a_create_from_a_backup_ends_right_after_a_fault_at_every_request() {
    let bucket = bucket().await;
    let source = Stored::with(&bucket, &["one", "two"]).await;
    let path = source.ask_backup("nightly");
    assert_eq!(source.world.run(Operation::Backup).await, Outcome::Done);
    let begin = async || {
        let stored = Stored::empty(&bucket, &json!({})).await;
        let mut s3 = stored.s3.clone();
        s3["prefix"] = source.s3["prefix"].clone();
        stored.world.api.edit(|database| {
            database["spec"]["restoreFrom"] = json!({"location": {"s3": s3, "path": path}});
        });
        stored
    };
    let met = every_point(begin, async |stored, point, rests| {
        let case = format!("{point:?}");
        assert!(rests, "{case}: {:?}", stored.world.api.database());
        if point.deletes() {
            assert_eq!((stored.world.api.database(), stored.world.server.counts()), (None, (0, 0)), "{case}");
            let saved = stored.dumped_final().await;
            assert!(saved.is_none_or(|rows| rows == ["one", "two"]), "{case}");
            return;
        }
        assert_in_service(&stored, &case);
        assert_eq!(stored.rows().unwrap(), ["one", "two"], "{case}");
    })
    .await;
    println!("create from a backup: {met} points");
    assert!(met >= 50, "only {met} faults were met");
}
