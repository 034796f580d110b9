//! Databases as their owners write them down, and as they are born.

use anyhow::{Context as _, ensure};
use api::{BackupTarget, Database};
use e2e::{DatabaseFixture, client, database, with_namespace};
use serde_json::{Value, json};

use super::{Rule, check, database_spec, dry_run, valid};

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
            Rule(
                json!({"connect": {"host": "10.0.0.1"}}),
                json!({"connect": {"host": ""}}),
                "spec.connect.host",
            ),
            Rule(
                json!({"connect": {"host": "fd00::1"}}),
                json!({"connect": {"host": "a b"}}),
                "spec.connect.host",
            ),
            Rule(json!({}), json!({"connect": {"host": null}}), "spec.connect.host: Required"),
            Rule(port(json!(5432)), port(json!(0)), range),
            Rule(port(json!("5432")), port(json!("five")), range),
            Rule(port(json!(65535)), port(json!(70000)), range),
            Rule(port(json!("65535")), port(json!("70000")), range),
            Rule(port(json!(1)), port(json!(-1)), range),
            Rule(port(json!("1")), port(json!("0")), range),
            Rule(tls(json!({"mode": "require"})), tls(json!({"mode": "prefer"})), "Unsupported value"),
            Rule(
                tls(json!({"mode": "verify-ca", "ca": pem})),
                tls(json!({"mode": "verify-ca"})),
                "mode verify-ca needs ca",
            ),
            Rule(
                // The public authorities are the default.
                tls(json!({"mode": "verify-full"})),
                tls(json!({"mode": "verify-ca", "clientCertificate": {"secretName": "c"}})),
                "mode verify-ca needs ca",
            ),
            Rule(
                tls(json!({"ca": {"valueFrom": {"configMapKeyRef": secret}}})),
                tls(json!({"ca": {"value": "x", "valueFrom": {"configMapKeyRef": secret}}})),
                "set exactly one of value and valueFrom",
            ),
            Rule(
                tls(json!({"ca": {"valueFrom": {"secretKeyRef": secret}}})),
                tls(json!({"ca": {"valueFrom": {"secretKeyRef": secret, "configMapKeyRef": secret}}})),
                "set exactly one of secretKeyRef and configMapKeyRef",
            ),
            Rule(tls(json!({"ca": pem})), tls(json!({"ca": {}})), "set exactly one of value and valueFrom"),
            Rule(
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
            Rule(
                password(json!({"value": "x"})),
                password(json!({"valueFrom": {"secretKeyRef": secret}})),
                "set exactly one of value and valueFrom",
            ),
            Rule(
                password(json!({"value": null, "valueFrom": {"secretKeyRef": secret}})),
                password(json!({"value": null})),
                "set exactly one of value and valueFrom",
            ),
            Rule(
                password(json!({"value": null, "valueFrom": {"awsSecretKeyRef": aws}})),
                password(
                    json!({"value": null, "valueFrom": {"awsSecretKeyRef": aws, "secretKeyRef": secret}}),
                ),
                "set exactly one of secretKeyRef and awsSecretKeyRef",
            ),
            Rule(
                json!({}),
                password(json!({"value": null, "valueFrom": {}})),
                "set exactly one of secretKeyRef and awsSecretKeyRef",
            ),
            Rule(
                arn("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:db-AbCdEf"),
                arn("arn:aws:s3:::bucket"),
                "awsSecretKeyRef.arn",
            ),
            Rule(json!({}), password(json!({"value": ""})), "spec.credentials.password.value"),
            Rule(
                json!({}),
                json!({"credentials": {"username": null}}),
                "spec.credentials.username: Required",
            ),
            Rule(
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
        Rule(json!({"driver": "postgresql"}), json!({"driver": "Postgre SQL"}), "spec.driver"),
        Rule(json!({}), json!({"driver": null}), "spec.driver: Required"),
        Rule(json!({"name": "a".repeat(48)}), json!({"name": "a".repeat(49)}), "Too long"),
        Rule(json!({"name": "orders_2"}), json!({"name": "2orders"}), "spec.name"),
        Rule(json!({}), json!({"name": "Orders"}), "spec.name"),
        Rule(json!({}), json!({"name": "orders\"; DROP DATABASE x"}), "spec.name"),
        Rule(json!({"deletionPolicy": "Retain"}), json!({"deletionPolicy": "Forget"}), "Unsupported value"),
        Rule(json!({"backupTo": {"s3": canonical}}), json!({"backupTo": {}}), "set s3"),
        Rule(
            json!({"backupTo": {"S3": original}}),
            json!({"backupTo": {"s3": canonical, "S3": original}}),
            "s3 and S3 are two spellings of one field: keep s3",
        ),
        Rule(json!({}), json!({"backupTo": {"s3": original}}), "unknown field"),
        Rule(
            json!({}),
            json!({"backupTo": {"S3": {"Region": "eu-west-1"}}}),
            "spec.backupTo.S3.Bucket: Required",
        ),
        Rule(
            json!({"parameters": {"extensions": ["pgcrypto"]}}),
            json!({"parameters": ["x"]}),
            "spec.parameters",
        ),
        Rule(
            json!({"secretTemplate": {"labels": {"a": "b"}, "annotations": {"a": "b"}, "data": {"a": "b"}}}),
            json!({"secretTemplate": {"data": {"a": 1}}}),
            "spec.secretTemplate.data",
        ),
        Rule(json!({}), json!({"conect": {}}), "unknown field"),
    ];
    for name in ["postgres", "template1", "rdsadmin", "mysql", "information_schema", "pg_orders"] {
        rules.push(Rule(json!({"name": format!("x_{name}")}), json!({"name": name}), reserved));
    }
    check("databases", valid("Database", &database_spec()), &rules).await.unwrap();
}

#[tokio::test]
async fn a_database_is_born_with_a_status_that_nobody_takes_for_done() {
    with_namespace("born", async |test| {
        // No driver ever writes it: what is there, the API server has put there.
        let born = test.create(&database("orders").driver("e2e-none")).await?;
        let status = born.status.context("it has no status")?;
        ensure!(status.observed_generation == Some(-1), "{:?}", status.observed_generation);
        ensure!(status.phase.is_none() && status.conditions.is_empty(), "{status:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_original_example_is_accepted_as_it_stands() {
    let yaml = include_str!("../../../../docs/examples/original.yaml");
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
