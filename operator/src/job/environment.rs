//! The environment contract: what a container is to do, and where it finds what the spec refers to.
//!
//! The kubelet injects what is in a Secret or ConfigMap, so neither the operator nor the driver needs the right to read
//! it. All of it is optional: if something is missing the container starts all the same, and writes a condition that
//! says what. Beside each stands a literal that says which key it is: an admission policy holds the two together, and
//! the runtime takes nothing but what the live object names.

use std::collections::BTreeMap;

use api::{Subject as Of, env};
use k8s_openapi::api::core::v1::{ConfigMapKeySelector, EnvVar, EnvVarSource, SecretKeySelector};

use super::parts::{Settings, StoreKeys, Worker};
use crate::decision::Launch;
use crate::seen::references::{Authorities, KeyReference, ServerReferences};
use crate::subject::Subject;

/// What begins so is ours to set.
const RESERVED: &str = "DB_OPERATOR_";

/// The variables of one Job.
pub(super) fn of(
    object: Subject<'_>,
    worker: Worker<'_>,
    launch: &Launch,
    keys: &StoreKeys,
    job: &str,
    settings: &Settings,
) -> Vec<EnvVar> {
    let mut variables = assignment(object, launch, job, settings);
    match worker {
        Worker::Release => {}
        Worker::Driver(_) => {
            if let (Subject::Database(database), true) = (object, launch.operation.row().connects) {
                variables.extend(login(&database.login));
            }
            variables.extend(store(keys));
        }
    }
    variables
}

/// What the platform team sets, but what is ours: what begins as ours does, and what `taken` has. The admission policy
/// refuses a name that is there twice, of which the kubelet takes one and a reader perhaps the other.
pub(super) fn of_platform(variables: BTreeMap<String, String>, taken: &[EnvVar]) -> Vec<EnvVar> {
    let is_free =
        |name: &str| !name.starts_with(RESERVED) && taken.iter().all(|variable| variable.name != name);
    let free = variables.into_iter().filter(|(name, _)| is_free(name));
    free.map(|(name, text)| value(&name, text)).collect()
}

/// Where the authorities of the object store are, beside the public ones.
pub(super) fn authorities(public: &str, folder: &str) -> [EnvVar; 2] {
    [value("SSL_CERT_FILE", public), value("SSL_CERT_DIR", folder)]
}

/// What the container is to do.
fn assignment(object: Subject<'_>, launch: &Launch, job: &str, settings: &Settings) -> Vec<EnvVar> {
    let mut variables = vec![
        value(env::OPERATION, launch.operation.as_str()),
        value(env::NAMESPACE, &**object.namespace()),
        value(env::DATABASE, &**object.database()),
        value(env::UID, &**object.uid()),
        value(env::GENERATION, object.generation().to_string()),
        value(env::JOB, job),
        value(env::CLUSTER_ID, &settings.cluster_id),
        value(env::LOG_FORMAT, settings.log_format),
    ];
    if let Some(request) = &launch.request {
        let restores = launch.operation.row().subject == Of::Restore;
        variables.push(value(if restores { env::RESTORE } else { env::BACKUP }, &*request.name));
        variables.push(value(env::REQUEST_UID, &*request.uid));
    }
    if let Subject::Backup(backup) = object {
        variables.extend([value(env::BACKUP, &*backup.name), value(env::REQUEST_UID, &*backup.uid)]);
    }
    variables
}

/// The administrator's login.
fn login(references: &ServerReferences) -> Vec<EnvVar> {
    let ServerReferences { username, password, authorities, client_certificate } = references;
    let mut variables = Vec::new();
    for (name, reference) in [(env::ADMIN_USERNAME, username), (env::ADMIN_PASSWORD, password)] {
        variables.extend(reference.iter().flat_map(|reference| secret(name, reference)));
    }
    match authorities {
        Some(Authorities::Secret(reference)) => variables.extend(secret(env::TLS_CA, reference)),
        Some(Authorities::ConfigMap(reference)) => variables.extend(config_map(env::TLS_CA, reference)),
        None => {}
    }
    if let Some(name) = client_certificate {
        for (variable, key) in [(env::TLS_CERTIFICATE, "tls.crt"), (env::TLS_KEY, "tls.key")] {
            variables.extend(secret(variable, &KeyReference { name: name.clone(), key: key.into() }));
        }
    }
    variables
}

/// The keys of the object store.
fn store(keys: &StoreKeys) -> Vec<EnvVar> {
    let StoreKeys { store, decryption_key } = keys;
    let sources = [
        (env::S3_ACCESS_KEY_ID, &store.access_key_id),
        (env::S3_SECRET_ACCESS_KEY, &store.secret_access_key),
        (env::S3_SESSION_TOKEN, &store.session_token),
        (env::DECRYPTION_KEY, decryption_key),
    ];
    let given = sources.into_iter().filter_map(|(name, reference)| Some((name, reference.as_ref()?)));
    let mut variables: Vec<_> = given.flat_map(|(name, reference)| secret(name, reference)).collect();
    variables.extend(store.authorities.as_ref().map(|authorities| {
        let from = match authorities {
            Authorities::Secret(reference) => from_secret(reference),
            Authorities::ConfigMap(reference) => from_config_map(reference),
        };
        value(env::S3_CA_FROM, from)
    }));
    variables
}

fn value(name: &str, text: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(text.into()), value_from: None }
}

fn secret(name: &str, reference: &KeyReference) -> [EnvVar; 2] {
    let selector = SecretKeySelector {
        name: reference.name.to_string(),
        key: reference.key.to_string(),
        optional: Some(true),
    };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    injected(name, source, from_secret(reference))
}

fn config_map(name: &str, reference: &KeyReference) -> [EnvVar; 2] {
    let selector = ConfigMapKeySelector {
        name: reference.name.to_string(),
        key: reference.key.to_string(),
        optional: Some(true),
    };
    let source = EnvVarSource { config_map_key_ref: Some(selector), ..EnvVarSource::default() };
    injected(name, source, from_config_map(reference))
}

fn injected(name: &str, source: EnvVarSource, from: String) -> [EnvVar; 2] {
    let variable = EnvVar { name: name.to_owned(), value: None, value_from: Some(source) };
    [variable, value(&env::from(name), from)]
}

fn from_secret(reference: &KeyReference) -> String {
    format!("{}/{}", reference.name, reference.key)
}

fn from_config_map(reference: &KeyReference) -> String {
    format!("configmap/{}/{}", reference.name, reference.key)
}
