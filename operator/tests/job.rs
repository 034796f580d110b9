//! The Jobs that are launched, whole, one file for each operation. `make generate` writes them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail on the spot")]

use std::path::PathBuf;

use api::Operation;
use api::{Backup, Database, DriverRegistration};
use db_operator::database::decide::Launch;
use db_operator::database::facts::Request;
use db_operator::job::build::{JobName, Settings, StoreKeys, Subject, build, server_key};
use db_operator::seen::jobs::KnownJob;
use db_operator::subject::Guarded;
use serde_json::{Value, json};

fn settings() -> Settings {
    Settings {
        namespace: "platform".into(),
        cluster_id: "c-1".into(),
        release_service_account: "let-go".into(),
        log_format: "json",
    }
}

fn keys() -> StoreKeys {
    let key = |key: &str| json!({"valueFrom": {"secretKeyRef": {"name": "bucket", "key": key}}});
    StoreKeys {
        credentials: serde_json::from_value(
            json!({"accessKeyId": {"value": "AKIA"}, "secretAccessKey": key("secret")}),
        )
        .unwrap(),
        ca: serde_json::from_value(json!({"configMapKeyRef": {"name": "authorities", "key": "store.crt"}}))
            .unwrap(),
        decryption_key: serde_json::from_value(key("age")).unwrap(),
    }
}

fn database(change: impl FnOnce(&mut Value)) -> Database {
    let mut value = json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database",
        "metadata": {
            "name": "orders", "namespace": "shop", "uid": "0b7e1c7e-0000-4000-8000-000000000001", "generation": 3,
            "annotations": {"db.isotoma.com/retry": "monday", "unrelated": "x"},
        },
        "spec": {
            "driver": "engine",
            "connect": {"host": "DB.example", "port": "5432", "tls": {
                "ca": {"valueFrom": {"configMapKeyRef": {"name": "authorities", "key": "ca.crt"}}},
                "clientCertificate": {"secretName": "client"},
            }},
            "credentials": {
                "username": {"value": "admin"},
                "password": {"valueFrom": {"secretKeyRef": {"name": "dbpassword", "key": "password"}}},
            },
        },
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn deleted_backup() -> Backup {
    serde_json::from_value(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Backup",
        "metadata": {
            "name": "nightly", "namespace": "shop", "uid": "0b7e1c7e-0000-4000-8000-000000000009", "generation": 3,
            "annotations": {"db.isotoma.com/retry": "monday"},
        },
        "spec": {"database": "orders", "deletionPolicy": "Delete"},
        "status": {"driver": "engine", "location": {
            "path": "shop/orders/0b7e1c7e-0000-4000-8000-000000000009",
            "s3": {"region": "eu-west-1", "bucket": "backups", "endpoint": "https://S3.example"},
        }},
    }))
    .unwrap()
}

fn driver(spec: &Value) -> DriverRegistration {
    serde_json::from_value(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Driver", "metadata": {"name": "engine"}, "spec": spec,
    }))
    .unwrap()
}

fn plain() -> DriverRegistration {
    driver(&json!({"image": "registry.example/engine:1"}))
}

fn with_everything() -> DriverRegistration {
    driver(&json!({
        "image": "registry.example/engine:1", "backupImage": "registry.example/engine-backup:1", "imagePullPolicy": "Always", "command": ["/engine"], "args": ["-v"],
        "serviceAccountName": "worker", "activeDeadlineSeconds": 90,
        "podTemplate": {
            "labels": {"team": "platform", "db.isotoma.com/uid": "forged", "app.kubernetes.io/managed-by": "forged"},
            "annotations": {"example.com/note": "y"},
            "env": {"HTTPS_PROXY": "http://proxy", "DB_OPERATOR_UID": "forged"},
            "resources": {"requests": {"cpu": "1"}},
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "databases", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "high",
        },
    }))
}

