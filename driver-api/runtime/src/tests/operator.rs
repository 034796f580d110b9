//! A loop that plays the operator.

use serde_json::Value;

use super::World;
use super::objects::{Kind, Objects};
use crate::env::RequestName;
use crate::outcome::Outcome;
use api::lifecycle::{self, Intent, Needed, begun, permits};
use api::{Conditions, Database, Operation, READY};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// What the operator would launch for the objects as they are.
pub(super) fn needed(world: &World) -> Option<Operation> {
    let database: Database = serde_json::from_value(world.api.database()?).unwrap();
    let (phase, intent) = (database.phase(), Intent::of(&database));
    let status = database.status.clone().unwrap_or_default();
    let was_created = status.created_at.is_some();
    let is_about_it = |ready: &Condition| ready.observed_generation == database.metadata.generation;
    let current = Conditions::get(&status.conditions, READY)
        .is_some_and(|ready| ready.status == "True" && is_about_it(ready));
    let waits = |operation: &Operation| pending(world, *operation).next().is_some();
    let asked = begun(phase).or_else(|| [Operation::Backup, Operation::Restore].into_iter().find(waits));
    match lifecycle::needed(phase, intent, current, database.is_guarded(), was_created, asked) {
        Needed::Nothing => None,
        Needed::Run(operation) => {
            let case = format!("{operation} in {phase:?} with {intent:?}");
            assert!(permits(operation, phase, intent, was_created), "{case}");
            Some(operation)
        }
        Needed::Contradiction => panic!("phase {phase:?} contradicts {intent:?}"),
    }
}

/// The Backup or Restore that a Job of that operation would be given.
pub(super) fn next_request(world: &World, operation: Operation) -> Option<RequestName> {
    let status = world.api.database().unwrap_or_default()["status"].clone();
    let field = match operation {
        Operation::DeleteBackup => return withdrawn(world).next(),
        Operation::Backup => "backup",
        Operation::Restore => "restore",
        Operation::Create
        | Operation::BackupBeforeDelete
        | Operation::Rotate
        | Operation::Delete
        | Operation::Release => return None,
    };
    let active = status["activeOperation"][field].as_str();
    let all = world.api.objects(|objects| objects.all(kind(operation)));
    let begun = all.iter().find(|object| object["metadata"]["name"].as_str() == active);
    let next = begun.map(named).or_else(|| pending(world, operation).next());
    // What is begun goes on, though nobody asks for it any more.
    let gone = || RequestName { name: active.unwrap_or_default().to_owned(), uid: "gone".to_owned() };
    Some(next.unwrap_or_else(gone))
}

/// What waits for a run of that operation, the oldest first.
fn pending(world: &World, operation: Operation) -> impl Iterator<Item = RequestName> {
    let all = world.api.objects(|objects: &mut Objects| objects.all(kind(operation)));
    all.into_iter()
        .filter(|object| object["status"]["phase"] != "Completed" && !is_deleted(object))
        .map(|object| named(&object))
}

/// The Backups that are being deleted, and that a finalizer holds.
fn withdrawn(world: &World) -> impl Iterator<Item = RequestName> {
    let all = world.api.objects(|objects: &mut Objects| objects.all(Kind::Backup));
    all.into_iter().filter(is_deleted).map(|object| named(&object))
}

fn is_deleted(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn kind(operation: Operation) -> Kind {
    if operation == Operation::Backup { Kind::Backup } else { Kind::Restore }
}

fn named(object: &Value) -> RequestName {
    let text = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
    RequestName { name: text("name"), uid: text("uid") }
}

/// Runs what is needed until nothing is, or until nothing helps. Answers whether it is at rest.
pub(super) async fn runs_to_rest(world: &World) -> bool {
    // A fault is one failure, and may cause another. What fails more often goes on failing.
    let mut failures = 0;
    while failures < 4 {
        let deletion = || withdrawn(world).next().map(|_| Operation::DeleteBackup);
        let Some(operation) = needed(world).or_else(deletion) else { return true };
        failures += usize::from(world.try_run(operation).await != Some(Outcome::Done));
    }
    false
}

/// Runs what is needed until nothing is.
pub(super) async fn settle(world: &World) {
    assert!(runs_to_rest(world).await, "it does not settle: {:?}", world.api.database());
}
