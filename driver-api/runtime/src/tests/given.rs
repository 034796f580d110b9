//! A Job is given values by the kubelet, and believes only those that are from where the live object says.

use age::secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::objects::Kind;
use super::operator::settle;
use super::stored::Stored;
use super::{World, assert_failed};
use crate::env::Assignment;
use crate::injected::Injected;
use crate::outcome::Outcome;
use api::env::{self, from};
use api::{Operation, Reason};
use driver::ErrorKind;
use store::testing::bucket;

/// A variable of a Job: its name, its value, and where the Job says that it is from.
type Variable = (&'static str, &'static str, Option<&'static str>);

fn injected(variables: &[Variable]) -> Injected {
    Injected::parse(|name| {
        let found = variables.iter().find_map(|(variable, value, origin)| {
            if *variable == name { Some(*value) } else { (from(variable) == name).then_some(*origin)? }
        });
        found.map(str::to_owned)
    })
}

/// One run of a Job that was given those.
async fn run(world: &World, operation: Operation, variables: &[Variable]) -> Outcome {
    let assignment = Assignment { injected: injected(variables), ..world.assignment(operation) };
    super::perform(&world.server.driver(), world.api.client(), &assignment).await
}

fn secret(name: &str, key: &str) -> Value {
    json!({"valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
}

/// What a spec may take from elsewhere for its server.
const FOR_THE_SERVER: [Variable; 5] = [
    (env::ADMIN_USERNAME, "admin", Some("db/username")),
    (env::ADMIN_PASSWORD, "hunter2", Some("db/password")),
    (env::TLS_CA, "a PEM", Some("configmap/servers-ca/ca.crt")),
    (env::TLS_CERTIFICATE, "a certificate", Some("client/tls.crt")),
    (env::TLS_KEY, "a key", Some("client/tls.key")),
];

fn all_of_it() -> Value {
    json!({
        "credentials": {"username": secret("db", "username"), "password": secret("db", "password")},
        "connect": {"host": "db.example.com", "tls": {
            "ca": {"valueFrom": {"configMapKeyRef": {"name": "servers-ca", "key": "ca.crt"}}},
            "clientCertificate": {"secretName": "client"},
        }},
    })
}

/// The same for its object store.
const FOR_THE_STORE: [Variable; 3] = [
    (env::S3_ACCESS_KEY_ID, "test", Some("bucket/id")),
    (env::S3_SECRET_ACCESS_KEY, "testsecret", Some("bucket/key")),
    (env::S3_SESSION_TOKEN, "", Some("bucket/token")),
];

/// `variables` with one of them from elsewhere, or from nowhere.
fn each_from_elsewhere(variables: &[Variable]) -> Vec<(Variable, Vec<Variable>)> {
    let mut all = Vec::new();
    for index in 0..variables.len() {
        for origin in [Some("another/key"), Some("configmap/db/password"), Some("db/password/"), None] {
            let mut changed = variables.to_vec();
            changed[index].2 = origin;
            all.push((changed[index], changed));
        }
    }
    all
}

/// The refusal names what is named, and what was given; nothing was connected to, and no secret is shown.
fn assert_refused(outcome: &Outcome, changed: Variable, case: &str) {
    let message = assert_failed(outcome, Reason::CredentialsMissing);
    assert!(message.contains(changed.2.unwrap_or("does not say where")), "{case}: {message}");
    assert!(message.contains("it is not used"), "{case}: {message}");
    assert!(!message.contains("hunter2") && !message.contains("testsecret"), "{case}: {message}");
}

#[tokio::test]
async fn what_is_from_where_the_spec_says_is_used() {
    let world = World::with(&all_of_it());
    assert_eq!(run(&world, Operation::Create, &FOR_THE_SERVER).await, Outcome::Done);
    assert!(world.login_works());
    world.api.delete();
    assert_eq!(run(&world, Operation::Delete, &FOR_THE_SERVER).await, Outcome::Done);
    assert_eq!((world.api.database(), world.server.counts()), (None, (0, 0)));
}

#[tokio::test]
async fn what_is_from_elsewhere_is_used_for_no_connection() {
    for (changed, variables) in each_from_elsewhere(&FOR_THE_SERVER) {
        let case = format!("{changed:?}");
        let world = World::with(&all_of_it());
        // Whoever connects hears this.
        world.server.refuse(Some((ErrorKind::Unreachable, "it was connected to".to_owned())));
        assert_refused(&run(&world, Operation::Create, &variables).await, changed, &case);
        assert_eq!((world.api.secret(), world.server.counts()), (None, (0, 0)), "{case}");
        assert!(world.api.database().unwrap()["metadata"]["finalizers"].is_null(), "{case}");
        assert_eq!(world.condition("Ready").unwrap().1, "CredentialsMissing", "{case}");
        world.server.refuse(None);
        assert_eq!(run(&world, Operation::Create, &FOR_THE_SERVER).await, Outcome::Done, "{case}");
        world.server.refuse(Some((ErrorKind::Unreachable, "it was connected to".to_owned())));
        world.api.delete();
        assert_refused(&run(&world, Operation::Delete, &variables).await, changed, &case);
        assert_eq!(world.server.counts(), (1, 1), "{case}");
    }
}

/// A Database that is backed up with a key from a Secret.
async fn with_key() -> Stored {
    let stored = Stored::alone(&["one"]).await;
    stored.world.api.edit(|database| {
        database["spec"]["backupTo"]["s3"]["credentials"] =
            json!({"accessKeyId": secret("bucket", "id"), "secretAccessKey": secret("bucket", "key")});
    });
    stored.forget_requests();
    stored
}

/// The keys of its store, without a session token.
const KEYS: [Variable; 2] = [FOR_THE_STORE[0], FOR_THE_STORE[1]];

#[tokio::test]
async fn a_key_of_a_store_that_is_from_elsewhere_is_sent_to_no_store() {
    for (changed, variables) in each_from_elsewhere(&KEYS) {
        let case = format!("{changed:?}");
        let stored = with_key().await;
        stored.server().refuse(Some((ErrorKind::Unreachable, "it was connected to".to_owned())));
        stored.ask_backup("nightly");
        assert_refused(&run(&stored.world, Operation::Backup, &variables).await, changed, &case);
        assert_eq!(stored.ready(Kind::Backup, "nightly").1, "CredentialsMissing", "{case}");
        stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
        stored.world.api.delete();
        assert_refused(&run(&stored.world, Operation::BackupBeforeDelete, &variables).await, changed, &case);
        stored.world.api.edit(|database| database["status"]["phase"] = json!("BackupBeforeDeleteCompleted"));
        assert_refused(&run(&stored.world, Operation::Delete, &variables).await, changed, &case);
        assert_eq!((stored.asked(), stored.rows().unwrap()), (Vec::new(), vec!["one".to_owned()]), "{case}");
        stored.server().refuse(None);
        assert!(stored.world.login_works(), "{case}: nobody is locked out");
    }
    let stored = with_key().await;
    stored.ask_backup("nightly");
    assert_eq!(run(&stored.world, Operation::Backup, &KEYS).await, Outcome::Done);
}

#[tokio::test]
async fn a_restore_takes_only_the_keys_that_its_source_names() {
    let mut variables = KEYS.to_vec();
    let key = age::x25519::Identity::generate().to_string();
    let key: &'static str = Box::leak(key.expose_secret().to_owned().into_boxed_str());
    variables.push((env::DECRYPTION_KEY, key, Some("age/key")));
    for (changed, given) in each_from_elsewhere(&variables) {
        let case = format!("{changed:?}");
        let stored = with_key().await;
        stored.ask_backup("nightly");
        assert_eq!(run(&stored.world, Operation::Backup, &KEYS).await, Outcome::Done);
        stored.forget_requests();
        stored.server().refuse(Some((ErrorKind::Unreachable, "it was connected to".to_owned())));
        let source = json!({"backup": "nightly", "decryptionKey": secret("age", "key")});
        let spec = json!({"database": "orders", "from": source, "overwrite": true});
        stored.world.api.objects(|objects| objects.make(Kind::Restore, "back", &spec));
        assert_refused(&run(&stored.world, Operation::Restore, &given).await, changed, &case);
        assert_eq!(stored.ready(Kind::Restore, "back").1, "CredentialsMissing", "{case}");
        assert_eq!(stored.asked(), Vec::<String>::new(), "{case}");
        stored.server().refuse(None);
        assert_eq!(run(&stored.world, Operation::Restore, &variables).await, Outcome::Done, "{case}");

        // The same for a Database that is to be made from it.
        let born = Stored::empty(&bucket().await, &json!({"restoreFrom": source})).await;
        let nightly = stored.world.api.objects(|objects| objects.get(Kind::Backup, "nightly")).unwrap();
        born.world.api.objects(|objects| {
            objects.make(Kind::Backup, "nightly", &nightly["spec"]);
            objects.edit(Kind::Backup, "nightly", |backup| backup["status"] = nightly["status"].clone());
        });
        born.server().refuse(Some((ErrorKind::Unreachable, "it was connected to".to_owned())));
        assert_refused(&run(&born.world, Operation::Create, &given).await, changed, &case);
        assert!(born.world.api.database().unwrap()["metadata"]["finalizers"].is_null(), "{case}");
        born.server().refuse(None);
        assert_eq!(run(&born.world, Operation::Create, &variables).await, Outcome::Done, "{case}");
        // Once it is made, the source is read no more, and no key is given.
        assert_eq!(run(&born.world, Operation::Create, &[]).await, Outcome::Done, "{case}");
    }
}

#[tokio::test]
async fn what_a_backup_stored_is_deleted_only_with_the_keys_that_its_status_names() {
    for (changed, given) in each_from_elsewhere(&KEYS) {
        let case = format!("{changed:?}");
        let stored = with_key().await;
        stored.ask_deletable_backup("nightly");
        assert_eq!(run(&stored.world, Operation::Backup, &KEYS).await, Outcome::Done);
        stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
        stored.forget_requests();
        assert_refused(&run(&stored.world, Operation::DeleteBackup, &given).await, changed, &case);
        assert_eq!(stored.asked(), Vec::<String>::new(), "{case}");
        assert_eq!(run(&stored.world, Operation::DeleteBackup, &KEYS).await, Outcome::Done, "{case}");
    }
}

/// Not even whoever keeps the other half of what a run needs is asked.
#[tokio::test]
async fn nobody_is_asked_for_the_rest_before_all_that_was_given_is_looked_at() {
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf";
    let in_aws = json!({"valueFrom": {"awsSecretKeyRef": {"arn": arn, "key": "id"}}});
    let foreign = [(env::ADMIN_PASSWORD, "hunter2", Some("another/password"))];
    for operation in [Operation::Backup, Operation::BackupBeforeDelete, Operation::Delete, Operation::Restore]
    {
        let stored = Stored::alone(&["one"]).await;
        stored.world.api.edit(|database| {
            let credentials = &mut database["spec"]["credentials"];
            credentials["username"] = in_aws.clone();
            credentials["password"] = secret("db", "password");
            database["spec"]["backupTo"]["s3"]["credentials"]["accessKeyId"] = in_aws.clone();
        });
        match operation {
            Operation::Backup => drop(stored.ask_backup("nightly")),
            Operation::Restore => {
                let from = json!({"location": {"s3": stored.s3, "path": "elsewhere"}});
                let spec = json!({"database": "orders", "from": from, "overwrite": true});
                stored.world.api.objects(|objects| objects.make(Kind::Restore, "back", &spec));
            }
            Operation::Create
            | Operation::BackupBeforeDelete
            | Operation::Rotate
            | Operation::Delete
            | Operation::DeleteBackup
            | Operation::Release => stored.world.api.delete(),
        }
        if operation == Operation::Delete {
            stored.world.api.edit(|database| {
                database["status"]["phase"] = json!("BackupBeforeDeleteCompleted");
            });
        }
        let outcome = run(&stored.world, operation, &foreign).await;
        assert_refused(&outcome, foreign[0], operation.as_str());
    }
}

#[tokio::test]
async fn authorities_that_the_spec_does_not_name_are_trusted_by_no_store() {
    let named = json!({"configMapKeyRef": {"name": "stores-ca", "key": "ca.crt"}});
    for (ca, given) in [
        (Value::Null, Some("configmap/stores-ca/ca.crt")),
        (named.clone(), Some("stores-ca/ca.crt")),
        (named.clone(), Some("configmap/another/ca.crt")),
        (named.clone(), None),
    ] {
        let stored = Stored::alone(&["one"]).await;
        stored.world.api.edit(|database| {
            if !ca.is_null() {
                database["spec"]["backupTo"]["s3"]["ca"] = ca.clone();
            }
        });
        stored.ask_backup("nightly");
        stored.forget_requests();
        let parsed = Injected::parse(|name| given.filter(|_| name == env::S3_CA_FROM).map(str::to_owned));
        let assignment = Assignment { injected: parsed, ..stored.world.assignment(Operation::Backup) };
        let driver = stored.server().driver();
        let outcome = super::perform(&driver, stored.world.api.client(), &assignment).await;
        let message = assert_failed(&outcome, Reason::CredentialsMissing);
        assert!(message.contains("spec.backupTo.s3.ca"), "{message}");
        assert_eq!(stored.asked(), Vec::<String>::new());
    }
    let stored = Stored::alone(&["one"]).await;
    stored.world.api.edit(|database| database["spec"]["backupTo"]["s3"]["ca"] = named.clone());
    stored.ask_backup("nightly");
    let parsed =
        Injected::parse(|name| (name == env::S3_CA_FROM).then(|| "configmap/stores-ca/ca.crt".to_owned()));
    let assignment = Assignment { injected: parsed, ..stored.world.assignment(Operation::Backup) };
    let outcome = super::perform(&stored.server().driver(), stored.world.api.client(), &assignment).await;
    assert_eq!(outcome, Outcome::Done);
}

/// What somebody does to a Database, with a value.
type Change = fn(&mut Value, &Value);

/// Whom the store's client is to trust, the connection to the server may trust, too.
#[tokio::test]
async fn authorities_that_nobody_names_are_trusted_by_no_run_that_connects() {
    let named = json!({"configMapKeyRef": {"name": "stores-ca", "key": "ca.crt"}});
    let s3 = json!({"region": "eu-west-1", "bucket": "backups", "ca": named});
    let backup_to = json!({"s3": s3});
    let from = json!({"location": {"s3": s3, "path": "elsewhere"}});
    let nothing: Change = |_, _| {};
    let backed_up: Change = |database, backup_to| database["spec"]["backupTo"] = backup_to.clone();
    let made_from: Change = |database, from| database["spec"]["restoreFrom"] = from.clone();
    let loaded: Change = |database, from| {
        database["spec"]["restoreFrom"] = from.clone();
        database["status"]["phase"] = json!("RestoreCompleted");
        database["status"]["activeOperation"] =
            json!({"operation": "restore", "job": "dead", "restore": "back"});
    };
    // Its Restore is gone, and with it the word on where from.
    let withdrawn: Change = |database, _| {
        database["status"]["phase"] = json!("RestoreRequested");
        database["status"]["activeOperation"] =
            json!({"operation": "restore", "job": "dead", "restore": "back"});
    };
    // And whether what the Database names for a store is given to that operation.
    for (operation, change, value, is_given) in [
        (Operation::Create, nothing, &Value::Null, false),
        (Operation::Create, backed_up, &backup_to, false),
        (Operation::Create, made_from, &from, true),
        (Operation::Restore, loaded, &from, true),
        (Operation::Restore, withdrawn, &Value::Null, false),
        (Operation::Delete, nothing, &Value::Null, false),
        (Operation::Delete, backed_up, &backup_to, true),
    ] {
        let world = World::with(&all_of_it());
        assert_eq!(run(&world, Operation::Create, &FOR_THE_SERVER).await, Outcome::Done);
        world.api.edit(|database| change(database, value));
        if operation == Operation::Delete {
            world.api.delete();
        }
        world.server.refuse(Some((ErrorKind::Unreachable, "it was connected to".to_owned())));
        let with = |ca| [&FOR_THE_SERVER[..], &[(env::S3_CA_FROM, ca, None)]].concat();
        let outcome = run(&world, operation, &with("configmap/of-a-thief/ca.crt")).await;
        let message = assert_failed(&outcome, Reason::CredentialsMissing);
        assert!(
            message.contains("configmap/of-a-thief/ca.crt") && message.contains("not trusted"),
            "{operation}: {message}"
        );
        let outcome = run(&world, operation, &with("configmap/stores-ca/ca.crt")).await;
        let reason = if is_given { Reason::Unreachable } else { Reason::CredentialsMissing };
        assert_failed(&outcome, reason);
        world.server.refuse(None);
        assert_eq!(
            run(&world, operation, &FOR_THE_SERVER).await,
            Outcome::Done,
            "{operation}: none have to be"
        );
    }
}

/// Nor by one that loads what a Backup or Restore names.
#[tokio::test]
async fn authorities_are_those_of_the_backup_that_is_loaded_or_none() {
    let named = json!({"configMapKeyRef": {"name": "stores-ca", "key": "ca.crt"}});
    let stored = Stored::alone(&["one"]).await;
    stored.world.api.edit(|database| database["spec"]["backupTo"]["s3"]["ca"] = named.clone());
    stored.ask_backup("nightly");
    let ca = |ca| vec![(env::S3_CA_FROM, ca, None)];
    let right = ca("configmap/stores-ca/ca.crt");
    assert_eq!(run(&stored.world, Operation::Backup, &right).await, Outcome::Done);
    let spec = json!({"database": "orders", "from": {"backup": "nightly"}, "overwrite": true});
    stored.world.api.objects(|objects| objects.make(Kind::Restore, "back", &spec));
    stored.server().refuse(Some((ErrorKind::Unreachable, "it was connected to".to_owned())));
    let outcome = run(&stored.world, Operation::Restore, &ca("configmap/of-a-thief/ca.crt")).await;
    let message = assert_failed(&outcome, Reason::CredentialsMissing);
    assert!(message.contains("configmap/of-a-thief/ca.crt"), "{message}");
    assert_failed(&run(&stored.world, Operation::Restore, &[]).await, Reason::CredentialsMissing);
    stored.server().refuse(None);
    assert_eq!(run(&stored.world, Operation::Restore, &right).await, Outcome::Done);
}

#[tokio::test]
async fn a_deletion_that_leaves_the_database_needs_nothing_and_looks_at_nothing() {
    let world = World::with(&all_of_it());
    assert_eq!(run(&world, Operation::Create, &FOR_THE_SERVER).await, Outcome::Done);
    // The Secrets went with the namespace's other objects, and the server refuses whoever asks.
    world.server.refuse(Some((ErrorKind::Unreachable, "it was connected to".to_owned())));
    world.api.delete();
    assert_failed(&run(&world, Operation::Delete, &[]).await, Reason::CredentialsMissing);
    let (_, _, message) = world.condition("Ready").unwrap();
    assert!(message.contains("Secret \"db\" with a key \"username\""), "{message}");
    world.api.edit(|database| database["spec"]["deletionPolicy"] = json!("Retain"));
    assert_eq!(run(&world, Operation::Delete, &[]).await, Outcome::Done);
    assert_eq!((world.api.database(), world.server.counts()), (None, (1, 1)));
}

#[tokio::test]
async fn a_new_line_at_the_end_of_an_access_key_does_not_matter() {
    let stored = with_key().await;
    stored.ask_backup("nightly");
    let variables = [
        (env::S3_ACCESS_KEY_ID, "test\n", Some("bucket/id")),
        (env::S3_SECRET_ACCESS_KEY, " testsecret\r\n", Some("bucket/key")),
    ];
    assert_eq!(run(&stored.world, Operation::Backup, &variables).await, Outcome::Done);
    // And in a spec.
    stored.world.api.edit(|database| {
        database["spec"]["backupTo"]["s3"]["credentials"]["accessKeyId"] = json!({"value": "test\n"});
    });
    stored.ask_backup("another");
    assert_eq!(run(&stored.world, Operation::Backup, &variables[1..]).await, Outcome::Done);
    settle(&stored.world).await;
}