fn job(database: &Database, driver: &DriverRegistration, operation: Operation) -> Value {
    let request = matches!(operation, Operation::Backup | Operation::Restore).then(|| Request {
        operation,
        name: "nightly".to_owned(),
        uid: "b-1".to_owned(),
        retry: Some("tuesday".to_owned()),
        source: None,
    });
    let backup = deleted_backup();
    let object =
        if operation == Operation::DeleteBackup { Guarded::from(&backup) } else { Guarded::from(database) };
    let source = (operation == Operation::Restore).then(|| "b-9".to_owned());
    let launch = Launch { operation, request, source, attempt: 2, after_lost_work: false };
    // Whoever deletes a backup need not read it.
    let keys = match operation {
        Operation::DeleteBackup => StoreKeys { decryption_key: None, ..keys() },
        _ => keys(),
    };
    serde_json::to_value(build(object, driver, &launch, &keys, &settings())).unwrap()
}

fn assert_golden(name: &str, job: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/jobs").join(format!("{name}.yaml"));
    expectorate::assert_contents(path, &serde_saphyr::to_string(job).unwrap());
}

#[test]
fn jobs_are_what_the_reviewed_files_say() {
    for operation in Operation::ALL {
        assert_golden(operation.as_str(), &job(&database(|_| {}), &plain(), operation));
    }
    assert_golden("create-with-everything", &job(&database(|_| {}), &with_everything(), Operation::Create));
}

#[test]
fn what_we_find_our_jobs_by_cannot_be_set_by_a_driver() {
    let job = job(&database(|_| {}), &with_everything(), Operation::Create);
    let text = job.to_string();
    assert!(!text.contains("forged"), "{text}");
    assert!(text.contains("http://proxy") && text.contains("\"team\":\"platform\""));
}

