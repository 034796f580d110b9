//! What cannot be changed later, and what cannot be taken away.

use std::fmt::Debug;

use anyhow::{Result, ensure};
use api::{Backup, Database, DeletionPolicy};
use e2e::{DatabaseFixture, database, with_namespace};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::said;

/// Fails unless the API server answers so to a change of a spec: it refuses it with these words, or takes it where
/// there are none. Nothing is changed.
async fn answers<K>(api: &Api<K>, name: &str, spec: &Value, says: Option<&str>) -> Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    let trial = PatchParams { dry_run: true, ..PatchParams::default() };
    let answer = api.patch(name, &trial, &Patch::Merge(json!({"spec": spec}))).await.map(drop).map_err(said);
    let as_expected = match (&answer, says) {
        (Ok(()), None) => true,
        (Err(error), Some(says)) => error.contains(says),
        (Ok(()), Some(_)) | (Err(_), None) => false,
    };
    ensure!(as_expected, "{name}: {spec}: {answer:?}");
    Ok(())
}

#[tokio::test]
async fn driver_name_and_a_backups_database_cannot_be_changed_nor_its_policy_to_delete() {
    with_namespace("immutable", async |test| {
        let named = test.prefix();
        let fixture = database("plain").driver("e2e-none");
        test.create(&fixture).await?;
        let mut fixture = fixture.server_name(&named);
        fixture.metadata.name = Some("named".to_owned());
        test.create(&fixture).await?;
        let databases: Api<Database> = test.api();
        let fixed = Some("name cannot be changed, set or removed later");
        for (name, spec, says) in [
            ("plain", json!({"driver": "mysql"}), Some("driver cannot be changed: create another Database")),
            ("plain", json!({"name": "other"}), fixed),
            ("named", json!({"name": "other"}), fixed),
            ("named", json!({"name": null}), fixed),
            ("named", json!({"connect": {"host": "db2.example.com"}}), None),
            ("named", json!({"name": named}), None),
            ("named", json!({"deletionPolicy": "Retain"}), None),
        ] {
            answers(&databases, name, &spec, says).await?;
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
            answers(&backups, name, &spec, says).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_decides_about_a_deletion_cannot_be_taken_away_while_it_waits() {
    with_namespace("decides", async |test| {
        let place = json!({"s3": {"region": "eu-west-1", "bucket": "dumps"}});
        let mut saved = database("saved");
        saved.spec.backup_to = serde_json::from_value(place)?;
        saved.spec.deletion_policy = None;
        let said = database("said").deletion_policy(DeletionPolicy::Delete);
        let databases: Api<Database> = test.api();
        for fixture in [saved, said] {
            // No driver takes it, and somebody else holds it: it is being deleted until we let it go.
            let mut fixture = fixture.driver("e2e-none");
            fixture.finalizers_mut().push("example.com/hold".to_owned());
            test.create(&fixture).await?;
            test.begin_delete(&fixture.name_any()).await?;
        }
        for (name, spec, says) in [
            (
                "saved",
                json!({"backupTo": null}),
                Some("backupTo cannot be taken away without a word: set deletionPolicy"),
            ),
            (
                "said",
                json!({"deletionPolicy": null}),
                Some("deletionPolicy cannot be taken away once it is said: set it to"),
            ),
            ("saved", json!({"backupTo": null, "deletionPolicy": "Retain"}), None),
            ("said", json!({"deletionPolicy": "Retain"}), None),
        ] {
            answers(&databases, name, &spec, says).await?;
        }
        for name in ["saved", "said"] {
            test.patch(name, json!({"metadata": {"finalizers": null}})).await?;
            test.gone(name).await?;
        }
        Ok(())
    })
    .await;
}
