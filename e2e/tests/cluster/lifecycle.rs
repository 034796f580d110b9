//! A Database from its application to its end.

use anyhow::{Context as _, Result, ensure};
use api::{Database, DatabasePhase as Phase};
use e2e::{
    Context, DatabaseFixture, History, PATIENCE, POSTGRESQL_15, POSTGRESQL_17, POSTGRESQL_18, SOON, Server,
    database, kubectl, kubectl_with_input, login, until, with_namespace,
};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

#[tokio::test]
async fn a_database_is_made_used_and_dropped_on_postgresql_15_without_tls() {
    with_namespace("life_15", |test| life(test, POSTGRESQL_15)).await;
}

#[tokio::test]
async fn a_database_is_made_used_and_dropped_on_postgresql_17() {
    with_namespace("life_17", |test| life(test, POSTGRESQL_17)).await;
}

#[tokio::test]
async fn a_database_is_made_used_and_dropped_on_postgresql_18() {
    with_namespace("life_18", |test| life(test, POSTGRESQL_18)).await;
}

async fn life(test: Context, server: Server) -> Result<()> {
    let mut history = History::record(&test.api(), "orders").await?;
    test.create(&database("orders").on(server)).await?;
    wait_as_people_do(&test, "orders").await?;
    history.expect(&[Phase::Creating, Phase::Created]).await?;
    let live = test.ready("orders").await?;
    let status = live.status.clone().unwrap_or_default();
    let on_server = status.database.context("no status.database")?;
    ensure!(status.server == Some(format!("{}:5432", server.host())), "server: {:?}", status.server);
    ensure!(status.binding.is_some_and(|binding| binding.name == "orders"), "status.binding is not set");
    ensure!(live.is_guarded() && status.created_at.is_some() && status.active_operation.is_none());

    let secret = test.secret("orders").await?;
    for (key, value) in [
        ("type", "postgresql"),
        ("provider", "db-operator"),
        ("host", &server.host()),
        ("port", "5432"),
        ("database", &on_server),
    ] {
        ensure!(secret.get(key).map(String::as_str) == Some(value), "Secret: {key}: {:?}", secret.get(key));
    }
    let application = login(&test.client, &secret).await.context("the uri does not log in")?;
    application
        .batch_execute("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)")
        .await?;
    ensure!(server.databases(&test.client, &test.prefix()).await? == [on_server.as_str()]);
    ensure!(!server.roles(&test.client, &test.prefix()).await?.is_empty());

    // The application is still connected.
    test.delete("orders").await?;
    history
        .expect(&[
            Phase::Creating,
            Phase::Created,
            Phase::DeletionRequested,
            Phase::DeletionInProgress,
            Phase::Deleted,
        ])
        .await?;
    ensure!(application.simple_query("SELECT 1").await.is_err(), "the application is still connected");
    nothing_is_left(&test, server).await?;
    until(&test.api::<Secret>(), "orders", SOON, "its end with its Database", |secret| secret.is_none())
        .await?;
    Ok(())
}

async fn wait_as_people_do(test: &Context, name: &str) -> Result<()> {
    let (namespace, name) = (test.namespace.as_str(), format!("database.db.isotoma.com/{name}"));
    kubectl(&["wait", "--for=condition=Ready", &name, "--namespace", namespace, "--timeout=150s"]).await?;
    Ok(())
}

/// Checks that nothing of the test's databases is on the server.
pub(crate) async fn nothing_is_left(test: &Context, server: Server) -> Result<()> {
    let left = (
        server.databases(&test.client, &test.prefix()).await?,
        server.roles(&test.client, &test.prefix()).await?,
    );
    ensure!(left.0.is_empty() && left.1.is_empty(), "left on {}: {left:?}", server.name);
    Ok(())
}

