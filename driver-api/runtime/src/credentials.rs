//! The server and the administrator's login, from where the spec says.
//!
//! What is in a Secret or ConfigMap reaches the container through its environment: the kubelet injects it,
//! so a driver needs no right to read it.

use crate::env::Assignment;
use crate::failure::{Failure, Result};
use api::Reason;
use api::{Database, Tls, ValueFrom, ValueSource, env};
use driver::secret::Secret;
use driver::{Login, Server, ServerTls, TlsMode};
use store::aws::{self, SecretError, SecretKey};

/// The server of `database` and the administrator's login on it.
pub(crate) async fn server(
    database: &Database,
    assignment: &Assignment,
    default_port: u16,
) -> Result<Server> {
    let spec = &database.spec;
    let username =
        value(&spec.credentials.username, assignment.admin_username.as_ref(), "spec.credentials.username")
            .await?;
    let password =
        value(&spec.credentials.password, assignment.admin_password.as_ref(), "spec.credentials.password")
            .await?;
    let tls = tls(spec.connect.tls.as_ref(), spec.connect.tls_mode(), assignment)?;
    let port = spec.connect.port().unwrap_or(default_port);
    Ok(Server::new(&spec.connect.host, port, tls, Login::new(username.expose(), password)))
}

pub(crate) async fn value(source: &ValueSource, injected: Option<&Secret>, field: &str) -> Result<Secret> {
    let from = match source {
        ValueSource { value: Some(value), .. } => return Ok(Secret::new(value)),
        ValueSource { value_from: Some(from), .. } => from,
        ValueSource { value: None, value_from: None } => {
            return Err(Failure::new(Reason::Invalid, format!("{field} has neither value nor valueFrom")));
        }
    };
    match from {
        ValueFrom { secret_key_ref: Some(reference), .. } => injected.cloned().ok_or_else(|| {
            missing(field, &format!("Secret {:?} with a key {:?}", reference.name, reference.key))
        }),
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

fn tls(spec: Option<&Tls>, mode: TlsMode, assignment: &Assignment) -> Result<ServerTls> {
    let mut ca = None;
    if let Some(source) = spec.and_then(|tls| tls.ca.as_ref()) {
        ca = source.value.clone().or_else(|| assignment.tls_ca.clone());
        if ca.is_none() {
            return Err(missing(
                "spec.connect.tls.ca",
                "Secret or ConfigMap with the key that valueFrom names",
            ));
        }
    }
    let tls = ServerTls::new(mode, ca);
    let Some(reference) = spec.and_then(|tls| tls.client_certificate.as_ref()) else {
        return Ok(tls);
    };
    match (&assignment.tls_certificate, &assignment.tls_key) {
        (Some(certificate), Some(key)) => Ok(tls.with_client_certificate(certificate.clone(), key.clone())),
        _ => Err(missing(
            "spec.connect.tls.clientCertificate",
            &format!("Secret {:?} with keys \"tls.crt\" and \"tls.key\"", reference.secret_name),
        )),
    }
}

/// The kubelet injects nothing where the object or its key is missing or empty.
fn missing(field: &str, what: &str) -> Failure {
    Failure::new(
        Reason::CredentialsMissing,
        format!(
            "{field} refers to a {what}, which is missing or empty: create it in the Database's namespace"
        ),
    )
}

/// Names of the variables that the kubelet injects, for the documentation of the contract.
pub(crate) const INJECTED: [&str; 5] =
    [env::ADMIN_USERNAME, env::ADMIN_PASSWORD, env::TLS_CA, env::TLS_CERTIFICATE, env::TLS_KEY];
