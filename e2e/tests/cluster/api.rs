//! What the API server accepts, what it refuses, and what it says then.

use anyhow::{Context as _, Result, ensure};
use api::{Backup, BackupTarget, Database};
use e2e::{client, database, with_namespace};
use http::Request;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Asks the API server what it would say to the creation of `object`, unknown fields refused.
async fn dry_run(client: &Client, plural: &str, object: &Value) -> Result<(), String> {
    let scope = if plural == "drivers" { "" } else { "namespaces/default/" };
    let path = format!("/apis/db.isotoma.com/v1alpha1/{scope}{plural}?dryRun=All&fieldValidation=Strict");
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(object.to_string().into_bytes()).map_err(|error| error.to_string())?;
    client.request::<DynamicObject>(request).await.map(drop).map_err(said)
}

/// What the API server says, without what kube adds.
#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's, and grows")]
fn said(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    }
}

fn merged(mut base: Value, change: &Value) -> Value {
    merge(&mut base, change);
    base
}

fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, change) => base.clone_from(change),
    }
}

fn valid(kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": "db.isotoma.com/v1alpha1", "kind": kind, "metadata": {"name": "e2e-dry-run"}, "spec": spec})
}

fn database_spec() -> Value {
    json!({
        "driver": "postgresql", "connect": {"host": "db.example.com"},
        "credentials": {"username": {"value": "postgres"}, "password": {"value": "x"}},
    })
}

