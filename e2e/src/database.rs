//! Databases as tests write them down.

use api::{
    Connect, Credentials, Database, DatabaseSpec, DeletionPolicy, Parameters, SecretKeyRef, Tls, TlsMode,
    ValueFrom, ValueSource,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::bucket::Bucket;
use crate::server::{POSTGRESQL_17, Server};

/// A Database on postgresql-17 with nothing set that has a default, but that it is dropped when it is deleted.
pub fn database(name: &str) -> Database {
    let credentials = Credentials { username: value("postgres"), password: value("not set") };
    let connect = Connect { host: String::new(), port: None, tls: None };
    let spec = DatabaseSpec {
        driver: "postgresql".to_owned(),
        connect,
        credentials,
        name: None,
        parameters: None,
        deletion_policy: Some(DeletionPolicy::Delete),
        backup_to: None,
        restore_from: None,
        secret_template: None,
    };
    Database::new(name, spec).on(POSTGRESQL_17)
}

fn value(text: &str) -> ValueSource {
    ValueSource { value: Some(text.to_owned()), value_from: None }
}

fn from_secret(name: &str, key: &str) -> ValueSource {
    let reference = SecretKeyRef { name: name.to_owned(), key: key.to_owned() };
    let from = ValueFrom { secret_key_ref: Some(reference), aws_secret_key_ref: None };
    ValueSource { value: None, value_from: Some(from) }
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("a test's own JSON: {error}"))
}

/// Changes to a Database under construction.
pub trait DatabaseFixture {
    /// On that server, with the administrator's login from the Secret that every test's namespace holds.
    #[must_use]
    fn on(self, server: Server) -> Self;
    /// At that host.
    #[must_use]
    fn host(self, host: &str) -> Self;
    /// At that port.
    #[must_use]
    fn port(self, port: i32) -> Self;
    /// With that TLS mode, and no authority.
    #[must_use]
    fn tls_mode(self, mode: TlsMode) -> Self;
    /// With those TLS settings, as JSON.
    #[must_use]
    fn tls(self, tls: Value) -> Self;
    /// With the administrator's user name and password from keys of the same names of that Secret.
    #[must_use]
    fn admin_secret(self, name: &str) -> Self;
    /// With that name on the server.
    #[must_use]
    fn server_name(self, name: &str) -> Self;
    /// With that deletion policy.
    #[must_use]
    fn deletion_policy(self, policy: DeletionPolicy) -> Self;
    /// With backups to that bucket, and without a word about its deletion.
    #[must_use]
    fn backup_to(self, bucket: &Bucket) -> Self;
    /// Made from the backup that the JSON says.
    #[must_use]
    fn restore_from(self, source: Value) -> Self;
    /// With that driver.
    #[must_use]
    fn driver(self, driver: &str) -> Self;
    /// With that parameter.
    #[must_use]
    fn parameter(self, name: &str, value: Value) -> Self;
}

impl DatabaseFixture for Database {
    fn on(self, server: Server) -> Self {
        let mode = if server.tls { TlsMode::Require } else { TlsMode::Disable };
        self.host(&server.host()).tls_mode(mode).admin_secret(&server.admin_secret())
    }

    fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.spec.connect.host);
        self
    }

    fn port(mut self, port: i32) -> Self {
        self.spec.connect.port = Some(IntOrString::Int(port));
        self
    }

    fn tls_mode(mut self, mode: TlsMode) -> Self {
        self.spec.connect.tls = Some(Tls { mode: Some(mode), ca: None, client_certificate: None });
        self
    }

    fn tls(mut self, tls: Value) -> Self {
        self.spec.connect.tls = parse(tls);
        self
    }

    fn admin_secret(mut self, name: &str) -> Self {
        self.spec.credentials =
            Credentials { username: from_secret(name, "username"), password: from_secret(name, "password") };
        self
    }

    fn server_name(mut self, name: &str) -> Self {
        self.spec.name = Some(name.to_owned());
        self
    }

    fn deletion_policy(mut self, policy: DeletionPolicy) -> Self {
        self.spec.deletion_policy = Some(policy);
        self
    }

    fn backup_to(mut self, bucket: &Bucket) -> Self {
        self.spec.backup_to = parse(json!({"s3": bucket.target()}));
        self.spec.deletion_policy = None;
        self
    }

    fn restore_from(mut self, source: Value) -> Self {
        self.spec.restore_from = parse(source);
        self
    }

    fn driver(mut self, driver: &str) -> Self {
        driver.clone_into(&mut self.spec.driver);
        self
    }

    fn parameter(mut self, name: &str, value: Value) -> Self {
        let before = self.spec.parameters.as_ref().map_or("{}", Parameters::as_str);
        let mut all: serde_json::Map<_, _> =
            serde_json::from_str(before).unwrap_or_else(|error| panic!("a test's own JSON: {error}"));
        all.insert(name.to_owned(), value);
        self.spec.parameters = parse(all.into());
        self
    }
}
