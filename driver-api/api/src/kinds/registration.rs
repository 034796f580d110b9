//! The `Driver` kind. In Rust it is [`DriverRegistration`], since [`Driver`](crate::Driver) is the trait.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, LocalObjectReference, ResourceRequirements, Toleration};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Registers an engine: the image that does the work, and the pod it runs in.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "db.isotoma.com",
    version = "v1alpha1",
    kind = "Driver",
    root = "DriverRegistration",
    shortname = "dbod",
    category = "db-operator",
    doc = "Registers an engine: the image that does the work, and the pod it runs in.",
    printcolumn(
        name = "Image",
        type_ = "string",
        json_path = ".spec.image",
        description = "The image that does the work"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DriverRegistrationSpec {
    /// The driver's image.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// The driver's image for what moves data: backups and restores. Default: `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub backup_image: Option<String>,
    /// `Always`, `IfNotPresent` or `Never`. Default: Kubernetes' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(Always|IfNotPresent|Never)$"))]
    pub image_pull_policy: Option<String>,
    /// The program. Default: the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Service account of the driver's pods in a Database's namespace. Default: `db-operator-driver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// How long a create or delete Job may take, waiting for its image included. Default: 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 86400))]
    pub active_deadline_seconds: Option<i64>,
    /// The pod that the driver runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<DriverPodTemplate>,
}

/// What a platform team may set on a driver's pods. Its security settings are not among it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriverPodTemplate {
    /// Labels of Job and pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Environment of the container, by name. Names that begin with `DB_OPERATOR_` are ignored.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Requests and limits. Default: 25m CPU and 32Mi requested, 128Mi memory limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Requests and limits of what moves data. Default: 50m CPU and 64Mi requested, 256Mi memory limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_resources: Option<ResourceRequirements>,
    /// Secrets with which the image is pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Nodes to run on, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Scheduling preferences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}
