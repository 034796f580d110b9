//! Every YAML in the documentation is what it claims to be.
//!
//! A block that begins with "```yaml" is Kubernetes objects, or a part of a Database that begins with `spec:`.
//! The API server checks it, unknown fields refused; and where it is a Database on a server that is here, it
//! is made. One that begins with "```yaml values" is values of the chart `db-operator`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use api::Database;
use e2e::{Context, DatabaseFixture, POSTGRESQL_17, database, helm_with_values, with_namespace};
use futures::{StreamExt, future, stream};
use kube::api::{DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::discovery::Scope;
use kube::{Api, ResourceExt, discovery};
use serde_json::{Value, json};

use crate::credentials::copy_authority;

/// A fenced block: where it is, its info string, and its text.
struct Block {
    place: String,
    info: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut found = vec![root().join("README.md")];
    let mut folders =
        vec![root().join("docs"), root().join("charts"), root().join("drivers"), root().join("e2e")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn blocks(file: &Path) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in std::fs::read_to_string(file)?.lines().zip(1..) {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                let place = format!("{}:{number}", file.strip_prefix(root()).unwrap_or(file).display());
                open = Some(Block { place, info: info.trim().to_owned(), text: String::new() });
            }
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    ensure!(open.is_none(), "{}: a block does not end", file.display());
    Ok(blocks)
}

fn yaml_blocks() -> Result<Vec<Block>> {
    let mut all = Vec::new();
    for file in documents()? {
        all.extend(blocks(&file)?.into_iter().filter(|block| block.info.starts_with("yaml")));
    }
    ensure!(all.len() > 5, "only {} blocks of YAML found: the test looks in the wrong places", all.len());
    Ok(all)
}

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

#[test]
fn every_link_between_documents_leads_somewhere() {
    let check = || -> Result<()> {
        for file in documents()? {
            let text = std::fs::read_to_string(&file)?;
            for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = target.split('#').next().unwrap_or_default();
                if path.is_empty() || path.contains("://") {
                    continue;
                }
                let folder = file.parent().context("a file without a folder")?;
                if !folder.join(path).exists() {
                    bail!("{}: {target} leads nowhere", file.display());
                }
            }
        }
        Ok(())
    };
    check().unwrap();
}
