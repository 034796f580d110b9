//! What somebody breaks, a run repairs.

use anyhow::{Context as _, Result, ensure};
use api::{Database, RECONCILE_ANNOTATION, RETRY_ANNOTATION, STALLED};
use e2e::{
    Context, DatabaseFixture, PATIENCE, POSTGRESQL_17, SOON, database, login, ready, until_any,
    with_namespace,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use kube::runtime::watcher;
use serde_json::json;

/// Asks for a run, and waits until it has verified everything.
async fn reconcile(test: &Context, name: &str) -> Result<Database> {
    test.annotate(name, RECONCILE_ANNOTATION, "now").await?;
    let handled = |live: &Database| {
        let status = live.status.as_ref();
        ready(live) && status.is_some_and(|status| status.last_handled_reconcile.as_deref() == Some("now"))
    };
    test.until(name, PATIENCE, "a run that verifies and repairs", handled).await
}

async fn application_works(test: &Context, name: &str) -> Result<()> {
    let application = login(&test.client, &test.secret(name).await?).await?;
    application.batch_execute("CREATE TABLE again (x int); SELECT x FROM kept").await?;
    Ok(())
}

/// Makes a database with a row in it, breaks it as told, has it repaired, and finds the row.
async fn repaired(
    test: &Context,
    name: &str,
    damage: impl AsyncFnOnce(&Database) -> Result<()>,
) -> Result<()> {
    test.create_ready(&database(name)).await?;
    let application = login(&test.client, &test.secret(name).await?).await?;
    application.batch_execute("CREATE TABLE kept (x int)").await?;
    drop(application);
    let live = test.ready(name).await?;
    damage(&live).await?;
    let broken = application_works(test, name).await;
    ensure!(broken.is_err(), "{name}: nothing is broken");
    reconcile(test, name).await?;
    application_works(test, name).await.with_context(|| format!("{name} is not repaired"))
}

#[tokio::test]
async fn what_somebody_breaks_is_repaired_when_asked() {
    with_namespace("repair", async |test| {
        let admin = POSTGRESQL_17.admin(&test.client, "postgres").await?;
        let sql = async |text: String| admin.batch_execute(&text).await.context(text);
        let secrets = test.api::<Secret>();
        tokio::try_join!(
            repaired(&test, "deleted-secret", async |_| {
                secrets.delete("deleted-secret", &DeleteParams::default()).await?;
                Ok(())
            }),
            repaired(&test, "edited-secret", async |_| {
                test.put_secret("edited-secret", json!({"password": "guess", "uri": "postgresql://x:y@z/w"})).await
            }),
            repaired(&test, "emptied-secret", async |_| {
                let empty = json!({"data": null});
                let patch = kube::api::Patch::Merge(&empty);
                secrets.patch("emptied-secret", &kube::api::PatchParams::default(), &patch).await?;
                Ok(())
            }),
            repaired(&test, "revoked-grant", async |live| {
                let name = live.status.clone().unwrap_or_default().database.unwrap_or_default();
                let grants = "SELECT format('REVOKE %I FROM %I', r.rolname, m.rolname) FROM pg_auth_members a \
                     JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member \
                     WHERE starts_with(m.rolname, $1) AND m.rolcanlogin";
                for row in admin.query(grants, &[&name]).await? {
                    sql(row.get(0)).await?;
                }
                Ok(())
            }),
            repaired(&test, "revoked-connect", async |live| {
                let name = live.status.clone().unwrap_or_default().database.unwrap_or_default();
                let grantees = "SELECT DISTINCT format('REVOKE ALL ON DATABASE %I FROM %I', datname, rolname) \
                     FROM pg_database, aclexplode(datacl) acl JOIN pg_roles ON pg_roles.oid = acl.grantee \
                     WHERE datname = $1";
                for row in admin.query(grantees, &[&name]).await? {
                    sql(row.get(0)).await?;
                }
                Ok(())
            }),
            repaired(&test, "dropped-login", async |_| {
                let username = test.secret("dropped-login").await?["username"].clone();
                sql(format!("DROP ROLE \"{username}\"")).await
            }),
            repaired(&test, "locked-login", async |_| {
                let username = test.secret("locked-login").await?["username"].clone();
                sql(format!("ALTER ROLE \"{username}\" NOLOGIN PASSWORD NULL")).await
            }),
        )?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_database_that_got_lost_is_not_replaced_by_an_empty_one() {
    with_namespace("lost", async |test| {
        let live = test.create_ready(&database("orders")).await?;
        let name = live.status.unwrap_or_default().database.context("no name")?;
        let admin = POSTGRESQL_17.admin(&test.client, "postgres").await?;
        admin.batch_execute(&format!("ALTER DATABASE \"{name}\" RENAME TO \"{name}x\"")).await?;
        test.annotate("orders", RECONCILE_ANNOTATION, "now").await?;
        let message = test.refused("orders", "DatabaseMissing").await?;
        ensure!(message.contains(&name) && message.contains("bring it back"), "{message}");
        ensure!(
            !POSTGRESQL_17.databases(&test.client, &test.prefix()).await?.contains(&name),
            "it was made again"
        );
        admin.batch_execute(&format!("ALTER DATABASE \"{name}x\" RENAME TO \"{name}\"")).await?;
        test.ready("orders").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_retry_annotation_brings_the_next_attempt_at_once() {
    with_namespace("retry", async |test| {
        test.create(&database("orders").parameter("colour", json!("blue"))).await?;
        let message = test.refused("orders", "Invalid").await?;
        ensure!(message.contains("colour"), "{message}");
        let stalled = |live: &Database| {
            let conditions =
                live.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            conditions.iter().any(|condition| condition.type_ == STALLED && condition.status == "True")
        };
        test.until("orders", SOON, "Stalled", stalled).await?;
        let jobs = test.api::<Job>();
        let first = jobs.list(&kube::api::ListParams::default()).await?.items;
        ensure!(first.len() == 1, "{} Jobs, though repeating cannot help", first.len());
        let first = first.into_iter().next().and_then(|job| job.metadata.name).unwrap_or_default();
        // The attempt is over when its Job has failed, which takes the Job controller a moment.
        until_any(&jobs, watcher::Config::default(), SOON, "that failed", |job| {
            job.status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten())
                .any(|c| c.type_ == "Failed")
        })
        .await?;
        test.annotate("orders", RETRY_ANNOTATION, "1").await?;
        until_any(&jobs, watcher::Config::default(), SOON, "the second attempt", |job| {
            job.metadata.name.as_deref() != Some(first.as_str())
        })
        .await?;
        Ok(())
    })
    .await;
}
