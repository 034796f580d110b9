//! The pod that a driver runs in: Pod Security `restricted`, and the environment contract.

use std::collections::BTreeMap;

use api::Operation;
use api::{
    DRIVER_SERVICE_ACCOUNT, Database, DriverPodTemplate, DriverRegistration, SecretKeyRef, TlsCaSource,
    ValueSource, env,
};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapKeySelector, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, KeyToPath, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecretKeySelector, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::database::decide::Launch;
use crate::job::build::{Settings, StoreKeys, moves_data, some};
use crate::subject::Guarded;

/// Name of the container, by which a Job's failure policy knows it.
pub const CONTAINER: &str = "driver";

/// The volume with the authorities of the object store, whose client takes them from a file.
const CA_VOLUME: &str = "store-ca";
/// Where it is mounted.
const CA_FOLDER: &str = "/etc/db-operator/store";
/// The file in it. Of a folder, only files that are named as by a hash are read.
const CA_FILE: &str = "00000000.0";
/// Where images have the authorities that the public web trusts, which other connections need beside it.
const PUBLIC_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What begins so is ours to set.
const RESERVED: &str = "DB_OPERATOR_";

/// The pod of the Job `job`.
pub(crate) fn spec(
    object: Guarded<'_>,
    driver: &DriverRegistration,
    launch: &Launch,
    keys: &StoreKeys,
    job: &str,
    settings: &Settings,
) -> PodSpec {
    let operation = launch.operation;
    let moves_data = moves_data(object, operation);
    let store_ca = keys.ca.as_ref().filter(|_| operation != Operation::Release);
    let DriverPodTemplate {
        labels: _,
        annotations: _,
        env,
        resources,
        backup_resources,
        image_pull_secrets,
        node_selector,
        tolerations,
        affinity,
        priority_class_name,
    } = driver.spec.pod_template.clone().unwrap_or_default();
    let mut variables = assignment(object, launch, job, settings);
    if operation != Operation::Release {
        if let Guarded::Database(database) = object {
            variables.extend(credentials(database));
        }
        variables.extend(store_keys(keys));
    }
    let image = driver.spec.backup_image.as_ref().filter(|_| moves_data).unwrap_or(&driver.spec.image);
    let resources = if moves_data { backup_resources } else { resources };
    let free = env.into_iter().filter(|(name, _)| !name.starts_with(RESERVED));
    variables.extend(free.map(|(name, text)| value(&name, text)));
    if store_ca.is_some() {
        // After those that the platform team sets, for the last one counts.
        variables.extend([value("SSL_CERT_FILE", PUBLIC_CA), value("SSL_CERT_DIR", CA_FOLDER)]);
    }
    let account = driver.spec.service_account_name.as_deref().unwrap_or(DRIVER_SERVICE_ACCOUNT);
    let account =
        if operation == Operation::Release { settings.release_service_account.as_str() } else { account };
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        service_account_name: Some(account.to_owned()),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(30),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(65532),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        image_pull_secrets: (!image_pull_secrets.is_empty()).then_some(image_pull_secrets),
        node_selector: some(node_selector),
        tolerations: (!tolerations.is_empty()).then_some(tolerations),
        affinity,
        priority_class_name,
        volumes: store_ca.map(|ca| vec![ca_volume(ca)]),
        containers: vec![Container {
            name: CONTAINER.to_owned(),
            image: Some(image.clone()),
            image_pull_policy: driver.spec.image_pull_policy.clone(),
            command: (!driver.spec.command.is_empty()).then(|| driver.spec.command.clone()),
            args: (!driver.spec.args.is_empty()).then(|| driver.spec.args.clone()),
            env: Some(variables),
            resources: Some(resources.unwrap_or_else(|| default_resources(moves_data))),
            volume_mounts: store_ca.map(|_| {
                vec![VolumeMount {
                    name: CA_VOLUME.to_owned(),
                    mount_path: CA_FOLDER.to_owned(),
                    read_only: Some(true),
                    ..VolumeMount::default()
                }]
            }),
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }],
        ..PodSpec::default()
    }
}

/// What the container is to do.
fn assignment(object: Guarded<'_>, launch: &Launch, job: &str, settings: &Settings) -> Vec<EnvVar> {
    let mut variables = vec![
        value(env::OPERATION, launch.operation.as_str()),
        value(env::NAMESPACE, object.namespace()),
        value(env::DATABASE, object.database()),
        value(env::UID, object.uid()),
        value(env::GENERATION, object.generation().to_string()),
        value(env::JOB, job),
        value(env::CLUSTER_ID, &settings.cluster_id),
        value(env::LOG_FORMAT, settings.log_format),
    ];
    if let Some(request) = &launch.request {
        let name = if launch.operation == Operation::Restore { env::RESTORE } else { env::BACKUP };
        variables.push(value(name, &request.name));
        variables.push(value(env::REQUEST_UID, &request.uid));
    }
    if let Guarded::Backup(_) = object {
        variables.extend([value(env::BACKUP, object.name()), value(env::REQUEST_UID, object.uid())]);
    }
    variables
}

