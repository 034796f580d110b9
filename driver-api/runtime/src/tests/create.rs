//! What `create` promises.

use serde_json::json;

use super::{ADMIN_PASSWORD, World, assert_failed};
use crate::outcome::Outcome;
use api::Operation;
use api::Reason;
use driver::ErrorKind;

#[tokio::test]
async fn create_costs_six_requests_in_the_order_that_survives_a_crash() {
    let world = World::new();
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(
        world.api.requests(),
        [
            "GET database",
            "PATCH database finalizers [\"db.isotoma.com/database\"]",
            "PATCH database status Creating",
            "POST secret password",
            "PATCH secret database,host,password,port,provider,sslmode,type,uri,username",
            "PATCH database status Created",
        ]
    );
    assert!(world.login_works());
    assert_eq!(
        world.secret("uri").unwrap(),
        format!("memory://orders_a:{}@db.example.com:1/orders", world.secret("password").unwrap())
    );
    let status = world.api.database().unwrap()["status"].clone();
    assert_eq!(status["binding"], json!({"name": "orders"}));
    assert_eq!(
        (status["server"].as_str(), status["database"].as_str()),
        (Some("db.example.com:1"), Some("orders"))
    );
    assert!(status["activeOperation"].is_null());
    assert_eq!(world.condition("Ready").unwrap().0, "True");
    let secret = world.api.secret().unwrap();
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "u-1");
    assert_eq!(secret["type"], "servicebinding.io/memory");
}

#[tokio::test]
async fn a_database_in_the_making_is_not_ready_and_says_so() {
    let world = World::new();
    world.api.fault_at(4, super::api_server::Fault::KilledBefore);
    assert_eq!(world.try_run(Operation::Create).await, None);
    assert_eq!(world.phase().unwrap(), "Creating");
    let (status, reason, _) = world.condition("Ready").unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Creating"));
}

#[tokio::test]
async fn a_job_that_has_completed_does_nothing_more() {
    let world = World::new();
    let assignment = world.assignment(Operation::Create);
    let driver = world.server.driver();
    for expected in [6, 7] {
        let outcome = super::perform(&driver, world.api.client(), &assignment).await;
        assert_eq!((outcome, world.api.requests().len()), (Outcome::Done, expected));
    }
}

#[tokio::test]
async fn an_edited_or_deleted_secret_is_repaired() {
    let world = World::created().await;
    let mut secret = world.api.secret().unwrap();
    secret["data"]["host"] = json!("d3Jvbmc=");
    secret["data"].as_object_mut().unwrap().remove("password");
    world.api.set_secret(Some(secret));
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(world.secret("host").unwrap(), "db.example.com");
    assert!(world.login_works());

    world.api.set_secret(None);
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert!(world.login_works());
}

#[tokio::test]
async fn a_secret_that_is_not_ours_is_never_overwritten() {
    let world = World::new();
    let theirs = json!({"metadata": {"name": "orders", "uid": "s-9"}, "data": {"password": "dGhlaXJz"}});
    world.api.set_secret(Some(theirs.clone()));
    let outcome = world.run(Operation::Create).await;
    assert!(assert_failed(&outcome, Reason::SecretConflict).contains("Secret shop/orders"));
    assert_eq!(world.api.secret(), Some(theirs));
    assert_eq!(world.server.counts(), (0, 0));
    // Repairing the cause is enough.
    world.api.set_secret(None);
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
}

#[tokio::test]
async fn a_database_of_somebody_else_is_refused_before_the_finalizer() {
    let world = World::new();
    world.server.plant_foreign("orders");
    let outcome = world.run(Operation::Create).await;
    assert_failed(&outcome, Reason::NameTaken);
    assert_eq!(world.condition("Ready").unwrap().1, "NameTaken");
    assert!(world.api.database().unwrap()["metadata"]["finalizers"].is_null());
    assert_eq!(world.server.database("orders").unwrap().rows, ["theirs"]);
    world.api.delete();
    assert_eq!(world.api.database(), None);
}

#[tokio::test]
async fn a_database_that_got_lost_is_not_replaced_by_an_empty_one() {
    let world = World::created().await;
    world.server.lose("orders");
    let outcome = world.run(Operation::Create).await;
    assert_failed(&outcome, Reason::DatabaseMissing);
    assert_eq!(world.phase().unwrap(), "Created");
    assert_eq!(world.condition("Ready").unwrap().0, "False");
    assert_eq!(world.server.database("orders"), None);
}

#[tokio::test]
async fn a_half_made_database_is_not_made_again_on_another_server() {
    let world = World::new();
    world.api.fault_at(4, super::api_server::Fault::KilledBefore);
    assert_eq!(world.try_run(Operation::Create).await, None);
    world.api.fault_at(usize::MAX, super::api_server::Fault::KilledBefore);
    world.api.edit(|database| database["spec"]["connect"]["host"] = json!("other.example.com"));
    let world = World { server: driver::testkit::MemoryServer::default(), ..world };
    assert_failed(&world.run(Operation::Create).await, Reason::DatabaseMissing);
    assert_eq!(world.server.counts(), (0, 0));
    assert_eq!(world.api.database().unwrap()["status"]["server"], "db.example.com:1");
}

