//! The server and the administrator's login, from where the spec says.
//!
//! What is in a Secret or ConfigMap reaches the container through its environment: the kubelet injects it,
//! so a driver needs no right to read it.

use crate::failure::{Failure, Result};
use crate::injected::Injected;
use api::{Credentials, Database, Reason, Tls, TlsCaSource, ValueFrom, ValueSource, env};
use driver::secret::Secret;
use driver::{Login, Server, ServerTls, TlsMode};
use store::aws::{self, SecretError, SecretKey};

const USERNAME: &str = "spec.credentials.username";
const PASSWORD: &str = "spec.credentials.password";
const CA: &str = "spec.connect.tls.ca";
const CERTIFICATE: &str = "spec.connect.tls.clientCertificate";

/// The server of `database` and the administrator's login on it.
pub(crate) async fn server(database: &Database, injected: &Injected, default_port: u16) -> Result<Server> {
    let spec = &database.spec;
    let Credentials { username, password } = &spec.credentials;
    let username = value(username, env::ADMIN_USERNAME, injected, USERNAME).await?;
    let password = value(password, env::ADMIN_PASSWORD, injected, PASSWORD).await?;
    let tls = tls(spec.connect.tls.as_ref(), spec.connect.tls_mode(), injected)?;
    let port = spec.connect.port().unwrap_or(default_port);
    Ok(Server::new(&spec.connect.host, port, tls, Login::new(username.expose(), password)))
}

/// Fails if something that [`server`] would use is not from where the live object says. It asks nobody.
pub(crate) fn check(database: &Database, injected: &Injected) -> Result<()> {
    let Credentials { username, password } = &database.spec.credentials;
    check_value(username, env::ADMIN_USERNAME, injected, USERNAME)?;
    check_value(password, env::ADMIN_PASSWORD, injected, PASSWORD)?;
    let Some(tls) = &database.spec.connect.tls else { return Ok(()) };
    if let Some(named) = tls.ca.as_ref().and_then(|ca| ca.value_from.as_ref()).and_then(TlsCaSource::from) {
        injected.get(env::TLS_CA, &named, CA)?;
    }
    if let Some(reference) = &tls.client_certificate {
        injected.get(env::TLS_CERTIFICATE, &reference.certificate().to_string(), CERTIFICATE)?;
        injected.get(env::TLS_KEY, &reference.key().to_string(), CERTIFICATE)?;
    }
    Ok(())
}

/// Fails if the value of the variable `name` is not from where `source` says, if `source` names a Secret.
pub(crate) fn check_value(source: &ValueSource, name: &str, injected: &Injected, field: &str) -> Result<()> {
    let reference = source.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
    match reference.filter(|_| source.value.is_none()) {
        Some(reference) => injected.get(name, &reference.to_string(), field).map(drop),
        None => Ok(()),
    }
}

/// The value that `source` says; if that names a Secret, what the kubelet has injected as the variable `name`.
pub(crate) async fn value(
    source: &ValueSource,
    name: &str,
    injected: &Injected,
    field: &str,
) -> Result<Secret> {
    let from = match source {
        ValueSource { value: Some(value), .. } => return Ok(Secret::new(value)),
        ValueSource { value_from: Some(from), .. } => from,
        ValueSource { value: None, value_from: None } => {
            return Err(Failure::new(Reason::Invalid, format!("{field} has neither value nor valueFrom")));
        }
    };
    match from {
        ValueFrom { secret_key_ref: Some(reference), .. } => {
            let found = injected.get(name, &reference.to_string(), field)?;
            found.cloned().ok_or_else(|| {
                missing(field, &format!("Secret {:?} with a key {:?}", reference.name, reference.key))
            })
        }
        ValueFrom { aws_secret_key_ref: Some(reference), .. } => {
            // The SDK's future is large.
            let key = SecretKey { arn: &reference.arn, key: &reference.key };
            Box::pin(aws::secret(key, field)).await.map_err(|error| {
                let reason = match error {
                    SecretError::Invalid(_) => Reason::Invalid,
                    SecretError::Missing(_) => Reason::CredentialsMissing,
                };
                Failure::new(reason, error.to_string())
            })
        }
        ValueFrom { secret_key_ref: None, aws_secret_key_ref: None } => Err(Failure::new(
            Reason::Invalid,
            format!("{field}.valueFrom has neither secretKeyRef nor awsSecretKeyRef"),
        )),
    }
}

fn tls(spec: Option<&Tls>, mode: TlsMode, injected: &Injected) -> Result<ServerTls> {
    let mut ca = None;
    if let Some(source) = spec.and_then(|tls| tls.ca.as_ref()) {
        ca.clone_from(&source.value);
        if let (None, Some(named)) = (&ca, source.value_from.as_ref().and_then(TlsCaSource::from)) {
            let pem = injected.get(env::TLS_CA, &named, CA)?;
            ca = pem.map(|pem| pem.expose().to_owned());
        }
        if ca.is_none() {
            return Err(missing(CA, "Secret or ConfigMap with the key that valueFrom names"));
        }
    }
    let tls = ServerTls::new(mode, ca);
    let Some(reference) = spec.and_then(|tls| tls.client_certificate.as_ref()) else {
        return Ok(tls);
    };
    let certificate =
        injected.get(env::TLS_CERTIFICATE, &reference.certificate().to_string(), CERTIFICATE)?;
    let key = injected.get(env::TLS_KEY, &reference.key().to_string(), CERTIFICATE)?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Ok(tls.with_client_certificate(certificate.expose().to_owned(), key.clone()))
        }
        _ => Err(missing(
            CERTIFICATE,
            &format!("Secret {:?} with keys \"tls.crt\" and \"tls.key\"", reference.secret_name),
        )),
    }
}

/// The kubelet injects nothing if the object or its key is missing or empty.
fn missing(field: &str, what: &str) -> Failure {
    Failure::new(
        Reason::CredentialsMissing,
        format!(
            "{field} refers to a {what}, which is missing or empty: create it in the Database's namespace"
        ),
    )
}