#[tokio::test]
async fn the_original_example_works_as_it_stands() {
    with_namespace("original", async |test| {
        let admin = POSTGRESQL_17.admin_login(&test.client).await?;
        test.put_secret("dbpassword", json!({"password": admin.get("password")})).await?;
        let file = "docs/examples/original.yaml";
        kubectl(&["apply", "--namespace", &test.namespace, "--filename", file]).await?;
        wait_as_people_do(&test, "mydb").await?;
        let application = login(&test.client, &test.secret("mydb").await?).await?;
        application.batch_execute("CREATE TABLE t (x int)").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_change_of_the_parameters_is_applied() {
    with_namespace("change", async |test| {
        let live = test.create_ready(&database("orders")).await?;
        ensure!(live.metadata.generation == Some(1));
        let application = login(&test.client, &test.secret("orders").await?).await?;
        application.batch_execute("CREATE TABLE kept (x int); INSERT INTO kept VALUES (7)").await?;
        let parameters = json!({"schemas": ["reporting"], "extensions": ["pgcrypto"]});
        test.patch("orders", json!({"spec": {"parameters": parameters}})).await?;
        let live = test.until("orders", PATIENCE, "Ready at generation 2", e2e::ready).await?;
        ensure!(live.metadata.generation == Some(2));
        application
            .batch_execute(
                "CREATE TABLE reporting.t (x int); SELECT digest('x', 'sha256'); SELECT x FROM kept",
            )
            .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_secret_carries_what_its_template_adds() {
    with_namespace("template", async |test| {
        let mut fixture = database("orders");
        fixture.spec.secret_template = serde_json::from_value(json!({
            "labels": {"team": "shop"}, "annotations": {"example.com/owner": "shop"},
            "data": {"jdbc-url": "jdbc:postgresql://{{ host }}:{{ port }}/{{ database }}?user={{ username }}"},
        }))?;
        test.create_ready(&fixture).await?;
        let secret = test.secret("orders").await?;
        let expected = format!(
            "jdbc:postgresql://{}:5432/{}?user={}",
            secret["host"], secret["database"], secret["username"]
        );
        ensure!(secret["jdbc-url"] == expected, "{}", secret["jdbc-url"]);
        let metadata = test.api::<Secret>().get("orders").await?.metadata;
        ensure!(metadata.labels.unwrap_or_default().get("team").is_some_and(|team| team == "shop"));
        ensure!(metadata.annotations.unwrap_or_default().contains_key("example.com/owner"));
        let owner = metadata.owner_references.unwrap_or_default();
        ensure!(owner.iter().any(|owner| owner.kind == "Database" && owner.name == "orders"), "{owner:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_application_that_refers_to_the_uri_starts_when_the_database_is_ready() {
    with_namespace("application", async |test| {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop"},
            "spec": {
                "restartPolicy": "Never",
                "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "shop", "image": "localhost/postgresql-client:17", "imagePullPolicy": "Never",
                    "command": ["psql", "--set=ON_ERROR_STOP=1", "--command=CREATE TABLE t (x int)", "$(DATABASE_URL)"],
                    "env": [{"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "orders", "key": "uri"}}}],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        });
        kubectl_with_input(&["create", "--namespace", &test.namespace, "--filename", "-"], &pod.to_string()).await?;
        test.create(&database("orders")).await?;
        let pods = test.api::<k8s_openapi::api::core::v1::Pod>();
        until(&pods, "shop", PATIENCE, "its success", |pod| {
            pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.phase.as_deref()) == Some("Succeeded")
        })
        .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_databases_of_one_name_in_two_namespaces_do_not_meet() {
    with_namespace("twin_one", async |one| {
        let (sent, received) = tokio::sync::oneshot::channel();
        let inner = tokio::spawn(with_namespace("twin_two", async move |two| {
            let live: Database = two.create_ready(&database("orders")).await?;
            let _ = sent.send(live);
            Ok(())
        }));
        let mine = one.create_ready(&database("orders")).await?;
        let theirs = received.await?;
        ensure!(mine.status.unwrap_or_default().database != theirs.status.unwrap_or_default().database);
        inner.await?;
        Ok(())
    })
    .await;
}