#[tokio::test]
async fn the_name_of_a_database_that_was_begun_holds() {
    let world = World::created().await;
    // As if a later version derived another name.
    world.api.edit(|database| database["spec"]["name"] = json!("renamed"));
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert_eq!((world.server.counts(), world.secret("database").unwrap()), ((1, 1), "orders".to_owned()));
}

#[tokio::test]
async fn a_secret_that_cannot_be_written_is_named() {
    let world = World::created().await;
    let mut secret = world.api.secret().unwrap();
    secret["immutable"] = json!(true);
    world.api.set_secret(Some(secret));
    let outcome = world.run(Operation::Create).await;
    assert!(assert_failed(&outcome, Reason::SecretConflict).contains("delete it"));
    world.api.set_secret(None);
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
}

#[tokio::test]
async fn an_unknown_parameter_is_refused_by_name_and_stalls() {
    let world = World::with(&json!({"parameters": {"colour": "blue"}}));
    let outcome = world.run(Operation::Create).await;
    assert!(assert_failed(&outcome, Reason::Invalid).contains("colour"));
    assert_eq!(world.condition("Stalled").unwrap().0, "True");
    world.api.edit(|database| {
        database["spec"]["parameters"] = json!({});
        database["metadata"]["generation"] = json!(2);
    });
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
    assert_eq!(world.condition("Stalled"), None);
}

#[tokio::test]
async fn a_bad_template_is_refused_before_anything_is_made() {
    let world = World::with(&json!({"secretTemplate": {"data": {"dsn": "{{ hots }}"}}}));
    assert_failed(&world.run(Operation::Create).await, Reason::Invalid);
    assert_eq!((world.server.counts(), world.api.secret()), ((0, 0), None));
}

#[tokio::test]
async fn missing_credentials_are_named() {
    let from = json!({"valueFrom": {"secretKeyRef": {"name": "dbpassword", "key": "password"}}});
    let world = World::with(&json!({"credentials": {"username": {"value": "admin"}, "password": from}}));
    let outcome = world.run(Operation::Create).await;
    let message = assert_failed(&outcome, Reason::CredentialsMissing);
    assert!(message.contains("Secret \"dbpassword\" with a key \"password\""), "{message}");
}

#[tokio::test]
async fn no_secret_reaches_a_condition() {
    let world = World::new();
    world.server.refuse(Some((ErrorKind::AuthenticationFailed, format!("FATAL: {ADMIN_PASSWORD} is wrong"))));
    let outcome = world.run(Operation::Create).await;
    let message = assert_failed(&outcome, Reason::AuthenticationFailed);
    assert_eq!(message, "FATAL: <redacted> is wrong");
    assert!(!world.api.database().unwrap()["status"].to_string().contains(ADMIN_PASSWORD));
}

#[tokio::test]
async fn the_same_failure_is_written_once() {
    let world = World::new();
    world.server.refuse(Some((ErrorKind::Unreachable, "no route".to_owned())));
    world.run(Operation::Create).await;
    world.api.forget_requests();
    world.run(Operation::Create).await;
    assert_eq!(world.api.requests(), ["GET database"]);
}

#[tokio::test]
async fn a_run_for_an_older_generation_or_another_object_does_not_act() {
    let world = World::new();
    let stale = world.assignment(Operation::Create);
    world.api.edit(|database| database["metadata"]["generation"] = json!(2));
    let outcome = super::perform(&world.server.driver(), world.api.client(), &stale).await;
    assert_failed(&outcome, Reason::Superseded);
    world.api.edit(|database| database["metadata"]["uid"] = json!("u-2"));
    let outcome = super::perform(&world.server.driver(), world.api.client(), &stale).await;
    assert_eq!((outcome, world.server.counts()), (Outcome::Done, (0, 0)));
}

#[tokio::test]
async fn while_another_run_holds_the_lock_nothing_is_written() {
    let world = World::new();
    let target = driver::Target::new("orders", driver::Mark::new("c-1", "u-1"), 32);
    let tls = driver::ServerTls::new(driver::TlsMode::Require, None);
    let admin = driver::Login::new("admin", driver::Secret::new("x"));
    let server = driver::Server::new("db.example.com", 1, tls, admin);
    let session = crate::Driver::connect(&world.server.driver(), &server, &target).await.unwrap();
    let outcome = world.run(Operation::Create).await;
    assert_eq!(outcome.code(), 75);
    assert_eq!(world.api.requests(), ["GET database"]);
    drop(session);
    assert_eq!(world.run(Operation::Create).await, Outcome::Done);
}
