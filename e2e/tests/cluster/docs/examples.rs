//! Every YAML in the documentation is what it claims to be.
//!
//! A block that begins with "```yaml" is Kubernetes objects, or a part of a Database that begins with `spec:`.
//! The API server checks it, unknown fields refused; and where it is a Database on a server that is here, it
//! is made. One that begins with "```yaml values" is values of the chart `db-operator`.

use anyhow::{Context as _, Result, ensure};
use api::Database;
use e2e::{Context, DatabaseFixture, POSTGRESQL_17, database, helm_with_values, with_namespace};
use futures::{StreamExt, future, stream};
use kube::api::{DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::discovery::Scope;
use kube::{Api, ResourceExt, discovery};
use serde_json::{Value, json};

use super::pages::{Block, yaml_blocks};
use crate::credentials::copy_authority;

#[tokio::test]
async fn every_object_in_the_documentation_is_what_it_claims_to_be() {
    with_namespace("docs", async |test| {
        // What the examples refer to.
        let admin = POSTGRESQL_17.admin_login(&test.client).await?;
        test.put_secret("dbpassword", json!({"password": admin.get("password")})).await?;
        copy_authority(&test).await?;
        let mut tried = Vec::new();
        for (block, number) in yaml_blocks()?.into_iter().filter(|block| block.info == "yaml").zip(1..) {
            let test = test.clone();
            tried.push(async move {
                let holds = holds(&test, &block, number).await;
                holds.err().map(|error| format!("{}: {error:#}", block.place))
            });
        }
        // Four at a time, so that a hundred examples do not wait for each other's slots.
        let wrong: Vec<_> = stream::iter(tried).buffer_unordered(4).filter_map(future::ready).collect().await;
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
    .await;
}

async fn holds(test: &Context, block: &Block, number: usize) -> Result<()> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(&block.text)?;
    ensure!(!objects.is_empty(), "it is empty");
    for mut object in objects {
        if object.get("kind").is_none() && object.get("spec").is_some() {
            let mut whole = serde_json::to_value(database("part").on(POSTGRESQL_17))?;
            for (field, value) in object["spec"].as_object().into_iter().flatten() {
                whole["spec"][field] = value.clone();
            }
            object = whole;
        }
        let mut object: DynamicObject = serde_json::from_value(object).context("not a Kubernetes object")?;
        object.metadata.namespace = None;
        accepted(test, &object).await?;
        if object.types.as_ref().is_some_and(|types| types.kind == "Database") {
            let mut live: Database = object.try_parse()?;
            if [".servers", "db.example.com"].iter().any(|here| live.spec.connect.host.contains(here)) {
                let name = format!("{}-{number}", live.name_any());
                live.metadata.name = Some(name.clone());
                test.create_ready(&live).await?;
            }
        }
    }
    Ok(())
}

/// Asks the API server what it would say, unknown fields refused.
async fn accepted(test: &Context, object: &DynamicObject) -> Result<()> {
    let types = object.types.clone().context("not a Kubernetes object")?;
    let kind = GroupVersionKind::try_from(&types)?;
    let (resource, capabilities) = discovery::pinned_kind(&test.client, &kind).await?;
    let api: Api<DynamicObject> = if capabilities.scope == Scope::Namespaced {
        Api::namespaced_with(test.client.clone(), &test.namespace, &resource)
    } else {
        Api::all_with(test.client.clone(), &resource)
    };
    let name = object.metadata.name.clone().context("it has no name")?;
    let trial = PatchParams {
        dry_run: true,
        force: true,
        field_manager: Some("db-operator-e2e".to_owned()),
        field_validation: Some(ValidationDirective::Strict),
    };
    api.patch(&name, &trial, &Patch::Apply(object)).await?;
    Ok(())
}

#[tokio::test]
async fn every_chart_value_in_the_documentation_is_one() {
    for block in yaml_blocks().unwrap() {
        let checked = match block.info.as_str() {
            "yaml" => Ok(()),
            "yaml values" => helm_with_values("charts/db-operator", &block.text).await,
            other => Err(anyhow::anyhow!("```{other} is neither ```yaml nor ```yaml values")),
        };
        checked.with_context(|| block.place.clone()).unwrap();
    }
}
