//! Where a value, such as a user name or a password, comes from.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The administrator's login on the server. db-operator creates databases and logins with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// User name of the administrator.
    pub username: ValueSource,
    /// Password of the administrator.
    pub password: ValueSource,
}

/// A value: written down here, or read from where `valueFrom` says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)").message("set exactly one of value and valueFrom"))]
pub struct ValueSource {
    /// The value itself. Whoever can read this object can read it: for a password, prefer `valueFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub value: Option<String>,
    /// Where to read the value from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

impl std::fmt::Debug for ValueSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The value may be a password, and specs get logged.
        f.debug_struct("ValueSource")
            .field("value", &self.value.as_ref().map(|_| "<redacted>"))
            .field("value_from", &self.value_from)
            .finish()
    }
}

/// Where to read a value from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.awsSecretKeyRef)").message("set exactly one of secretKeyRef and awsSecretKeyRef"))]
pub struct ValueFrom {
    /// A key of a Secret in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// A key of a JSON secret in AWS Secrets Manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_secret_key_ref: Option<AwsSecretKeyRef>,
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A key of a ConfigMap in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the ConfigMap's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

impl std::fmt::Display for SecretKeyRef {
    /// As [`env::from`](crate::env::from) has it: `NAME/KEY`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.key)
    }
}

impl std::fmt::Display for ConfigMapKeyRef {
    /// As [`env::from`](crate::env::from) has it: `configmap/NAME/KEY`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "configmap/{}/{}", self.name, self.key)
    }
}

/// A key of a JSON secret in AWS Secrets Manager.
///
/// The region is taken from the ARN. The driver's pod authenticates by web identity (IRSA) or by the
/// standard `AWS_*` variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsSecretKeyRef {
    /// ARN of the secret, such as `arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf`.
    #[schemars(
        length(max = 2048),
        regex(pattern = r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$")
    )]
    pub arn: String,
    /// Key in the secret's JSON object.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
