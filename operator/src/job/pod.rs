//! The pod that does the work: Pod Security `restricted`, and one container.

use std::collections::BTreeMap;

use api::{DRIVER_SERVICE_ACCOUNT, DriverPodTemplate};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, KeyToPath, PodSecurityContext, PodSpec,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::environment;
use super::parts::{Settings, StoreKeys, Worker};
use crate::decision::Launch;
use crate::seen::references::Authorities;
use crate::subject::Subject;

/// Name of the container, by which a Job's failure policy knows it.
pub const CONTAINER: &str = "driver";

/// The program of the operator's image that lets objects go.
pub const RELEASE_PROGRAM: &str = "/db-operator-release";

/// The volume with the authorities of the object store, whose client takes them from a file.
const CA_VOLUME: &str = "store-ca";
/// Where it is mounted.
const CA_FOLDER: &str = "/etc/db-operator/store";
/// The file in it. Of a folder, only files that are named as by a hash are read.
const CA_FILE: &str = "00000000.0";
/// Where images have the authorities that the public web trusts, which other connections need beside it.
const PUBLIC_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What the platform team sets on the pods of a worker.
pub(super) fn template(worker: Worker<'_>) -> DriverPodTemplate {
    match worker {
        Worker::Driver(driver) => driver.spec.pod_template.clone().unwrap_or_default(),
        Worker::Release => DriverPodTemplate::default(),
    }
}

/// The pod of the Job `job`.
pub(super) fn spec(
    object: Subject<'_>,
    worker: Worker<'_>,
    launch: &Launch,
    keys: &StoreKeys,
    job: &str,
    settings: &Settings,
) -> PodSpec {
    let moves_data = object.moves_data(launch.operation);
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
    } = template(worker);
    let mut variables = environment::of(object, worker, launch, keys, job, settings);
    let store_ca = keys.store.authorities.as_ref();
    let authorities = store_ca.map(|_| environment::authorities(PUBLIC_CA, CA_FOLDER));
    let authorities = authorities.map(Vec::from).unwrap_or_default();
    variables.extend(environment::of_platform(env, &authorities));
    variables.extend(authorities);
    let resources = if moves_data { backup_resources } else { resources };
    let resources = resources.unwrap_or_else(|| default_resources(moves_data));
    let volume_mounts = store_ca.map(|_| {
        vec![VolumeMount {
            name: CA_VOLUME.to_owned(),
            mount_path: CA_FOLDER.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]
    });
    let container = match worker {
        Worker::Driver(driver) => Container {
            image: Some(driver.image(moves_data).to_owned()),
            image_pull_policy: driver.spec.image_pull_policy.clone(),
            command: (!driver.spec.command.is_empty()).then(|| driver.spec.command.clone()),
            args: (!driver.spec.args.is_empty()).then(|| driver.spec.args.clone()),
            ..Container::default()
        },
        Worker::Release => Container {
            image: Some(settings.release_image.clone()),
            command: Some(vec![RELEASE_PROGRAM.to_owned()]),
            ..Container::default()
        },
    };
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        service_account_name: Some(account(worker, settings)),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(30),
        // Which user is the image's to say, or the platform's: a number here would shut OpenShift's default out.
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
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
        volumes: store_ca.map(|authorities| vec![ca_volume(authorities)]),
        containers: vec![Container {
            name: CONTAINER.to_owned(),
            env: Some(variables),
            resources: Some(resources),
            volume_mounts,
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
                ..SecurityContext::default()
            }),
            ..container
        }],
        ..PodSpec::default()
    }
}

fn account(worker: Worker<'_>, settings: &Settings) -> String {
    match worker {
        Worker::Driver(driver) => {
            driver.spec.service_account_name.clone().unwrap_or_else(|| DRIVER_SERVICE_ACCOUNT.to_owned())
        }
        Worker::Release => settings.release_service_account.clone(),
    }
}

/// The authorities of the object store. Optional as all that a spec refers to: without them its certificate is not
/// trusted, which the container says.
fn ca_volume(authorities: &Authorities) -> Volume {
    let item = |key: &str| {
        Some(vec![KeyToPath { key: key.to_owned(), path: CA_FILE.to_owned(), ..KeyToPath::default() }])
    };
    let mut volume = Volume { name: CA_VOLUME.to_owned(), ..Volume::default() };
    match authorities {
        Authorities::Secret(reference) => {
            volume.secret = Some(SecretVolumeSource {
                secret_name: Some(reference.name.to_string()),
                items: item(&reference.key),
                optional: Some(true),
                ..SecretVolumeSource::default()
            });
        }
        Authorities::ConfigMap(reference) => {
            volume.config_map = Some(ConfigMapVolumeSource {
                name: reference.name.to_string(),
                items: item(&reference.key),
                optional: Some(true),
                ..ConfigMapVolumeSource::default()
            });
        }
    }
    volume
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

/// Nothing in place of an empty map, as people write it.
pub(super) fn some(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}
