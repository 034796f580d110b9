//! Every way in which a Database ends.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use api::{Database, DatabasePhase as Phase, DeletionPolicy};
use e2e::{
    Context, DatabaseFixture, OPERATOR_NAMESPACE, PATIENCE, POSTGRESQL_15, POSTGRESQL_17, POSTGRESQL_18,
    SOON, address, database, login, until, until_any, with_namespace,
};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::watcher;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::lifecycle::nothing_is_left;

#[tokio::test]
async fn a_database_that_is_deleted_at_any_moment_of_its_making_leaves_nothing() {
    with_namespace("delete_creating", async |test| {
        type Moment = fn(&Database) -> bool;
        let moments: [(&str, Moment); 5] = [
            ("at-once", |_| true),
            ("guarded", Database::is_guarded),
            ("creating", |live| live.phase() == Some(Phase::Creating)),
            ("created", |live| live.phase() == Some(Phase::Created)),
            ("bound", |live| live.status.as_ref().is_some_and(|status| status.binding.is_some())),
        ];
        try_join_all(moments.map(|(name, moment)| {
            let test = &test;
            async move {
                test.create(&database(name)).await?;
                test.until(name, PATIENCE, "the moment", moment).await?;
                test.delete(name).await
            }
        }))
        .await?;
        nothing_is_left(&test, POSTGRESQL_17).await
    })
    .await;
}

#[tokio::test]
async fn a_database_that_cannot_be_finished_can_be_deleted() {
    with_namespace("delete_stuck", async |test| {
        test.put_secret("orders", json!({"theirs": "untouched"})).await?;
        test.create(&database("orders")).await?;
        test.refused("orders", "SecretConflict").await?;
        let live =
            test.until("orders", PATIENCE, "Creating", |live| live.phase() == Some(Phase::Creating)).await?;
        ensure!(live.is_guarded(), "something may be on the server, and the finalizer is not set");
        test.delete("orders").await?;
        ensure!(test.secret("orders").await? == [("theirs".to_owned(), "untouched".to_owned())].into());
        nothing_is_left(&test, POSTGRESQL_17).await
    })
    .await;
}

#[tokio::test]
async fn a_database_that_was_never_begun_can_be_deleted_without_a_server() {
    with_namespace("delete_unbegun", async |test| {
        test.create(&database("orders").host("nowhere.example.com")).await?;
        test.refused("orders", "Unreachable").await?;
        test.delete("orders").await
    })
    .await;
}

#[tokio::test]
async fn a_foreground_deletion_drops_the_database() {
    with_namespace("delete_foreground", async |test| {
        test.create_ready(&database("orders").on(POSTGRESQL_18)).await?;
        test.api::<Database>().delete("orders", &DeleteParams::foreground()).await?;
        test.gone("orders").await?;
        nothing_is_left(&test, POSTGRESQL_18).await
    })
    .await;
}

#[tokio::test]
async fn a_deletion_waits_for_a_server_that_is_down_and_ends_when_it_is_back() {
    with_namespace("delete_down", async |test| {
        let own = OwnService::new(&test, "postgresql-17").await?;
        own.up().await?;
        test.create_ready(&database("orders").host(&own.host())).await?;
        own.down().await?;
        test.begin_delete("orders").await?;
        let message = test.refused("orders", "Unreachable").await?;
        ensure!(message.contains(&own.host()), "{message}");
        // A second deletion changes nothing.
        test.begin_delete("orders").await?;
        let live = test.until("orders", PATIENCE, "still there", |_| true).await?;
        ensure!(live.is_guarded(), "the object was let go, and the database is still on the server");
        own.up().await?;
        test.gone("orders").await?;
        nothing_is_left(&test, POSTGRESQL_17).await
    })
    .await;
}

#[tokio::test]
async fn a_database_whose_server_is_gone_for_good_can_be_let_go_with_retain() {
    with_namespace("delete_gone", async |test| {
        test.leaves_databases();
        let own = OwnService::new(&test, "postgresql-18").await?;
        own.up().await?;
        test.create_ready(&database("orders").host(&own.host()).admin_secret("postgresql-18-admin")).await?;
        own.down().await?;
        test.begin_delete("orders").await?;
        test.refused("orders", "Unreachable").await?;
        test.patch("orders", json!({"spec": {"deletionPolicy": "Retain"}})).await?;
        test.gone("orders").await
    })
    .await;
}

