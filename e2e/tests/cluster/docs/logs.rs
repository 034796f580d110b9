//! The one command that shows what a Database's Jobs have said.

use anyhow::{Context as _, ensure};
use api::DriverRegistration;
use e2e::{DatabaseFixture, SOON, database, until_any, with_namespace};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::pages::{commands, run};

#[tokio::test]
async fn the_documented_command_shows_what_all_jobs_of_a_database_said_though_one_has_not_started() {
    with_namespace("docs_logs", async |test| {
        let driver =
            test.register_driver(|spec| spec.image_pull_policy = Some("IfNotPresent".to_owned())).await?;
        let drivers: Api<DriverRegistration> = Api::all(test.client.clone());
        let image = async |image: &str| {
            let patch = Patch::Merge(json!({"spec": {"image": image}}));
            drivers.patch(&driver, &PatchParams::default(), &patch).await
        };
        let right = drivers.get(&driver).await?.spec.image;
        test.create_ready(&database("orders").driver(&driver)).await?;
        let of_it = "db.isotoma.com/database=orders";
        let first = test.api::<Pod>().list(&ListParams::default().labels(of_it)).await?.items;
        let first = first.first().context("no pod has made it")?.name_any();
        image("localhost/no-such-image:1").await?;
        test.annotate("orders", "db.isotoma.com/reconcile", "now").await?;
        let selection = watcher::Config::default().labels(of_it);
        let waits = |pod: &Pod| {
            let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            let mut states = statuses.into_iter().flatten().filter_map(|status| status.state.as_ref());
            states.any(|state| state.waiting.is_some())
        };
        let second =
            until_any(&test.api::<Pod>(), selection, SOON, "that waits for its image", waits).await?;
        let commands = commands("docs/developers.md", "kubectl logs ")?;
        let command = commands.first().context("no command")?;
        let said = run(command, &["--namespace", &test.namespace]).await?;
        let of_first = said.lines().filter(|line| line.starts_with(&format!("[pod/{first}/"))).count();
        ensure!(of_first > 0, "nothing of {first}:\n{said}");
        ensure!(said.contains(&second.name_any()), "nothing of {}:\n{said}", second.name_any());
        image(&right).await?;
        // Else the deletion would wait a minute for it.
        let job = second.labels().get("job-name").context("a pod of no Job")?;
        test.api::<Job>().delete(job, &DeleteParams::background()).await?;
        test.delete("orders").await
    })
    .await;
}
