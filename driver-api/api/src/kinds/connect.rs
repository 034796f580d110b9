//! How to reach a database server.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::credentials::{ConfigMapKeyRef, SecretKeyRef};

pub use driver::TlsMode;

/// How to reach the database server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connect {
    /// Host name or IP address, as a pod resolves it. Not a connection pooler in transaction mode: locks
    /// and session settings would be lost.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$"))]
    pub host: String,
    /// TCP port, as a number or a string of digits. Default: the engine's own, such as 5432.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? (self > 0 && self < 65536) : (string(self).matches('^[1-9][0-9]{0,4}$') && int(string(self)) < 65536)").message("port must be a number from 1 to 65535"))]
    pub port: Option<IntOrString>,
    /// Transport security. Default: mode `verify-full` if `ca` is given, else `require`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl Connect {
    /// The port, if one is set and is one. The API server refuses anything else.
    pub fn port(&self) -> Option<u16> {
        match self.port.as_ref()? {
            IntOrString::Int(number) => u16::try_from(*number).ok(),
            IntOrString::String(digits) => digits.parse().ok(),
        }
    }

    /// The TLS mode in force: what `tls.mode` says, else the default.
    pub fn tls_mode(&self) -> TlsMode {
        let tls = self.tls.as_ref();
        tls.and_then(|tls| tls.mode).unwrap_or_else(|| {
            if tls.is_some_and(|tls| tls.ca.is_some()) { TlsMode::VerifyFull } else { TlsMode::Require }
        })
    }
}

/// Transport security between driver and server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.mode) || self.mode != 'verify-ca' || has(self.ca)").message("mode verify-ca needs ca"))]
pub struct Tls {
    /// `disable`: plain text. `require`: encrypted, the certificate is not checked. `verify-ca`: it must be
    /// signed by `ca`. `verify-full`: and it must name the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// The authorities, in PEM, that sign the server's certificate. Default in mode `verify-full`: the public
    /// ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<TlsCa>,
    /// The certificate by which the driver shows who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
}

/// Authorities in PEM: written down here, or read from where `valueFrom` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)").message("set exactly one of value and valueFrom"))]
pub struct TlsCa {
    /// The PEM itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub value: Option<String>,
    /// Where to read the PEM from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<TlsCaSource>,
}

/// Where to read the authorities from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("set exactly one of secretKeyRef and configMapKeyRef"))]
pub struct TlsCaSource {
    /// A key of a Secret in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// A key of a ConfigMap in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
}

impl TlsCaSource {
    /// Where the PEM is, as [`env::from`](crate::env::from) has it.
    pub fn from(&self) -> Option<String> {
        let secret = self.secret_key_ref.as_ref().map(ToString::to_string);
        secret.or_else(|| self.config_map_key_ref.as_ref().map(ToString::to_string))
    }
}

/// The certificate by which the driver shows who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// Name of a Secret of type `kubernetes.io/tls` in the same namespace, with keys `tls.crt` and `tls.key`.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

impl ClientCertificate {
    /// The key of its Secret with the certificate, in PEM.
    pub fn certificate(&self) -> SecretKeyRef {
        SecretKeyRef { name: self.secret_name.clone(), key: "tls.crt".to_owned() }
    }

    /// The key of its Secret with the private key, in PEM.
    pub fn key(&self) -> SecretKeyRef {
        SecretKeyRef { name: self.secret_name.clone(), key: "tls.key".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::credentials::{ConfigMapKeyRef, SecretKeyRef};
    use super::*;

    #[test]
    fn where_a_pem_is_from_tells_a_secret_from_a_config_map() {
        let (name, key) = ("configmap".to_owned(), "ca.crt".to_owned());
        let secret = SecretKeyRef { name: name.clone(), key: key.clone() };
        let map = ConfigMapKeyRef { name, key };
        let from =
            |secret_key_ref, config_map_key_ref| TlsCaSource { secret_key_ref, config_map_key_ref }.from();
        assert_eq!(from(Some(secret), None).unwrap(), "configmap/ca.crt");
        assert_eq!(from(None, Some(map)).unwrap(), "configmap/configmap/ca.crt");
        assert_eq!(from(None, None), None);
        let certificate = ClientCertificate { secret_name: "client".to_owned() };
        assert_eq!(certificate.certificate().to_string(), "client/tls.crt");
        assert_eq!(certificate.key().to_string(), "client/tls.key");
    }
}
