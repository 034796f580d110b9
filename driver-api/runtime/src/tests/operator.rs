//! A loop that plays the operator.

use serde_json::Value;

use super::World;
use super::objects::{Kind, Objects};
use crate::env::RequestName;
use crate::outcome::Outcome;
use api::Operation;
use api::lifecycle::{Intent, permits};
use api::{Database, DatabasePhase};

/// What the operator would launch for the objects as they are.
pub(super) fn needed(world: &World) -> Option<Operation> {
    use DatabasePhase as P;
    let database: Database = serde_json::from_value(world.api.database()?).unwrap();
    let (phase, intent) = (database.phase(), Intent::of(&database));
    let was_created = database.status.as_ref().is_some_and(|status| status.created_at.is_some());
    let deletion = match intent {
        Intent::BackupThenDelete => Operation::BackupBeforeDelete,
        Intent::Keep | Intent::Delete | Intent::Retain => Operation::Delete,
    };
    let operation = match (phase, intent) {
        (None | Some(P::Creating), Intent::Keep) => Operation::Create,
        (None | Some(P::Creating), _) => {
            if was_created {
                deletion
            } else {
                Operation::Delete
            }
        }
        (Some(P::Created), Intent::Keep) => {
            let waits = |operation| pending(world, operation).next().is_some();
            [Operation::Backup, Operation::Restore].into_iter().find(|operation| waits(*operation))?
        }
        (Some(P::BackupRequested | P::BackupInProgress | P::BackupCompleted), _) => Operation::Backup,
        (Some(P::RestoreRequested | P::RestoreCompleted), Intent::Keep)
        | (Some(P::RestoreInProgress), Intent::Keep | Intent::BackupThenDelete) => Operation::Restore,
        (
            Some(
                P::Created
                | P::RestoreRequested
                | P::RestoreInProgress
                | P::RestoreCompleted
                | P::BackupBeforeDeleteRequested
                | P::BackupBeforeDeleteInProgress,
            ),
            _,
        ) => deletion,
        _ => Operation::Delete,
    };
    assert!(permits(operation, phase, intent, was_created), "{operation} in {phase:?} with {intent:?}");
    Some(operation)
}

/// The Backup or Restore that a Job of that operation would be given.
pub(super) fn next_request(world: &World, operation: Operation) -> Option<RequestName> {
    let status = world.api.database().unwrap_or_default()["status"].clone();
    let field = match operation {
        Operation::DeleteBackup => return withdrawn(world).next(),
        Operation::Backup => "backup",
        Operation::Restore => "restore",
        _ => return None,
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
