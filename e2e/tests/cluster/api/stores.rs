//! Object stores, Restores, Backups and Drivers.

use serde_json::{Value, json};

use super::{Rule, check, database_spec, valid};

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
        // What becomes part of a request to the store is nothing but a name.
        Rule(
            backup_to(json!({"region": "us-gov-east-1"})),
            backup_to(json!({"region": "x.evil.example/"})),
            "spec.backupTo.s3.region",
        ),
        Rule(
            backup_to(json!({"bucket": "a.b-2"})),
            backup_to(json!({"bucket": "dumps/../others"})),
            "spec.backupTo.s3.bucket",
        ),
        Rule(
            backup_to(json!({"bucket": "10.0.0.1.dumps"})),
            backup_to(json!({"bucket": "10.0.0.1"})),
            "cannot be formatted as an IP address",
        ),
        Rule(
            backup_to(json!({"prefix": "team_a/env=prod/"})),
            backup_to(json!({"prefix": "team-a/../team-b/"})),
            "spec.backupTo.s3.prefix",
        ),
        Rule(
            backup_to(json!({"endpoint": "https://minio.example.com:9000", "pathStyle": true})),
            backup_to(json!({"endpoint": "minio.example.com"})),
            "spec.backupTo.s3.endpoint",
        ),
        Rule(
            backup_to(login(&key)),
            backup_to(login(&written)),
            "secretAccessKey cannot be written down here",
        ),
        Rule(backup_to(token(&key)), backup_to(token(&written)), "sessionToken cannot be written down here"),
        Rule(
            backup_to(json!({"ca": ca})),
            backup_to(json!({"ca": {}})),
            "set exactly one of secretKeyRef and configMapKeyRef",
        ),
        Rule(sealed("age1abc"), sealed("ssh-ed25519 AAAA"), "spec.backupTo.encryption.recipients"),
        Rule(born(json!({"backup": "nightly"})), born(json!({})), "set exactly one of backup and location"),
        Rule(
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
            Rule(json!({"overwrite": true}), json!({"database": null}), "spec.database: Required"),
            Rule(
                json!({}),
                json!({"from": {"location": {"s3": target(json!({})), "path": "shop/orders/1"}}}),
                "set exactly one of backup and location",
            ),
            Rule(json!({}), json!({"from": null}), "spec.from: Required"),
        ],
    )
    .await
    .unwrap();
    let mut elsewhere = valid("Restore", &json!({"database": "orders"}));
    elsewhere["spec"]["from"] = location("shop/orders/1")["from"].clone();
    check(
        "restores",
        elsewhere,
        &[Rule(json!({}), json!({"from": location("/shop/orders/1")["from"]}), "spec.from.location.path")],
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
            Rule(json!({}), json!({"database": null}), "spec.database: Required"),
            Rule(json!({}), json!({"database": ""}), "spec.database"),
            Rule(
                json!({"deletionPolicy": "Retain"}),
                json!({"deletionPolicy": "retain"}),
                "Unsupported value",
            ),
            Rule(
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
            Rule(json!({}), json!({"image": null}), "spec.image: Required"),
            Rule(
                json!({"imagePullPolicy": "Never"}),
                json!({"imagePullPolicy": "Seldom"}),
                "imagePullPolicy",
            ),
            Rule(
                json!({"activeDeadlineSeconds": 10}),
                json!({"activeDeadlineSeconds": 9}),
                "activeDeadlineSeconds",
            ),
            Rule(
                json!({"podTemplate": {"env": {"A": "b"}}}),
                json!({"podTemplate": {"env": {"A": 1}}}),
                "podTemplate.env",
            ),
        ],
    )
    .await
    .unwrap();
}
