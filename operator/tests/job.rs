//! The Jobs that are launched, whole, one file for each operation. `make generate` writes them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail on the spot")]

use std::path::PathBuf;

use api::Operation;
use db_operator::decision::{Launch, Request, Wish};
use db_operator::job::build::build;
use db_operator::job::parts::{Settings, StoreKeys, Worker};
use db_operator::job_name::{JobName, Series};
use db_operator::seen::database::KnownDatabase;
use db_operator::seen::driver::KnownDriver;
use db_operator::seen::job::KnownJob;
use db_operator::seen::references::{Authorities, KeyReference, StoreReferences};
use db_operator::seen::request::{KnownRequest, SeenBackup};
use db_operator::subject::Subject;
use serde_json::{Value, json};

fn settings() -> Settings {
    Settings {
        namespace: "platform".into(),
        cluster_id: "c-1".into(),
        release_service_account: "let-go".into(),
        release_image: "registry.example/db-operator:1".into(),
        log_format: "json",
    }
}

fn keys() -> StoreKeys {
    let key = |name: &str, key: &str| KeyReference { name: name.into(), key: key.into() };
    StoreKeys {
        store: StoreReferences {
            secret_access_key: Some(key("bucket", "secret")),
            authorities: Some(Authorities::ConfigMap(key("authorities", "store.crt"))),
            ..StoreReferences::default()
        },
        decryption_key: Some(key("bucket", "age")),
    }
}

fn database(change: impl FnOnce(&mut Value)) -> KnownDatabase {
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

fn deleted_backup() -> KnownRequest {
    let backup = json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Backup",
        "metadata": {
            "name": "nightly", "namespace": "shop", "uid": "0b7e1c7e-0000-4000-8000-000000000009", "generation": 3,
            "annotations": {"db.isotoma.com/retry": "monday"}, "deletionTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"database": "orders", "deletionPolicy": "Delete"},
        "status": {"driver": "engine", "location": {
            "path": "shop/orders/0b7e1c7e-0000-4000-8000-000000000009",
            "s3": {"region": "eu-west-1", "bucket": "backups", "endpoint": "https://S3.example"},
        }},
    });
    let SeenBackup(known) = serde_json::from_value(backup).unwrap();
    known
}

fn driver(spec: &Value) -> KnownDriver {
    serde_json::from_value(json!({
        "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Driver",
        "metadata": {"name": "engine", "uid": "d-1", "generation": 5}, "spec": spec,
    }))
    .unwrap()
}

fn plain() -> KnownDriver {
    driver(&json!({"image": "registry.example/engine:1"}))
}

fn with_everything() -> KnownDriver {
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

fn launch(operation: Operation) -> Launch {
    let request = matches!(operation, Operation::Backup | Operation::Restore).then(|| Request {
        operation,
        name: "nightly".into(),
        uid: "b-1".into(),
        retry: Some(Wish::of("tuesday")),
        source: None,
    });
    let source = (operation == Operation::Restore).then(|| "b-9".into());
    Launch { operation, request, source, attempt: 2, after_lost_work: false, unasked: false }
}

fn job(database: &KnownDatabase, driver: &KnownDriver, operation: Operation) -> Value {
    let backup = deleted_backup();
    let subject = match (operation, &backup.deletion) {
        (Operation::DeleteBackup, Some(backup)) => Subject::Backup(backup),
        _ => Subject::Database(database),
    };
    // Whoever deletes a backup need not read it, and whoever lets an object go needs nothing at all.
    let keys = match operation {
        Operation::DeleteBackup => StoreKeys { decryption_key: None, ..keys() },
        Operation::Release => StoreKeys::default(),
        Operation::Create
        | Operation::Backup
        | Operation::BackupBeforeDelete
        | Operation::Restore
        | Operation::Rotate
        | Operation::Delete => keys(),
    };
    let worker = if operation == Operation::Release { Worker::Release } else { Worker::Driver(driver) };
    serde_json::to_value(build(subject, worker, &launch(operation), &keys, &settings())).unwrap()
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
    let backup = deleted_backup();
    let subject = Subject::Backup(backup.deletion.as_deref().unwrap());
    let job =
        build(subject, Worker::Release, &launch(Operation::Release), &StoreKeys::default(), &settings());
    let job = serde_json::to_value(job).unwrap();
    let text = job.to_string();
    assert_eq!(job["metadata"]["namespace"], "platform");
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["command"], json!(["/db-operator-release"]));
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
    let backup = deleted_backup();
    let subject = Subject::Backup(backup.deletion.as_deref().unwrap());
    assert_eq!(&*subject.server(), "https://s3.example", "that is where it counts");
}

