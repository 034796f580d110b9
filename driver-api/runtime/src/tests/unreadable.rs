//! An object that somebody has made hard to read.

use serde_json::{Value, json};
use tracing::Level;

use super::{ADMIN_PASSWORD, World, assert_failed};
use crate::outcome::Outcome;
use api::{Operation, Reason};
use driver::testkit::Logged;

/// More levels than `serde_json` decodes, which gives up at 128.
const LEVELS: usize = 140;

/// Parameters as deep as that, and who wrote them, as an API server keeps it.
fn deepen(database: &mut Value) {
    let deep = |key: &str| (0..LEVELS).fold(json!({}), |inner, _| json!({key: inner}));
    database["spec"]["parameters"] = json!({"comment": deep("a")});
    database["metadata"]["managedFields"] = json!([{
        "manager": "kubectl", "operation": "Update", "apiVersion": "db.isotoma.com/v1alpha1",
        "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:parameters": deep("f:a")}},
    }]);
}

/// Its owner is told, and is not kept from deleting it.
#[tokio::test]
async fn parameters_that_are_nested_too_deeply_are_refused_by_name_and_hold_nothing_up() {
    let world = World::new();
    world.api.edit(deepen);
    let outcome = world.run(Operation::Create).await;
    let message = assert_failed(&outcome, Reason::Invalid);
    assert!(message.contains("spec.parameters"), "{message}");
    let (status, reason, said) = world.condition("Ready").unwrap();
    assert_eq!((status.as_str(), reason.as_str(), said.as_str()), ("False", "Invalid", message));

    // And of one that is made already, nothing is changed.
    let world = World::created().await;
    world.api.edit(|database| {
        deepen(database);
        database["metadata"]["generation"] = json!(2);
    });
    assert_failed(&world.run(Operation::Create).await, Reason::Invalid);
    assert_eq!(world.server.counts(), (1, 1));
    world.api.delete();
    assert_eq!(world.run(Operation::Delete).await, Outcome::Done);
    assert_eq!((world.api.database(), world.server.counts()), (None, (0, 0)));
}

/// It holds the administrator's password.
#[tokio::test]
async fn an_object_that_cannot_be_decoded_is_logged_nowhere() {
    let changes: [fn(&mut Value); 3] = [
        |database| database["status"]["phase"] = json!("Unheard"),
        |database| database["status"]["verifiedAt"] = json!("yesterday"),
        |database| database["spec"]["connect"] = json!(7),
    ];
    for change in changes {
        let world = World::created().await;
        world.api.edit(change);
        let logged = Logged::start(Level::TRACE);
        let outcome = world.run(Operation::Create).await;
        let message = assert_failed(&outcome, Reason::Internal);
        assert!(message.contains("cannot read the Database"), "{message}");
        assert!(!logged.text().is_empty(), "something is logged at this level");
        for text in [logged.text(), message.to_owned()] {
            assert!(!text.contains(ADMIN_PASSWORD), "{text}");
        }
    }
}
