//! What cannot be launched or started: an Event says why, and its repair is all that it takes to go on.

use anyhow::Result;
use api::DriverRegistration;
use e2e::{Context, DatabaseFixture, PATIENCE, SOON, database, kubectl, kubectl_with_input, with_namespace};
use k8s_openapi::api::core::v1::{ResourceQuota, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::has_all;

/// Fails unless an object's owner is warned for that reason, in time, and with all these words.
async fn told(test: &Context, name: &str, reason: &str, says: &[&str]) -> Result<()> {
    // Of an image that is slow to come nothing is said for a minute.
    let limit = if reason == "JobNotRunning" { PATIENCE } else { SOON };
    has_all(&test.warned(name, reason, limit).await?, says)
}

/// What a Database's owner is told while its driver has this image. With the right one it becomes Ready.
async fn told_of_image(test: &Context, image: &str, reason: &str, says: &[&str]) -> Result<()> {
    let mut right = String::new();
    let driver = test
        .register_driver(|spec| {
            right = std::mem::replace(&mut spec.image, image.to_owned());
            spec.image_pull_policy = Some("IfNotPresent".to_owned());
        })
        .await?;
    test.create(&database("orders").driver(&driver)).await?;
    told(test, "orders", reason, says).await?;
    let drivers: Api<DriverRegistration> = Api::all(test.client.clone());
    let patch = Patch::Merge(json!({"spec": {"image": right}}));
    drivers.patch(&driver, &PatchParams::default(), &patch).await?;
    test.ready("orders").await?;
    test.delete("orders").await
}

#[tokio::test]
async fn an_unknown_driver_is_named() {
    with_namespace("unknown_driver", async |test| {
        test.create(&database("orders").driver(&test.namespace)).await?;
        told(&test, "orders", "UnknownDriver", &[&test.namespace]).await?;
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
        told(&test, "orders", "JobHasNoPod", &["service account", "db-operator-tenant"]).await?;
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
        told(&test, "orders", "JobHasNoPod", &["quota"]).await?;
        quotas.delete("none", &DeleteParams::default()).await?;
        test.ready("orders").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_named() {
    with_namespace("no_image", async |test| {
        told_of_image(&test, "localhost/no-such-image:1", "JobNotRunning", &["image", "kubectl"]).await
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
        told(&test, "orders", "Contradiction", &["DeletionInProgress"]).await?;
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
        told(&test, "orders", "JobDeadlineExceeded", &["spec.activeDeadlineSeconds", &driver]).await?;
        test.delete("orders").await
    })
    .await;
}

#[tokio::test]
async fn a_driver_that_the_platform_team_does_not_allow_is_named_with_what_to_add() {
    with_namespace("not_allowed", async |test| {
        let stranger = "registry.example.com/stranger:1";
        told_of_image(&test, stranger, "DriverNotAllowed", &["allowedDrivers", stranger]).await
    })
    .await;
}
