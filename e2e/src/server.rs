//! The database servers, as their administrator and as an application see them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::{Api, Client};
use tokio_postgres::NoTls;

/// The namespace of the servers.
pub(crate) const SERVERS_NAMESPACE: &str = "servers";

/// A server that `make cluster` has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name of its Service.
    pub name: &'static str,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// PostgreSQL 15, which refuses TLS.
pub const POSTGRESQL_15: Server = Server { name: "postgresql-15", tls: false };
/// PostgreSQL 17, which is also `db.example.com`.
pub const POSTGRESQL_17: Server = Server { name: "postgresql-17", tls: true };
/// PostgreSQL 18.
pub const POSTGRESQL_18: Server = Server { name: "postgresql-18", tls: true };
/// All of them.
pub const SERVERS: [Server; 3] = [POSTGRESQL_15, POSTGRESQL_17, POSTGRESQL_18];

impl Server {
    /// Its name as pods resolve it.
    pub fn host(self) -> String {
        format!("{}.{SERVERS_NAMESPACE}.svc.cluster.local", self.name)
    }

    /// The Secret with the administrator's login.
    pub fn admin_secret(self) -> String {
        format!("{}-admin", self.name)
    }

    /// The administrator's user name and password.
    pub async fn admin_login(self, client: &Client) -> Result<BTreeMap<String, String>> {
        let api: Api<Secret> = Api::namespaced(client.clone(), SERVERS_NAMESPACE);
        let secret = api.get(&self.admin_secret()).await.context("no servers are up: run `make cluster`")?;
        texts(&secret)
    }

    /// An administrator's session in that database.
    pub async fn admin(self, client: &Client, database: &str) -> Result<tokio_postgres::Client> {
        let login = self.admin_login(client).await?;
        let mut config = tokio_postgres::Config::new();
        config.host(address(client, &self.host()).await?).dbname(database);
        config.user(value(&login, "username")?).password(value(&login, "password")?);
        Ok(connect(&config).await?)
    }

    /// Names of the databases whose name begins with `prefix`.
    pub async fn databases(self, client: &Client, prefix: &str) -> Result<Vec<String>> {
        let sql = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1";
        names(&self.admin(client, "postgres").await?, sql, prefix).await
    }

    /// Names of the roles whose name begins with `prefix`.
    pub async fn roles(self, client: &Client, prefix: &str) -> Result<Vec<String>> {
        let sql = "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, $1) ORDER BY 1";
        names(&self.admin(client, "postgres").await?, sql, prefix).await
    }

    /// Drops what begins with `prefix`, and returns its names.
    pub(crate) async fn sweep(self, client: &Client, prefix: &str) -> Result<Vec<String>> {
        let databases = self.databases(client, prefix).await?;
        let roles = self.roles(client, prefix).await?;
        if databases.is_empty() && roles.is_empty() {
            return Ok(Vec::new());
        }
        let admin = self.admin(client, "postgres").await?;
        for name in &databases {
            admin.batch_execute(&format!("DROP DATABASE \"{name}\" WITH (FORCE)")).await?;
        }
        for name in &roles {
            admin.batch_execute(&format!("DROP OWNED BY \"{name}\"; DROP ROLE \"{name}\"")).await?;
        }
        Ok(databases.into_iter().chain(roles).collect())
    }
}

async fn names(admin: &tokio_postgres::Client, sql: &str, prefix: &str) -> Result<Vec<String>> {
    Ok(admin.query(sql, &[&prefix]).await?.iter().map(|row| row.get(0)).collect())
}

fn value<'a>(texts: &'a BTreeMap<String, String>, key: &str) -> Result<&'a str> {
    texts.get(key).map(String::as_str).with_context(|| format!("the Secret has no key {key:?}"))
}

/// A Secret's data as text.
pub(crate) fn texts(secret: &Secret) -> Result<BTreeMap<String, String>> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| Ok((key.clone(), String::from_utf8(value.0.clone())?))).collect()
}

/// The address of a Service under its name in the cluster's DNS, which this machine does not ask.
pub async fn address(client: &Client, host: &str) -> Result<String> {
    // The example's host, which the cluster's DNS knows as an alias.
    let host = if host == "db.example.com" { "postgresql-17.servers" } else { host };
    let mut labels = host.split('.');
    let (Some(name), Some(namespace)) = (labels.next(), labels.next()) else {
        anyhow::bail!("{host} is not the name of a Service");
    };
    let api: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service = api.get(name).await.context("no servers are up: run `make cluster`")?;
    service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")
}

/// Logs in as an application does, with nothing but the `uri` of its Secret.
pub async fn login(client: &Client, secret: &BTreeMap<String, String>) -> Result<tokio_postgres::Client> {
    let mut config: tokio_postgres::Config = value(secret, "uri")?.parse()?;
    config.hostaddr(address(client, value(secret, "host")?).await?.parse()?);
    Ok(connect(&config).await?)
}

async fn connect(config: &tokio_postgres::Config) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // It ends when the client is dropped.
    tokio::spawn(connection);
    Ok(client)
}