#[tokio::test]
async fn a_database_whose_credentials_are_gone_for_good_can_be_let_go_with_retain() {
    with_namespace("delete_no_login", async |test| {
        test.leaves_databases();
        test.put_secret("admin", json!(POSTGRESQL_17.admin_login(&test.client).await?)).await?;
        let live = test.create_ready(&database("orders").admin_secret("admin")).await?;
        let name = live.status.unwrap_or_default().database.context("no name")?;
        // As a prune does it: the Secret goes with the Database, or before it.
        test.api::<Secret>().delete("admin", &DeleteParams::default()).await?;
        test.begin_delete("orders").await?;
        let message = test.refused("orders", "CredentialsMissing").await?;
        ensure!(message.contains("admin"), "{message}");
        test.patch("orders", json!({"spec": {"deletionPolicy": "Retain"}})).await?;
        test.gone("orders").await?;
        let kept = POSTGRESQL_17.databases(&test.client, &test.prefix()).await?;
        ensure!(kept == [name], "{kept:?}");
        Ok(())
    })
    .await;
}

/// A Service of the test's own in front of a server, which can be taken down.
pub(crate) struct OwnService {
    test: Context,
    address: String,
}

impl OwnService {
    pub(crate) async fn new(test: &Context, server: &str) -> Result<Self> {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "own"}, "spec": {"ports": [{"name": "db", "port": 5432}]},
        }))?;
        test.api().create(&PostParams::default(), &service).await?;
        let pods: Api<Pod> = Api::namespaced(test.client.clone(), "servers");
        let pods = pods.list(&ListParams::default().labels(&format!("server={server}"))).await?;
        let address = pods.items.into_iter().find_map(|pod| pod.status.and_then(|status| status.pod_ip));
        Ok(Self { test: test.clone(), address: address.context("the server has no pod")? })
    }

    pub(crate) fn host(&self) -> String {
        format!("own.{}.svc.cluster.local", self.test.namespace)
    }

    pub(crate) async fn up(&self) -> Result<()> {
        let endpoints: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "own", "labels": {"kubernetes.io/service-name": "own"}},
            "addressType": "IPv4", "endpoints": [{"addresses": [self.address], "conditions": {"ready": true}}],
            "ports": [{"name": "db", "port": 5432}],
        }))?;
        self.test.api().create(&PostParams::default(), &endpoints).await?;
        Ok(())
    }

    /// Returns once the network has heard of it, which is a moment later.
    async fn down(&self) -> Result<()> {
        self.test.api::<EndpointSlice>().delete("own", &DeleteParams::default()).await?;
        let service = format!("{}:5432", address(&self.test.client, &self.host()).await?);
        let mut tries = tokio::time::interval(Duration::from_millis(50));
        let refused = async {
            while matches!(timeout(SOON, TcpStream::connect(&service)).await, Ok(Ok(_))) {
                tries.tick().await;
            }
        };
        timeout(SOON, refused).await.context("the Service answers without endpoints")
    }
}