#[test]
fn release_runs_with_us_and_has_no_credentials() {
    let job = job(&database(|_| {}), &with_everything(), Operation::Release);
    let text = job.to_string();
    assert_eq!(job["metadata"]["namespace"], "platform");
    assert_eq!(job["spec"]["template"]["spec"]["serviceAccountName"], "let-go");
    assert!(text.contains(r#"{"name":"DB_OPERATOR_NAMESPACE","value":"shop"}"#), "{text}");
    assert!(!text.contains("secretKeyRef") && !text.contains("configMapKeyRef"), "{text}");
}

#[test]
fn the_release_of_a_backup_names_it_and_has_no_credentials() {
    let (backup, launch) = (deleted_backup(), Launch::RELEASE);
    let job = build(&backup, &plain(), &launch, &StoreKeys::default(), &settings());
    let job = serde_json::to_value(job).unwrap();
    let text = job.to_string();
    assert_eq!(job["metadata"]["namespace"], "platform");
    assert!(text.contains(r#"{"name":"DB_OPERATOR_BACKUP","value":"nightly"}"#), "{text}");
    assert!(!text.contains("secretKeyRef"), "{text}");
}

#[test]
fn what_deletes_a_backup_has_the_stores_key_and_not_the_servers() {
    let job = job(&database(|_| {}), &with_everything(), Operation::DeleteBackup);
    let text = job.to_string();
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example/engine:1", "it moves no data");
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 86_400, "there may be many objects");
    assert!(
        text.contains("DB_OPERATOR_S3_SECRET_ACCESS_KEY") && !text.contains("DB_OPERATOR_ADMIN"),
        "{text}"
    );
    assert_eq!(job["metadata"]["annotations"]["db.isotoma.com/server"], "https://s3.example");
}

#[test]
fn the_backup_or_restore_that_a_run_works_on_is_named() {
    for (operation, name) in
        [(Operation::Backup, "DB_OPERATOR_BACKUP"), (Operation::Restore, "DB_OPERATOR_RESTORE")]
    {
        let text = job(&database(|_| {}), &plain(), operation).to_string();
        assert!(text.contains(&format!(r#"{{"name":"{name}","value":"nightly"}}"#)), "{text}");
        assert!(text.contains(r#"{"name":"DB_OPERATOR_REQUEST_UID","value":"b-1"}"#), "{text}");
        assert!(text.contains(r#""db.isotoma.com/retry":"tuesday""#), "{text}");
    }
}

#[test]
fn what_moves_data_has_the_image_and_the_time_for_it() {
    let restored = |status: Value| {
        database(move |value| {
            value["spec"]["restoreFrom"] = json!({"backup": "nightly"});
            value["status"] = status;
        })
    };
    let new = database(|_| {});
    for (database, operation, moves) in [
        (&new, Operation::Create, false),
        (&new, Operation::Delete, false),
        (&new, Operation::Backup, true),
        (&new, Operation::BackupBeforeDelete, true),
        (&new, Operation::Restore, true),
        (&restored(json!({})), Operation::Create, true),
        (&restored(json!({"createdAt": "2026-01-01T00:00:00Z"})), Operation::Create, false),
    ] {
        let job = job(database, &with_everything(), operation);
        let image = if moves { "registry.example/engine-backup:1" } else { "registry.example/engine:1" };
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["image"], image, "{operation}");
        assert_eq!(job["spec"]["activeDeadlineSeconds"], if moves { 86_400 } else { 90 }, "{operation}");
    }
}

#[test]
fn no_clear_password_is_in_a_job() {
    let database = database(|value| value["spec"]["credentials"]["password"] = json!({"value": "hunter2"}));
    for operation in Operation::ALL {
        assert!(!job(&database, &plain(), operation).to_string().contains("hunter2"), "{operation}");
    }
}

#[test]
fn a_job_is_read_back_as_what_was_launched() {
    for operation in Operation::ALL {
        let mut value = job(&database(|_| {}), &plain(), operation);
        value["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        let known = KnownJob::of(&serde_json::from_value(value).unwrap()).unwrap();
        assert_eq!((known.operation, known.generation, known.attempt), (operation, 3, 2));
        assert_eq!((known.database.as_str(), known.database_namespace.as_str()), ("orders", "shop"));
        let of_request = matches!(operation, Operation::Backup | Operation::Restore);
        assert_eq!(known.retry.as_deref(), Some(if of_request { "tuesday" } else { "monday" }));
        assert_eq!(known.request.as_deref(), of_request.then_some("b-1"));
        assert_eq!(known.source.as_deref(), (operation == Operation::Restore).then_some("b-9"));
        let name: JobName = known.name.parse().unwrap();
        let subject = if of_request { Subject::request("b-1") } else { Subject::Generation(3) };
        assert_eq!(name, JobName { operation, subject, attempt: 2 });
    }
}

#[test]
fn names_fit_and_differ_in_whatever_a_run_differs_in() {
    let mut names = std::collections::BTreeSet::new();
    let uids = ["0b7e1c7e-0000-4000-8000-000000000001", "0b7e1c7e-0000-4000-8000-000000000002"];
    for operation in Operation::ALL {
        for (uid, generation, attempt) in [
            (uids[0], 1, 1),
            (uids[0], 1, 2),
            (uids[0], 2, 1),
            (uids[1], 1, 1),
            // A change a second for three centuries; an attempt each half hour for half of one.
            (uids[1], 9_999_999_999, 999_999),
        ] {
            let subject = if matches!(operation, Operation::Backup | Operation::Restore) {
                Subject::request(&generation.to_string())
            } else {
                Subject::Generation(generation)
            };
            let job = JobName { operation, subject, attempt };
            let name = job.with_uid(uid);
            // A pod's name adds a dash and five characters.
            assert!(name.len() + 6 <= 63, "{name} has {} characters", name.len());
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert_eq!(name.parse(), Ok(job), "{name}");
            assert!(names.insert(name));
        }
    }
    let former =
        [("dbo-final-a-3-2", Operation::BackupBeforeDelete), ("dbo-purge-a-3-2", Operation::DeleteBackup)];
    for (name, operation) in former {
        let job = JobName { operation, subject: Subject::Generation(3), attempt: 2 };
        assert_eq!(name.parse(), Ok(job), "an earlier release made it");
    }
    for foreign in
        ["", "dbo", "dbo-create", "dbo-create-x-1", "dbo-explode-x-1-1", "x-create-y-1-1", "dbo-create-x-1-y"]
    {
        assert!(foreign.parse::<JobName>().is_err(), "{foreign}");
    }
}

#[test]
fn servers_count_the_same_however_they_are_spelled() {
    let key = |connect: Value| server_key(&database(|value| value["spec"]["connect"] = connect));
    let spellings = [
        json!({"host": "DB.Example", "port": 5432}),
        json!({"host": "db.example", "port": "5432"}),
        json!({"host": "db.example"}),
    ];
    for spelling in spellings {
        assert_eq!(key(spelling.clone()), "db.example", "{spelling}");
    }
    assert_ne!(key(json!({"host": "db2.example"})), "db.example");
}
