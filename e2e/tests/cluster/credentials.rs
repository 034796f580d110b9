//! The administrator's login, from where a spec says, and the connection's security.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use api::Database;
use e2e::{
    Context, DatabaseFixture, POSTGRESQL_15, POSTGRESQL_17, POSTGRESQL_18, Server, database, login,
    with_namespace,
};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::lifecycle::nothing_is_left;

#[tokio::test]
async fn an_administrator_needs_no_more_than_createrole_and_createdb() {
    with_namespace("createrole", async |test| {
        // The rules differ before and after 16.
        tokio::try_join!(modest(&test, POSTGRESQL_15, "old"), modest(&test, POSTGRESQL_18, "new"))?;
        Ok(())
    })
    .await;
}

async fn modest(test: &Context, server: Server, name: &str) -> Result<()> {
    let role = format!("{}_{name}_admin", test.prefix());
    let admin = server.admin(&test.client, "postgres").await?;
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN CREATEROLE CREATEDB PASSWORD 'm0dest'")).await?;
    test.put_secret(name, json!({"username": role, "password": "m0dest"})).await?;
    test.create_ready(&database(&format!("db-{name}")).on(server).admin_secret(name)).await?;
    let application = login(&test.client, &test.secret(&format!("db-{name}")).await?).await?;
    application.batch_execute("CREATE TABLE t (x int)").await?;
    test.delete(&format!("db-{name}")).await?;
    admin.batch_execute(&format!("DROP ROLE {role}")).await?;
    nothing_is_left(test, server).await
}

#[tokio::test]
async fn a_certificate_is_verified_where_an_authority_is_given() {
    with_namespace("verify", async |test| {
        copy_authority(&test).await?;
        let ca = json!({"valueFrom": {"configMapKeyRef": {"name": "servers-ca", "key": "ca.crt"}}});
        let create = async |name: &'static str, fixture: Database| {
            test.create_ready(&fixture).await?;
            let secret = test.secret(name).await?;
            ensure!(secret.get("certificates").is_some_and(|pem| pem.contains("BEGIN CERTIFICATE")));
            anyhow::Ok(())
        };
        tokio::try_join!(
            create("full", database("full").tls(json!({"mode": "verify-full", "ca": ca}))),
            create("ca", database("ca").on(POSTGRESQL_18).tls(json!({"mode": "verify-ca", "ca": ca}))),
            // The default where an authority is given.
            create("default", database("default").on(POSTGRESQL_18).tls(json!({"ca": ca}))),
        )?;
        Ok(())
    })
    .await;
}

/// The authority of the servers' certificates, in the test's namespace.
pub(crate) async fn copy_authority(test: &Context) -> Result<()> {
    let there: Api<ConfigMap> = Api::namespaced(test.client.clone(), "servers");
    let config = there.get("servers-ca").await?;
    let copy =
        ConfigMap { metadata: ObjectMeta { name: config.metadata.name, ..ObjectMeta::default() }, ..config };
    test.api::<ConfigMap>().create(&PostParams::default(), &copy).await?;
    Ok(())
}

#[tokio::test]
async fn a_password_is_read_from_aws_secrets_manager() {
    with_namespace("aws", async |test| {
        let admin = POSTGRESQL_17.admin_login(&test.client).await?;
        let listener = TcpListener::bind((node_address(&test.client).await?, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf";
        let _serving = Arc::new(tokio::spawn(secrets_manager(listener, json!(admin).to_string())));
        let driver = test
            .register_driver(|spec| {
                let env = &mut spec.pod_template.get_or_insert_default().env;
                env.insert("AWS_ENDPOINT_URL".to_owned(), endpoint);
                env.insert("AWS_ACCESS_KEY_ID".to_owned(), "AKIAEXAMPLE".to_owned());
                env.insert("AWS_SECRET_ACCESS_KEY".to_owned(), "example".to_owned());
            })
            .await?;
        let mut fixture = database("orders").driver(&driver);
        let password = json!({"valueFrom": {"awsSecretKeyRef": {"arn": arn, "key": "password"}}});
        fixture.spec.credentials.password = serde_json::from_value(password)?;
        test.create_ready(&fixture).await?;
        login(&test.client, &test.secret("orders").await?).await?;
        // While Secrets Manager still answers.
        test.delete("orders").await
    })
    .await;
}

/// The address of this machine that pods reach: it is the node.
async fn node_address(client: &Client) -> Result<String> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    let addresses =
        nodes.items.into_iter().filter_map(|node| node.status).filter_map(|status| status.addresses);
    let internal = addresses.flatten().find(|address| address.type_ == "InternalIP");
    Ok(internal.context("no node has an address")?.address)
}

/// Answers every `GetSecretValue` with the same secret, and everything else with an error.
async fn secrets_manager(listener: TcpListener, secret: String) {
    while let Ok((connection, _)) = listener.accept().await {
        let secret = secret.clone();
        tokio::spawn(async move { answer(connection, &secret).await });
    }
}

async fn answer(mut connection: TcpStream, secret: &str) -> Result<()> {
    let mut request = Vec::new();
    let head = loop {
        if connection.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
        if request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            break String::from_utf8_lossy(&request).to_lowercase();
        }
    };
    // It is signed for the region of the ARN.
    let known = head.contains("x-amz-target: secretsmanager.getsecretvalue")
        && head.contains("/eu-west-1/secretsmanager/aws4_request");
    let (status, body) = if known {
        ("200 OK", json!({"ARN": "x", "Name": "db", "SecretString": secret}))
    } else {
        (
            "400 Bad Request",
            json!({"__type": "InvalidRequestException", "message": "not signed for eu-west-1"}),
        )
    };
    let body = body.to_string();
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(response.as_bytes()).await?;
    Ok(())
}