#[test]
fn the_backup_or_restore_that_a_run_works_on_is_named() {
    for (operation, name) in
        [(Operation::Backup, "DB_OPERATOR_BACKUP"), (Operation::Restore, "DB_OPERATOR_RESTORE")]
    {
        let text = job(&database(|_| {}), &plain(), operation).to_string();
        assert!(text.contains(&format!(r#"{{"name":"{name}","value":"nightly"}}"#)), "{text}");
        assert!(text.contains(r#"{"name":"DB_OPERATOR_REQUEST_UID","value":"b-1"}"#), "{text}");
        assert!(
            text.contains(&format!(r#""db.isotoma.com/retry-wish":"{}""#, Wish::of("tuesday"))),
            "{text}"
        );
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
        value["metadata"]["uid"] = json!("j-1");
        let text = value.to_string();
        let job = serde_json::from_str::<k8s_openapi::api::batch::v1::Job>(&text).unwrap();
        let known = KnownJob::try_from(&job).unwrap();
        assert_eq!((known.operation(), known.generation), (operation, 3));
        let of_request = matches!(operation, Operation::Backup | Operation::Restore);
        assert_eq!(known.wishes.retry, Some(Wish::of(if of_request { "tuesday" } else { "monday" })));
        assert_eq!(known.request.as_deref(), of_request.then_some("b-1"));
        assert_eq!(known.wishes.source.as_deref(), (operation == Operation::Restore).then_some("b-9"));
        assert_eq!(known.driver.as_deref(), (operation != Operation::Release).then_some("d-1/5"));
        let series = if of_request { Series::of_request("b-1") } else { Series::Generation(3) };
        assert_eq!(known.named, JobName { operation, series, attempt: 2 });
    }
}

/// What an admission policy holds together: a value that the kubelet injects, and which key that is.
#[test]
fn beside_each_secret_stands_which_key_it_is() {
    let mut injected = 0;
    for operation in Operation::ALL {
        let job = job(&database(|_| {}), &with_everything(), operation);
        let variables = job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
        let literal = |name: &str| {
            variables.iter().find(|variable| variable["name"] == name).map(|variable| &variable["value"])
        };
        for variable in variables.iter().filter(|variable| variable.get("valueFrom").is_some()) {
            let name = variable["name"].as_str().unwrap();
            let from = &variable["valueFrom"];
            let expected = match (from.get("secretKeyRef"), from.get("configMapKeyRef")) {
                (Some(key), None) => format!("{}/{}", text(&key["name"]), text(&key["key"])),
                (None, Some(key)) => format!("configmap/{}/{}", text(&key["name"]), text(&key["key"])),
                other => panic!("{other:?}"),
            };
            assert_eq!(literal(&format!("{name}_FROM")), Some(&json!(expected)), "{operation}: {name}");
            injected += 1;
        }
    }
    assert!(injected > 15, "{injected} were met");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn a_database_is_found_by_its_name_in_the_labels_of_its_jobs() {
    let name = |name: &str| {
        let database = database(|value| value["metadata"]["name"] = json!(name));
        let labels = job(&database, &plain(), Operation::Create)["metadata"]["labels"].clone();
        assert_eq!(labels["db.isotoma.com/namespace"], "shop");
        text(&labels["db.isotoma.com/database"]).to_owned()
    };
    assert_eq!(name("orders"), "orders");
    let (one, two) = (name(&format!("{}a", "x".repeat(200))), name(&format!("{}b", "x".repeat(200))));
    assert!(one.len() <= 63 && one != two, "{one} and {two}");
}

#[test]
fn which_user_runs_it_is_left_to_the_image_and_the_platform() {
    // A number would shut out the platforms that give each namespace its own, such as OpenShift.
    let job = job(&database(|_| {}), &plain(), Operation::Create).to_string();
    for number in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert!(!job.contains(number), "{number}");
    }
    assert!(job.contains("\"runAsNonRoot\":true"));
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
            let series = if matches!(operation, Operation::Backup | Operation::Restore) {
                Series::of_request(&generation.to_string())
            } else {
                Series::Generation(generation)
            };
            let job = JobName { operation, series, attempt };
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
        let job = JobName { operation, series: Series::Generation(3), attempt: 2 };
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
    let server = |connect: Value| database(|value| value["spec"]["connect"] = connect).server.to_string();
    let spellings = [
        json!({"host": "DB.Example", "port": 5432}),
        json!({"host": "db.example", "port": "5432"}),
        json!({"host": "db.example"}),
    ];
    for spelling in spellings {
        assert_eq!(server(spelling.clone()), "db.example", "{spelling}");
    }
    assert_ne!(server(json!({"host": "db2.example"})), "db.example");
}