#[tokio::test]
async fn retain_leaves_the_database_and_says_where() {
    with_namespace("retain", async |test| {
        test.leaves_databases();
        let live = test.create_ready(&database("orders").deletion_policy(DeletionPolicy::Retain)).await?;
        let secret = test.secret("orders").await?;
        test.delete("orders").await?;
        let name = live.status.unwrap_or_default().database.context("no name")?;
        let said = test.event("orders", "DatabaseRetained", "Normal").await?;
        ensure!(said.contains(&name) && said.contains(&POSTGRESQL_17.host()), "{said}");
        // Whoever has the login can still use it.
        login(&test.client, &secret).await?.batch_execute("CREATE TABLE t (x int)").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn backup_then_delete_without_a_target_keeps_the_database_and_says_why() {
    with_namespace("backup_delete", async |test| {
        let fixture = database("orders").on(POSTGRESQL_15).deletion_policy(DeletionPolicy::BackupThenDelete);
        let live = test.create_ready(&fixture).await?;
        test.begin_delete("orders").await?;
        let message = test.refused("orders", "Invalid").await?;
        ensure!(
            message.contains("spec.backupTo") && message.contains("deletionPolicy to Delete"),
            "{message}"
        );
        let kept = POSTGRESQL_15.databases(&test.client, &test.prefix()).await?;
        ensure!(Some(&kept[0]) == live.status.unwrap_or_default().database.as_ref(), "{kept:?}");
        // What the message says is a way out.
        test.patch("orders", json!({"spec": {"deletionPolicy": "Delete"}})).await?;
        test.gone("orders").await?;
        nothing_is_left(&test, POSTGRESQL_15).await
    })
    .await;
}

#[tokio::test]
async fn the_deletion_of_a_namespace_ends_and_leaves_the_database() {
    with_namespace("delete_namespace", async |test| {
        test.leaves_databases();
        let live = test.create_ready(&database("orders")).await?;
        let name = live.status.unwrap_or_default().database.context("no name")?;
        let secret = test.secret("orders").await?;
        let namespaces: Api<Namespace> = Api::all(test.client.clone());
        namespaces.delete(&test.namespace, &DeleteParams::default()).await?;
        until(&namespaces, &test.namespace, PATIENCE, "its end", |live| live.is_none()).await?;
        login(&test.client, &secret).await?.batch_execute("CREATE TABLE t (x int)").await?;
        let events: Api<Event> = Api::namespaced(test.client.clone(), OPERATOR_NAMESPACE);
        until_any(
            &events,
            watcher::Config::default(),
            PATIENCE,
            "that says where the database is",
            |event| {
                event
                    .message
                    .as_ref()
                    .is_some_and(|text| text.contains(&name) && text.contains(&test.namespace))
            },
        )
        .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_carries_somebody_elses_mark_is_never_dropped() {
    with_namespace("foreign_mark", async |test| {
        test.leaves_databases();
        let admin = POSTGRESQL_17.admin(&test.client, "postgres").await?;
        let all = test.create_ready(&database("all")).await?;
        let some = test.create_ready(&database("some")).await?;
        let name = |live: &Database| live.status.clone().unwrap_or_default().database.unwrap_or_default();
        // Everything is another's: the object goes, and nothing on the server does.
        remark(&admin, &all, "", uid(&all), "another").await?;
        // Only the database is: our roles own it, so the object stays and says why.
        remark(&admin, &some, "AND kind = 'DATABASE'", uid(&some), "another").await?;
        let others = POSTGRESQL_17.roles(&test.client, &name(&all)).await?;
        test.delete("all").await?;
        ensure!(POSTGRESQL_17.roles(&test.client, &name(&all)).await? == others, "a role was dropped");
        test.begin_delete("some").await?;
        let message = test.refused("some", "InUse").await?;
        ensure!(message.contains(&name(&some)), "{message}");
        let kept = POSTGRESQL_17.databases(&test.client, &test.prefix()).await?;
        ensure!(kept == [name(&all), name(&some)], "a database was dropped: {kept:?}");
        remark(&admin, &some, "", "another", uid(&some)).await?;
        test.gone("some").await?;
        let kept = POSTGRESQL_17.databases(&test.client, &test.prefix()).await?;
        ensure!(kept == [name(&all)], "{kept:?}");
        Ok(())
    })
    .await;
}

fn uid(live: &Database) -> &str {
    live.metadata.uid.as_deref().unwrap_or_default()
}

/// Replaces the uid in the marks of a Database on the server, as if another cluster had made it.
async fn remark(
    admin: &tokio_postgres::Client,
    live: &Database,
    which: &str,
    from: &str,
    to: &str,
) -> Result<()> {
    let name = live.status.clone().unwrap_or_default().database.context("no name")?;
    let marks = format!(
        "SELECT format('COMMENT ON %s %I IS %L', kind, name, replace(mark, $2, $3)) FROM ( \
           SELECT 'DATABASE' AS kind, datname AS name, shobj_description(oid, 'pg_database') AS mark FROM pg_database \
           UNION SELECT 'ROLE', rolname, shobj_description(oid, 'pg_authid') FROM pg_roles) marked \
         WHERE starts_with(name, $1) AND position($2 IN mark) > 0 {which}"
    );
    let rows = admin.query(&marks, &[&name, &from, &to]).await?;
    ensure!(!rows.is_empty(), "no mark carries {from}");
    for row in rows {
        admin.batch_execute(row.get(0)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_secret_of_a_deleted_database_goes_and_a_new_one_gets_a_new_password() {
    with_namespace("again", async |test| {
        test.create_ready(&database("orders")).await?;
        let before = test.secret("orders").await?;
        test.delete("orders").await?;
        until(&test.api::<Secret>(), "orders", PATIENCE, "its end", |live| live.is_none()).await?;
        test.create_ready(&database("orders")).await?;
        let after = test.secret("orders").await?;
        ensure!(
            before["password"] != after["password"],
            "the password of a deleted database is in use again"
        );
        login(&test.client, &after).await?;
        Ok(())
    })
    .await;
}