/// What the spec takes from a Secret or ConfigMap. The kubelet injects it, so neither the operator nor the
/// driver needs the right to read it. All of it is optional: where something is missing the container starts
/// all the same, and writes a condition that says what.
fn credentials(database: &Database) -> Vec<EnvVar> {
    let spec = &database.spec;
    let mut variables = Vec::new();
    for (name, source) in
        [(env::ADMIN_USERNAME, &spec.credentials.username), (env::ADMIN_PASSWORD, &spec.credentials.password)]
    {
        let ValueSource { value: _, value_from } = source;
        if let Some(reference) = value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref()) {
            variables.push(secret(name, reference));
        }
    }
    let Some(tls) = &spec.connect.tls else { return variables };
    match tls.ca.as_ref().and_then(|ca| ca.value_from.as_ref()) {
        Some(TlsCaSource { secret_key_ref: Some(reference), .. }) => {
            variables.push(secret(env::TLS_CA, reference));
        }
        Some(TlsCaSource { config_map_key_ref: Some(reference), .. }) => {
            let selector = ConfigMapKeySelector {
                name: reference.name.clone(),
                key: reference.key.clone(),
                optional: Some(true),
            };
            let source = EnvVarSource { config_map_key_ref: Some(selector), ..EnvVarSource::default() };
            variables.push(EnvVar { name: env::TLS_CA.to_owned(), value: None, value_from: Some(source) });
        }
        Some(TlsCaSource { secret_key_ref: None, config_map_key_ref: None }) | None => {}
    }
    if let Some(certificate) = &tls.client_certificate {
        for (name, key) in [(env::TLS_CERTIFICATE, "tls.crt"), (env::TLS_KEY, "tls.key")] {
            let reference = SecretKeyRef { name: certificate.secret_name.clone(), key: key.to_owned() };
            variables.push(secret(name, &reference));
        }
    }
    variables
}

/// The authorities of the object store. Optional as all that a spec refers to: without them its certificate is not
/// trusted, which the container says.
fn ca_volume(ca: &TlsCaSource) -> Volume {
    let item = |key: &str| {
        Some(vec![KeyToPath { key: key.to_owned(), path: CA_FILE.to_owned(), ..KeyToPath::default() }])
    };
    let mut volume = Volume { name: CA_VOLUME.to_owned(), ..Volume::default() };
    match ca {
        TlsCaSource { secret_key_ref: Some(reference), .. } => {
            volume.secret = Some(SecretVolumeSource {
                secret_name: Some(reference.name.clone()),
                items: item(&reference.key),
                optional: Some(true),
                ..SecretVolumeSource::default()
            });
        }
        TlsCaSource { config_map_key_ref: Some(reference), .. } => {
            volume.config_map = Some(ConfigMapVolumeSource {
                name: reference.name.clone(),
                items: item(&reference.key),
                optional: Some(true),
                ..ConfigMapVolumeSource::default()
            });
        }
        TlsCaSource { secret_key_ref: None, config_map_key_ref: None } => {
            volume.empty_dir = Some(EmptyDirVolumeSource::default());
        }
    }
    volume
}

/// The same for the object store.
fn store_keys(keys: &StoreKeys) -> Vec<EnvVar> {
    let credentials = keys.credentials.as_ref();
    let sources = [
        (env::S3_ACCESS_KEY_ID, credentials.map(|credentials| &credentials.access_key_id)),
        (env::S3_SECRET_ACCESS_KEY, credentials.map(|credentials| &credentials.secret_access_key)),
        (env::S3_SESSION_TOKEN, credentials.and_then(|credentials| credentials.session_token.as_ref())),
        (env::DECRYPTION_KEY, keys.decryption_key.as_ref()),
    ];
    let references = sources.into_iter().filter_map(|(name, source)| {
        let reference = source?.value_from.as_ref()?.secret_key_ref.as_ref()?;
        Some(secret(name, reference))
    });
    references.collect()
}

fn value(name: &str, text: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(text.into()), value_from: None }
}

fn secret(name: &str, reference: &SecretKeyRef) -> EnvVar {
    let selector =
        SecretKeySelector { name: reference.name.clone(), key: reference.key.clone(), optional: Some(true) };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

/// What a driver needs that makes or drops a database, or that moves its data. Set always, because a namespace
/// with a quota asks for it.
fn default_resources(moves_data: bool) -> ResourceRequirements {
    let (cpu, memory, limit) = if moves_data { ("50m", "64Mi", "256Mi") } else { ("25m", "32Mi", "128Mi") };
    let quantities = |pairs: &[(&str, &str)]| -> BTreeMap<String, Quantity> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), Quantity((*text).to_owned()))).collect()
    };
    ResourceRequirements {
        requests: Some(quantities(&[("cpu", cpu), ("memory", memory)])),
        limits: Some(quantities(&[("memory", limit)])),
        claims: None,
    }
}
