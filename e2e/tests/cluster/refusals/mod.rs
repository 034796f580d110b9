//! Bad input and faults: each is named by the first Job, within 30 s of its begin, and its repair is all that it takes to go
//! on.
//!
//! What the API server refuses at once is in `api/`, and what cannot be launched or started in `launches.rs`. A server
//! that is too old cannot be had here; the PostgreSQL driver's own tests show what is said then.

mod launches;

use anyhow::{Context as _, Result, ensure};
use api::TlsMode;
use e2e::{
    Context, DatabaseFixture, PATIENCE, POSTGRESQL_15, POSTGRESQL_17, SOON, database, kubectl,
    kubectl_with_input, until_any, with_namespace,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::credentials::copy_authority;

/// An authority that has signed nothing. It ends in 2126.
const STRANGER: &str = include_str!("../stranger.pem");

/// Fails unless the message has all of that in it.
fn has_all(message: &str, says: &[&str]) -> Result<()> {
    for part in says {
        ensure!(message.contains(part), "{part:?} is not in the message: {message}");
    }
    Ok(())
}

/// Waits until the first Job for a Database has begun: before, it may wait for a slot.
async fn has_begun(test: &Context, name: &str) -> Result<()> {
    let jobs = watcher::Config::default().labels(&format!("db.isotoma.com/database={name}"));
    let begun = |job: &Job| job.status.as_ref().is_some_and(|status| status.start_time.is_some());
    until_any(&test.api::<Job>(), jobs, PATIENCE, "that has begun", begun).await?;
    Ok(())
}

/// Fails if it took more than the first Job to say it: the second comes half a minute later.
async fn was_said_by_the_first_job(test: &Context, name: &str) -> Result<()> {
    let of_it = ListParams::default().labels(&format!("db.isotoma.com/database={name}"));
    let jobs = test.api::<Job>().list(&of_it).await?.items;
    let names: Vec<_> = jobs.iter().map(ResourceExt::name_any).collect();
    ensure!(names.len() == 1, "there were more Jobs, or none: {names:?}");
    Ok(())
}

/// A fault: what it says, and the repair of its cause.
async fn fault<const N: usize>(
    test: &Context,
    name: &str,
    reason: &str,
    says: [&str; N],
    repair: impl Future<Output = Result<()>>,
) -> Result<()> {
    let told = async {
        has_begun(test, name).await?;
        let said = timeout(SOON, test.refused(name, reason)).await.context("it was not said in time")??;
        has_all(&said, &says)?;
        was_said_by_the_first_job(test, name).await?;
        repair.await.context("cannot repair it")?;
        test.ready(name).await?;
        anyhow::Ok(())
    };
    told.await.with_context(|| format!("fault {name}"))
}

/// A fault whose repair is a change of the spec.
async fn spec_fault<const N: usize>(
    test: &Context,
    name: &str,
    reason: &str,
    says: [&str; N],
    spec: Value,
) -> Result<()> {
    fault(test, name, reason, says, async {
        test.patch(name, json!({"spec": spec})).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named() {
    with_namespace("unreachable", async |test| {
        let host = POSTGRESQL_17.host();
        let right = json!({"connect": {"host": host, "port": 5432}});
        test.create(&database("unknown-host").host("nowhere.example.com")).await?;
        test.create(&database("closed-port").port(5433)).await?;
        tokio::try_join!(
            spec_fault(&test, "unknown-host", "Unreachable", ["nowhere.example.com"], right.clone()),
            spec_fault(&test, "closed-port", "Unreachable", [&host, "5433"], right.clone()),
        )?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_not_secure_is_refused() {
    with_namespace("insecure", async |test| {
        copy_authority(&test).await?;
        let ca = json!({"valueFrom": {"configMapKeyRef": {"name": "servers-ca", "key": "ca.crt"}}});
        let verified =
            json!({"connect": {"host": POSTGRESQL_17.host(), "tls": {"mode": "verify-full", "ca": ca}}});
        let (plain_host, host) = (POSTGRESQL_15.host(), POSTGRESQL_17.host());
        let address = e2e::address(&test.client, &POSTGRESQL_17.host()).await?;
        test.create(&database("refused").on(POSTGRESQL_15).tls_mode(TlsMode::Require)).await?;
        let stranger = json!({"mode": "verify-ca", "ca": {"value": STRANGER}});
        test.create(&database("stranger").tls(stranger)).await?;
        let full = json!({"mode": "verify-full", "ca": ca});
        test.create(&database("other-name").host(&address).tls(full)).await?;
        let plain = json!({"connect": {"tls": {"mode": "disable"}}});
        // The patch takes away what was there.
        let config_map = json!({"value": null, "valueFrom": ca["valueFrom"]});
        let known = json!({"connect": {"tls": {"ca": config_map}}});
        tokio::try_join!(
            spec_fault(&test, "refused", "TlsRefused", [&plain_host, "disable"], plain),
            spec_fault(&test, "stranger", "Untrusted", [&host, "ca"], known),
            spec_fault(&test, "other-name", "Untrusted", [&address], verified),
        )?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn credentials_that_do_not_work_are_named() {
    with_namespace("credentials", async |test| {
        let right = json!(POSTGRESQL_17.admin_login(&test.client).await?);
        let server = POSTGRESQL_17.admin(&test.client, "postgres").await?;
        let weak = format!("{}_weak", test.prefix());
        server.batch_execute(&format!("CREATE ROLE {weak} LOGIN PASSWORD 'we4k'")).await?;
        test.put_secret("weak", json!({"username": weak, "password": "we4k"})).await?;
        test.put_secret("wrong", json!({"username": "postgres", "password": "wrong"})).await?;
        test.put_secret("no-key", json!({"username": "postgres"})).await?;
        for name in ["wrong", "missing", "no-key", "weak"] {
            test.create(&database(&format!("db-{name}")).admin_secret(name)).await?;
        }
        let host = POSTGRESQL_17.host();
        let put = async |name: &str| test.put_secret(name, right.clone()).await;
        tokio::try_join!(
            fault(&test, "db-wrong", "AuthenticationFailed", ["postgres", &host], put("wrong")),
            fault(&test, "db-missing", "CredentialsMissing", ["\"missing\"", "create it"], put("missing")),
            fault(&test, "db-no-key", "CredentialsMissing", ["\"no-key\"", "\"password\""], put("no-key")),
            fault(&test, "db-weak", "InsufficientPrivilege", [&weak, "CREATEROLE"], async {
                Ok(server.batch_execute(&format!("ALTER ROLE {weak} CREATEROLE CREATEDB")).await?)
            }),
        )?;
        test.delete("db-weak").await?;
        server.batch_execute(&format!("DROP ROLE {weak}")).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_named_and_left_alone() {
    with_namespace("taken", async |test| {
        let server = POSTGRESQL_17.admin(&test.client, "postgres").await?;
        let (taken, role) = (format!("{}_taken", test.prefix()), format!("{}_role", test.prefix()));
        let login = format!("{role}_a");
        server.batch_execute(&format!("CREATE DATABASE {taken}")).await?;
        server.batch_execute(&format!("CREATE ROLE {role}_a NOLOGIN")).await?;
        test.put_secret("db-secret", json!({"theirs": "untouched"})).await?;
        test.create(&database("db-taken").server_name(&taken)).await?;
        test.create(&database("db-role").server_name(&role)).await?;
        test.create(&database("db-secret")).await?;
        tokio::try_join!(
            fault(&test, "db-taken", "NameTaken", [&taken, "spec.name"], async {
                let marks = "SELECT 1 FROM pg_shdescription d JOIN pg_database b ON b.oid = d.objoid WHERE datname = $1";
                ensure!(server.query(marks, &[&taken]).await?.is_empty(), "it was marked as ours");
                Ok(server.batch_execute(&format!("DROP DATABASE {taken}")).await?)
            }),
            fault(&test, "db-role", "NameTaken", [&login, "spec.name"], async {
                let sql = "SELECT 1 FROM pg_roles WHERE rolname = $1 AND rolcanlogin";
                ensure!(server.query(sql, &[&login]).await?.is_empty(), "it was changed");
                Ok(server.batch_execute(&format!("DROP ROLE {role}_a")).await?)
            }),
            fault(&test, "db-secret", "SecretConflict", ["db-secret", "delete or rename"], async {
                let secret = test.secret("db-secret").await?;
                ensure!(secret == [("theirs".to_owned(), "untouched".to_owned())].into(), "it was overwritten");
                test.api::<Secret>().delete("db-secret", &DeleteParams::default()).await?;
                Ok(())
            }),
        )?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_spec_that_cannot_be_is_refused_by_the_name_of_the_field() {
    with_namespace("invalid", async |test| {
        let mut template = database("template");
        template.spec.secret_template = serde_json::from_value(json!({"data": {"dsn": "{{ hots }}"}}))?;
        let mut label = database("label");
        label.spec.secret_template = serde_json::from_value(json!({"labels": {"team": "not a label!"}}))?;
        test.create(&template).await?;
        test.create(&label).await?;
        test.create(&database("parameter").parameter("colour", json!("blue"))).await?;
        test.create(&database("extension").parameter("extensions", json!(["no_such_thing"]))).await?;
        tokio::try_join!(
            spec_fault(
                &test,
                "template",
                "Invalid",
                ["secretTemplate", "dsn"],
                json!({"secretTemplate": null})
            ),
            spec_fault(&test, "label", "Invalid", ["secretTemplate"], json!({"secretTemplate": null})),
            spec_fault(&test, "parameter", "Invalid", ["colour"], json!({"parameters": null})),
            spec_fault(&test, "extension", "Unsupported", ["no_such_thing"], json!({"parameters": null})),
        )?;
        Ok(())
    })
    .await;
}

/// Nothing in Rust decodes so many levels: neither them nor who wrote them, as the API server keeps it. So this test looks
/// with kubectl.
#[tokio::test]
async fn parameters_that_are_nested_too_deeply_are_refused_and_do_not_hold_up_the_deletion() {
    with_namespace("too_deep", async |test| {
        let mut deep = serde_json::to_value(database("orders"))?;
        let levels = (0..140).fold(json!({}), |inner, _| json!({"a": inner}));
        deep["spec"]["parameters"] = json!({"extensions": levels});
        let within = ["--namespace", test.namespace.as_str()];
        kubectl_with_input(&[&["create", "--filename", "-"][..], &within].concat(), &deep.to_string())
            .await?;
        let refused = r#"--for=jsonpath={.status.conditions[?(@.type=="Ready")].reason}=Invalid"#;
        kubectl(&[&["wait", "database/orders", refused, "--timeout=150s"][..], &within].concat()).await?;
        let message = r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")].message}"#;
        let message = kubectl(&[&["get", "database/orders", message][..], &within].concat()).await?;
        ensure!(message.contains("spec.parameters"), "{message}");
        kubectl(&[&["delete", "database/orders", "--timeout=150s"][..], &within].concat()).await?;
        Ok(())
    })
    .await;
}