/// One rule: a change that it accepts, a change that it refuses, and what it says then.
struct Rule(Value, Value, &'static str);

async fn check(plural: &str, base: Value, rules: &[Rule]) -> Result<()> {
    let client = client().await?;
    let mut wrong = Vec::new();
    for Rule(accepted, refused, says) in rules {
        if let Err(error) = dry_run(&client, plural, &merged(base.clone(), &json!({"spec": accepted}))).await
        {
            wrong.push(format!("{accepted} should be accepted: {error}"));
        }
        match dry_run(&client, plural, &merged(base.clone(), &json!({"spec": refused}))).await {
            Ok(()) => wrong.push(format!("{refused} should be refused")),
            Err(error) if error.contains(says) => {}
            Err(error) => {
                wrong.push(format!("{refused} should be refused with {says:?}, and it is with {error}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn rule(accepted: Value, refused: Value, says: &'static str) -> Rule {
    Rule(accepted, refused, says)
}

#[tokio::test]
async fn a_wrong_connection_is_refused_with_a_sentence() {
    let port = |port: Value| json!({"connect": {"port": port}});
    let tls = |tls: Value| json!({"connect": {"tls": tls}});
    let pem = json!({"value": "-----BEGIN CERTIFICATE-----"});
    let secret = json!({"name": "a", "key": "b"});
    let range = "port must be a number from 1 to 65535";
    check(
        "databases",
        valid("Database", &database_spec()),
        &[
            rule(
                json!({"connect": {"host": "10.0.0.1"}}),
                json!({"connect": {"host": ""}}),
                "spec.connect.host",
            ),
            rule(
                json!({"connect": {"host": "fd00::1"}}),
                json!({"connect": {"host": "a b"}}),
                "spec.connect.host",
            ),
            rule(json!({}), json!({"connect": {"host": null}}), "spec.connect.host: Required"),
            rule(port(json!(5432)), port(json!(0)), range),
            rule(port(json!("5432")), port(json!("five")), range),
            rule(port(json!(65535)), port(json!(70000)), range),
            rule(port(json!("65535")), port(json!("70000")), range),
            rule(port(json!(1)), port(json!(-1)), range),
            rule(port(json!("1")), port(json!("0")), range),
            rule(tls(json!({"mode": "require"})), tls(json!({"mode": "prefer"})), "Unsupported value"),
            rule(
                tls(json!({"mode": "verify-ca", "ca": pem})),
                tls(json!({"mode": "verify-ca"})),
                "mode verify-ca needs ca",
            ),
            rule(
                // The public authorities are the default.
                tls(json!({"mode": "verify-full"})),
                tls(json!({"mode": "verify-ca", "clientCertificate": {"secretName": "c"}})),
                "mode verify-ca needs ca",
            ),
            rule(
                tls(json!({"ca": {"valueFrom": {"configMapKeyRef": secret}}})),
                tls(json!({"ca": {"value": "x", "valueFrom": {"configMapKeyRef": secret}}})),
                "set exactly one of value and valueFrom",
            ),
            rule(
                tls(json!({"ca": {"valueFrom": {"secretKeyRef": secret}}})),
                tls(json!({"ca": {"valueFrom": {"secretKeyRef": secret, "configMapKeyRef": secret}}})),
                "set exactly one of secretKeyRef and configMapKeyRef",
            ),
            rule(tls(json!({"ca": pem})), tls(json!({"ca": {}})), "set exactly one of value and valueFrom"),
            rule(
                tls(json!({"clientCertificate": {"secretName": "x"}})),
                tls(json!({"clientCertificate": {"secretName": ""}})),
                "secretName",
            ),
        ],
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn wrong_credentials_are_refused_with_a_sentence() {
    let password = |source: Value| json!({"credentials": {"password": source}});
    let secret = json!({"name": "a", "key": "b"});
    let arn = |arn: &str| json!({"credentials": {"password": {"value": null, "valueFrom": {"awsSecretKeyRef": {"arn": arn, "key": "b"}}}}});
    let aws = json!({"arn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf", "key": "b"});
    check(
        "databases",
        valid("Database", &database_spec()),
        &[
            rule(
                password(json!({"value": "x"})),
                password(json!({"valueFrom": {"secretKeyRef": secret}})),
                "set exactly one of value and valueFrom",
            ),
            rule(
                password(json!({"value": null, "valueFrom": {"secretKeyRef": secret}})),
                password(json!({"value": null})),
                "set exactly one of value and valueFrom",
            ),
            rule(
                password(json!({"value": null, "valueFrom": {"awsSecretKeyRef": aws}})),
                password(
                    json!({"value": null, "valueFrom": {"awsSecretKeyRef": aws, "secretKeyRef": secret}}),
                ),
                "set exactly one of secretKeyRef and awsSecretKeyRef",
            ),
            rule(
                json!({}),
                password(json!({"value": null, "valueFrom": {}})),
                "set exactly one of secretKeyRef and awsSecretKeyRef",
            ),
            rule(
                arn("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:db-AbCdEf"),
                arn("arn:aws:s3:::bucket"),
                "awsSecretKeyRef.arn",
            ),
            rule(json!({}), password(json!({"value": ""})), "spec.credentials.password.value"),
            rule(
                json!({}),
                json!({"credentials": {"username": null}}),
                "spec.credentials.username: Required",
            ),
            rule(
                json!({}),
                password(json!({"value": null, "valueFrom": {"secretKeyRef": {"name": "a"}}})),
                "secretKeyRef.key: Required",
            ),
        ],
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn wrong_names_targets_and_policies_are_refused_with_a_sentence() {
    let canonical = json!({"region": "eu-west-1", "bucket": "my-backup-bucket", "prefix": "backups/"});
    let original = json!({"Region": "eu-west-1", "Bucket": "my-backup-bucket", "Prefix": "backups/"});
    let reserved = "this name is reserved by the server";
    let mut rules = vec![
        rule(json!({"driver": "postgresql"}), json!({"driver": "Postgre SQL"}), "spec.driver"),
        rule(json!({}), json!({"driver": null}), "spec.driver: Required"),
        rule(json!({"name": "a".repeat(48)}), json!({"name": "a".repeat(49)}), "Too long"),
        rule(json!({"name": "orders_2"}), json!({"name": "2orders"}), "spec.name"),
        rule(json!({}), json!({"name": "Orders"}), "spec.name"),
        rule(json!({}), json!({"name": "orders\"; DROP DATABASE x"}), "spec.name"),
        rule(json!({"deletionPolicy": "Retain"}), json!({"deletionPolicy": "Forget"}), "Unsupported value"),
        rule(json!({"backupTo": {"s3": canonical}}), json!({"backupTo": {}}), "set s3"),
        rule(
            json!({"backupTo": {"S3": original}}),
            json!({"backupTo": {"s3": canonical, "S3": original}}),
            "s3 and S3 are two spellings of one field: keep s3",
        ),
        rule(json!({}), json!({"backupTo": {"s3": original}}), "unknown field"),
        rule(
            json!({}),
            json!({"backupTo": {"S3": {"Region": "eu-west-1"}}}),
            "spec.backupTo.S3.Bucket: Required",
        ),
        rule(
            json!({"parameters": {"extensions": ["pgcrypto"]}}),
            json!({"parameters": ["x"]}),
            "spec.parameters",
        ),
        rule(
            json!({"secretTemplate": {"labels": {"a": "b"}, "annotations": {"a": "b"}, "data": {"a": "b"}}}),
            json!({"secretTemplate": {"data": {"a": 1}}}),
            "spec.secretTemplate.data",
        ),
        rule(json!({}), json!({"conect": {}}), "unknown field"),
    ];
    for name in ["postgres", "template1", "rdsadmin", "mysql", "information_schema", "pg_orders"] {
        rules.push(rule(json!({"name": format!("x_{name}")}), json!({"name": name}), reserved));
    }
    check("databases", valid("Database", &database_spec()), &rules).await.unwrap();
}

#[tokio::test]
async fn wrong_object_stores_and_restores_are_refused_with_a_sentence() {
    let key = json!({"valueFrom": {"secretKeyRef": {"name": "bucket", "key": "key"}}});
    let written = json!({"value": "hunter2"});
    let target = |change: Value| {
        let mut target = json!({"region": "eu-west-1", "bucket": "my-backup-bucket"});
        for (name, value) in change.as_object().into_iter().flatten() {
            target[name] = value.clone();
        }
        target
    };
    let backup_to = |change: Value| json!({"backupTo": {"s3": target(change)}});
    let login = |secret: &Value| json!({"credentials": {"accessKeyId": {"value": "AKIA"}, "secretAccessKey": secret}});
    let token = |token: &Value| {
        let mut login = login(&key);
        login["credentials"]["sessionToken"] = token.clone();
        login
    };
    let sealed = |recipient: &str| {
        let s3 = target(json!({}));
        json!({"backupTo": {"s3": s3, "encryption": {"recipients": [recipient]}}})
    };
    let ca = json!({"configMapKeyRef": {"name": "a", "key": "b"}});
    let born = |source: Value| json!({"restoreFrom": source});
    let rules = [
        rule(
            backup_to(json!({"endpoint": "https://minio.example.com:9000", "pathStyle": true})),
            backup_to(json!({"endpoint": "minio.example.com"})),
            "spec.backupTo.s3.endpoint",
        ),
        rule(
            backup_to(login(&key)),
            backup_to(login(&written)),
            "secretAccessKey cannot be written down here",
        ),
        rule(backup_to(token(&key)), backup_to(token(&written)), "sessionToken cannot be written down here"),
        rule(
            backup_to(json!({"ca": ca})),
            backup_to(json!({"ca": {}})),
            "set exactly one of secretKeyRef and configMapKeyRef",
        ),
        rule(sealed("age1abc"), sealed("ssh-ed25519 AAAA"), "spec.backupTo.encryption.recipients"),
        rule(born(json!({"backup": "nightly"})), born(json!({})), "set exactly one of backup and location"),
        rule(
            born(json!({"backup": "nightly", "decryptionKey": key})),
            born(json!({"backup": "nightly", "decryptionKey": written})),
            "decryptionKey cannot be written down here",
        ),
    ];
    check("databases", valid("Database", &database_spec()), &rules).await.unwrap();
    let location = |path: &str| json!({"from": {"location": {"s3": target(json!({})), "path": path}}});
    check(
        "restores",
        valid("Restore", &json!({"database": "orders", "from": {"backup": "nightly"}})),
        &[
            rule(json!({"overwrite": true}), json!({"database": null}), "spec.database: Required"),
            rule(
                json!({}),
                json!({"from": {"location": {"s3": target(json!({})), "path": "shop/orders/1"}}}),
                "set exactly one of backup and location",
            ),
            rule(json!({}), json!({"from": null}), "spec.from: Required"),
        ],
    )
    .await
    .unwrap();
    let mut elsewhere = valid("Restore", &json!({"database": "orders"}));
    elsewhere["spec"]["from"] = location("shop/orders/1")["from"].clone();
    check(
        "restores",
        elsewhere,
        &[rule(json!({}), json!({"from": location("/shop/orders/1")["from"]}), "spec.from.location.path")],
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn wrong_backups_and_drivers_are_refused_with_a_sentence() {
    let spec = json!({"database": "orders"});
    check(
        "backups",
        valid("Backup", &spec),
        &[
            rule(json!({}), json!({"database": null}), "spec.database: Required"),
            rule(json!({}), json!({"database": ""}), "spec.database"),
            rule(
                json!({"deletionPolicy": "Retain"}),
                json!({"deletionPolicy": "retain"}),
                "Unsupported value",
            ),
            rule(
                json!({"deletionPolicy": "Delete"}),
                json!({"deletionPolicy": "BackupThenDelete"}),
                "Unsupported value",
            ),
        ],
    )
    .await
    .unwrap();
    check(
        "drivers",
        valid("Driver", &json!({"image": "example.com/driver:1"})),
        &[
            rule(json!({}), json!({"image": null}), "spec.image: Required"),
            rule(
                json!({"imagePullPolicy": "Never"}),
                json!({"imagePullPolicy": "Seldom"}),
                "imagePullPolicy",
            ),
            rule(
                json!({"activeDeadlineSeconds": 10}),
                json!({"activeDeadlineSeconds": 9}),
                "activeDeadlineSeconds",
            ),
            rule(
                json!({"podTemplate": {"env": {"A": "b"}}}),
                json!({"podTemplate": {"env": {"A": 1}}}),
                "podTemplate.env",
            ),
        ],
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn driver_name_and_a_backups_database_cannot_be_changed_nor_its_policy_to_delete() {
    with_namespace("immutable", async |test| {
        let named = test.prefix();
        let mut fixture = database("plain");
        fixture.spec.driver = "e2e-none".to_owned();
        test.create(&fixture).await?;
        fixture.metadata.name = Some("named".to_owned());
        fixture.spec.name = Some(named.clone());
        test.create(&fixture).await?;
        let databases: Api<Database> = test.api();
        let trial = PatchParams { dry_run: true, ..PatchParams::default() };
        let tried = async |name: &str, spec: Value| {
            let patch = Patch::Merge(json!({"spec": spec}));
            databases.patch(name, &trial, &patch).await.map(drop).map_err(said)
        };
        for (name, spec, says) in [
            ("plain", json!({"driver": "mysql"}), "driver cannot be changed: create another Database"),
            ("plain", json!({"name": "other"}), "name cannot be changed, set or removed later"),
            ("named", json!({"name": "other"}), "name cannot be changed, set or removed later"),
            ("named", json!({"name": null}), "name cannot be changed, set or removed later"),
        ] {
            let error = tried(name, spec.clone()).await.expect_err(&format!("{name}: {spec} is accepted"));
            assert!(error.contains(says), "{name}: {spec}: {error}");
        }
        // Nobody's Database, so that nothing is written.
        test.create_backup("default", "nobody").await?;
        test.create_deletable_backup("passing", "nobody").await?;
        test.create_deletable_backup("retained", "nobody").await?;
        test.retain_backup("retained").await?;
        let backups: Api<Backup> = test.api();
        for (name, spec, says) in [
            (
                "default",
                json!({"database": "other"}),
                Some("database cannot be changed: create another Backup"),
            ),
            (
                "default",
                json!({"deletionPolicy": "Delete"}),
                Some("deletionPolicy cannot become Delete later"),
            ),
            (
                "retained",
                json!({"deletionPolicy": "Delete"}),
                Some("section Deleting a backup of docs/backups.md"),
            ),
            ("default", json!({"deletionPolicy": "Retain"}), None),
            ("passing", json!({"deletionPolicy": "Delete"}), None),
            ("passing", json!({"deletionPolicy": "Retain"}), None),
            ("passing", json!({"deletionPolicy": null}), None),
        ] {
            let patch = Patch::Merge(json!({"spec": spec}));
            let answer = backups.patch(name, &trial, &patch).await.map(drop).map_err(said);
            let as_expected = match (&answer, says) {
                (Ok(()), None) => true,
                (Err(error), Some(says)) => error.contains(says),
                (Ok(()), Some(_)) | (Err(_), None) => false,
            };
            ensure!(as_expected, "{name}: {spec}: {answer:?}");
        }
        for spec in [
            json!({"connect": {"host": "db2.example.com"}}),
            json!({"name": named}),
            json!({"deletionPolicy": "Retain"}),
        ] {
            tried("named", spec.clone()).await.map_err(anyhow::Error::msg).context(spec.to_string())?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_original_example_is_accepted_as_it_stands() {
    let yaml = include_str!("../../../docs/examples/original.yaml");
    let example: Value = serde_saphyr::from_str(yaml).unwrap();
    let design = json!({
        "driver": "postgresql",
        "connect": {"host": "db.example.com", "port": 5432},
        "credentials": {
            "username": {"value": "postgres"},
            "password": {"valueFrom": {"secretKeyRef": {"name": "dbpassword", "key": "password"}}},
        },
        "backupTo": {"S3": {"Region": "eu-west-1", "Bucket": "my-backup-bucket", "Prefix": "backups/"}},
    });
    assert_eq!(example["spec"], design, "the example is not the design's any more");
    dry_run(&client().await.unwrap(), "databases", &example).await.unwrap();
    let database: Database = serde_json::from_value(example).unwrap();
    let target = database.spec.backup_to.as_ref().and_then(BackupTarget::s3).unwrap();
    assert_eq!(target.bucket, "my-backup-bucket");
}
