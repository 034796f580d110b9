//! Bad input and faults: each is named within 30 s, and its repair is all that it takes to go on.
//!
//! What the API server refuses at once is in `api.rs`. A server that is too old cannot be had here; the
//! PostgreSQL driver's own tests show what is said then.

use anyhow::{Context as _, Result, ensure};
use api::{DriverRegistration, TlsMode};
use e2e::{
    Context, DatabaseFixture, POSTGRESQL_15, POSTGRESQL_17, database, kubectl, kubectl_with_input,
    with_namespace,
};
use k8s_openapi::api::core::v1::{ResourceQuota, Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::credentials::copy_authority;

/// An authority that has signed nothing. It ends in 2126.
const STRANGER: &str = include_str!("stranger.pem");

/// A fault: what it says, and the repair of its cause.
async fn fault<const N: usize>(
    test: &Context,
    name: &str,
    reason: &str,
    says: [&str; N],
    repair: impl Future<Output = Result<()>>,
) -> Result<()> {
    let told = async {
        let message = test.refused(name, reason).await?;
        for part in says {
            ensure!(message.contains(part), "{part:?} is not in the message: {message}");
        }
        repair.await.context("cannot repair it")?;
        test.ready(name).await?;
        anyhow::Ok(())
    };
    told.await.with_context(|| format!("fault {name}"))
}

/// What a Database's owner is warned of while its driver has this image. With the right one it becomes Ready.
async fn warned_of_image(test: &Context, image: &str, reason: &str) -> Result<String> {
    let mut right = String::new();
    let driver = test
        .register_driver(|spec| {
            right = std::mem::replace(&mut spec.image, image.to_owned());
            spec.image_pull_policy = Some("IfNotPresent".to_owned());
        })
        .await?;
    test.create(&database("orders").driver(&driver)).await?;
    let message = test.warned("orders", reason).await?;
    let drivers: Api<DriverRegistration> = Api::all(test.client.clone());
    let patch = Patch::Merge(json!({"spec": {"image": right}}));
    drivers.patch(&driver, &PatchParams::default(), &patch).await?;
    test.ready("orders").await?;
    test.delete("orders").await?;
    Ok(message)
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

#[tokio::test]
async fn an_unknown_driver_is_named() {
    with_namespace("unknown_driver", async |test| {
        test.create(&database("orders").driver(&test.namespace)).await?;
        let message = test.warned("orders", "UnknownDriver").await?;
        ensure!(message.contains(&test.namespace), "{message}");
        test.register_driver(|_| ()).await?;
        test.ready("orders").await?;
        // As long as the Driver is there.
        test.delete("orders").await
    })
    .await;
}

#[tokio::test]
async fn a_namespace_that_is_no_tenant_is_named() {
    with_namespace("no_tenant", async |test| {
        let accounts = test.api::<ServiceAccount>();
        accounts.delete("db-operator-driver", &DeleteParams::default()).await?;
        test.create(&database("orders")).await?;
        let message = test.warned("orders", "JobHasNoPod").await?;
        ensure!(message.contains("service account") && message.contains("db-operator-tenant"), "{message}");
        let (create, namespace) =
            ("create serviceaccount db-operator-driver --namespace", test.namespace.as_str());
        kubectl(&create.split(' ').chain([namespace]).collect::<Vec<_>>()).await?;
        test.ready("orders").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_quota_without_pods_is_named() {
    with_namespace("quota", async |test| {
        let quotas = test.api::<ResourceQuota>();
        let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
        quotas.create(&PostParams::default(), &serde_json::from_value(quota)?).await?;
        test.create(&database("orders")).await?;
        let message = test.warned("orders", "JobHasNoPod").await?;
        ensure!(message.contains("quota"), "{message}");
        quotas.delete("none", &DeleteParams::default()).await?;
        test.ready("orders").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_named() {
    with_namespace("no_image", async |test| {
        let message = warned_of_image(&test, "localhost/no-such-image:1", "JobNotRunning").await?;
        ensure!(message.contains("image") && message.contains("kubectl"), "{message}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_status_that_somebody_has_written_by_hand_is_not_acted_upon() {
    with_namespace("contradiction", async |test| {
        let name = test.namespace.as_str();
        // It is being dropped, and nobody has deleted it: either is wrong.
        test.create(&database("orders").driver(name)).await?;
        let arguments =
            ["patch", "database.db.isotoma.com/orders", "--namespace", name, "--subresource=status"];
        let patch = ["--type=merge", "--patch-file=/dev/stdin"];
        kubectl_with_input(
            &[&arguments[..], &patch].concat(),
            r#"{"status": {"phase": "DeletionInProgress"}}"#,
        )
        .await?;
        test.register_driver(|_| ()).await?;
        let message = test.warned("orders", "Contradiction").await?;
        ensure!(message.contains("DeletionInProgress"), "{message}");
        // What to do then: take it away again.
        kubectl_with_input(&[&arguments[..], &patch].concat(), r#"{"status": {"phase": null}}"#).await?;
        test.ready("orders").await?;
        test.delete("orders").await
    })
    .await;
}

#[tokio::test]
async fn a_job_that_its_driver_gives_too_little_time_says_what_to_raise() {
    with_namespace("no_time", async |test| {
        let driver = test
            .register_driver(|spec| {
                spec.image = "localhost/no-such-image:1".to_owned();
                spec.active_deadline_seconds = Some(10);
            })
            .await?;
        test.create(&database("orders").driver(&driver)).await?;
        let message = test.warned("orders", "JobDeadlineExceeded").await?;
        ensure!(message.contains("spec.activeDeadlineSeconds") && message.contains(&driver), "{message}");
        test.delete("orders").await
    })
    .await;
}

#[tokio::test]
async fn a_driver_that_the_platform_team_does_not_allow_is_named_with_what_to_add() {
    with_namespace("not_allowed", async |test| {
        let stranger = "registry.example.com/stranger:1";
        let message = warned_of_image(&test, stranger, "DriverNotAllowed").await?;
        ensure!(message.contains("allowedDrivers") && message.contains(stranger), "{message}");
        Ok(())
    })
    .await;
}
