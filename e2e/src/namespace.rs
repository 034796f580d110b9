//! One namespace per test: made, used, looked at when the test fails, and cleaned up.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::{Database, DeletionPolicy, DriverRegistration};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::chart::make_tenant;
use crate::cluster::{OPERATOR_NAMESPACE, client, kubectl};
use crate::context::Context;
use crate::label::LABEL;
use crate::server::{SERVERS, SERVERS_NAMESPACE};
use crate::wait::until;

/// No test takes longer. It is a guard against a test that hangs, not a measure.
const TEST_LIMIT: Duration = Duration::from_secs(400);

/// How long the deletion of what a test left may take before it is forced.
const CLEANUP_LIMIT: Duration = Duration::from_mins(1);

/// Runs a test in a tenant namespace of its own.
///
/// # Panics
///
/// When the test fails, after a dump of what is in the namespace; and when it leaves something on a server
/// that it did not [announce](Context::leaves_databases).
pub async fn with_namespace<Test, Running>(name: &str, test: Test)
where
    Test: FnOnce(Context) -> Running,
    Running: Future<Output = Result<()>> + Send + 'static,
{
    let context =
        open_namespace(name).await.unwrap_or_else(|error| panic!("{name}: cannot begin: {error:#}"));
    // Spawned, so that a panic in it does not keep us from cleaning up.
    let running = tokio::spawn(test(context.clone()));
    let abort = running.abort_handle();
    let problem = match tokio::time::timeout(TEST_LIMIT, running).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(format!("{error:#}")),
        Ok(Err(panicked)) => Some(panicked.to_string()),
        Err(_) => {
            abort.abort();
            Some(format!("the test did not end within {} s", TEST_LIMIT.as_secs()))
        }
    };
    if let Some(problem) = &problem {
        eprintln!("\n======== {name}: {problem}\n{}", picture(&context).await);
    }
    let cleaned = close_namespace(&context).await;
    if let Some(problem) = problem {
        panic!("{name}: {problem}");
    }
    cleaned.unwrap_or_else(|error| panic!("{name}: {error:#}"));
}

/// Makes a tenant namespace for something that is no test; `name` is in its name.
pub async fn open_namespace(name: &str) -> Result<Context> {
    let client = client().await?;
    let digits = RandomState::new().build_hasher().finish();
    let readable: String = name.replace('_', "-").chars().take(17).collect();
    let namespace = format!("e2e-{}-{:05x}", readable.trim_end_matches('-'), digits & 0xf_ffff);
    let labels = [
        (LABEL, name.chars().take(63).collect()),
        ("pod-security.kubernetes.io/enforce", "restricted".to_owned()),
    ];
    let object = Namespace {
        metadata: ObjectMeta {
            name: Some(namespace.clone()),
            labels: Some(BTreeMap::from(labels.map(|(key, value)| (key.to_owned(), value)))),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await?;
    let context = Context::new(client, namespace);
    let filled = async {
        make_tenant(&context.client, &context.namespace).await?;
        copy_admin_secrets(&context).await
    };
    if let Err(error) = filled.await {
        let _ = delete_namespace(&context).await;
        return Err(error);
    }
    Ok(context)
}

async fn copy_admin_secrets(context: &Context) -> Result<()> {
    let here: Api<Secret> = context.api();
    let there: Api<Secret> = Api::namespaced(context.client.clone(), SERVERS_NAMESPACE);
    for server in SERVERS {
        let secret =
            there.get(&server.admin_secret()).await.context("no servers are up: run `make cluster`")?;
        let copy =
            Secret { metadata: ObjectMeta { name: secret.metadata.name, ..ObjectMeta::default() }, ..secret };
        here.create(&PostParams::default(), &copy).await?;
    }
    Ok(())
}

/// Deletes what was left in it. What does not go by itself is forced, and an error.
pub async fn close_namespace(context: &Context) -> Result<()> {
    let mut complaints = Vec::new();
    if let Err(error) = delete_databases(context, &mut complaints).await {
        complaints.push(format!("cannot delete the Databases: {error:#}"));
    }
    let drivers: Api<DriverRegistration> = Api::all(context.client.clone());
    let own = ListParams::default().labels(&format!("{LABEL}={}", context.namespace));
    let _ = drivers.delete_collection(&DeleteParams::default(), &own).await;
    delete_namespace(context).await?;
    for server in SERVERS {
        match server.sweep(&context.client, &context.prefix()).await {
            Ok(left) if left.is_empty() || context.may_leave_databases() => {}
            Ok(left) => complaints.push(format!("left on {}: {}", server.name, left.join(", "))),
            Err(error) => complaints.push(format!("cannot clean up {}: {error:#}", server.name)),
        }
    }
    if complaints.is_empty() { Ok(()) } else { bail!("{}", complaints.join("; ")) }
}

async fn delete_databases(context: &Context, complaints: &mut Vec<String>) -> Result<()> {
    let api: Api<Database> = context.api();
    let databases = api.list(&ListParams::default()).await?.items;
    for database in &databases {
        if api::lifecycle::deletion_policy(database) != DeletionPolicy::Delete {
            let patch = json!({"spec": {"deletionPolicy": "Delete"}});
            let _ = api.patch(&database.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
        }
        let _ = api.delete(&database.name_any(), &DeleteParams::default()).await;
    }
    for database in &databases {
        let name = database.name_any();
        if let Err(error) = until(&api, &name, CLEANUP_LIMIT, "its end", |live| live.is_none()).await {
            complaints.push(format!("{error:#}"));
            let patch = json!({"metadata": {"finalizers": null}});
            api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        }
    }
    Ok(())
}

/// Its end is not awaited: nothing depends on it.
async fn delete_namespace(context: &Context) -> Result<()> {
    let api: Api<Namespace> = Api::all(context.client.clone());
    match api.delete(&context.namespace, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if !status.is_not_found() && !status.is_conflict() => {
            Err(kube::Error::Api(status).into())
        }
        _ => Ok(()),
    }
}

/// Everything that tells a person why a test failed. No Secret is shown.
async fn picture(context: &Context) -> String {
    let namespace = context.namespace.as_str();
    let mut text = String::new();
    let looks: [&[&str]; 5] = [
        &["get", "databases.db.isotoma.com", "-n", namespace, "-o", "yaml"],
        &["get", "jobs,pods", "-n", namespace, "-o", "wide"],
        &["get", "events", "-n", namespace, "--sort-by=.lastTimestamp"],
        &[
            "logs",
            "-n",
            namespace,
            "-l",
            "app.kubernetes.io/managed-by=db-operator",
            "--prefix",
            "--tail=60",
            "--ignore-errors",
        ],
        &[
            "logs",
            "-n",
            OPERATOR_NAMESPACE,
            "-l",
            "app.kubernetes.io/name=db-operator",
            "--since=60s",
            "--tail=200",
        ],
    ];
    for arguments in looks {
        let said = kubectl(arguments).await.unwrap_or_else(|error| format!("{error:#}\n"));
        let _ = writeln!(text, "-------- kubectl {}\n{said}", arguments.join(" "));
    }
    text
}
