//! What the cluster's own logs know better than its API: when a container started, and who asked what.
//!
//! They are there on the proving ground alone; elsewhere these figures are left out.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Result;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// The folder of the proving ground's logs, from `AUDIT_LOG` of `.cluster/env.sh`.
pub(crate) struct Logs {
    audit: PathBuf,
    containerd: PathBuf,
}

impl Logs {
    pub(crate) fn find() -> Option<Self> {
        let audit = PathBuf::from(std::env::var_os("AUDIT_LOG")?);
        let containerd = audit.with_file_name("containerd.log");
        (audit.exists() && containerd.exists()).then_some(Self { audit, containerd })
    }

    /// When containerd had started each container, by its id.
    pub(crate) fn container_starts(&self) -> Result<HashMap<String, Timestamp>> {
        let log = std::fs::read_to_string(&self.containerd)?;
        Ok(log.lines().filter_map(started).collect())
    }

    /// Requests since `begin` that touch `namespace`, as user, verb and resource.
    pub(crate) fn requests(
        &self,
        namespace: &str,
        begin: Timestamp,
    ) -> Result<Vec<(String, String, String)>> {
        let log = std::fs::read_to_string(&self.audit)?;
        let mut requests = Vec::new();
        for line in log.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let text =
                |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let after =
                text("/requestReceivedTimestamp").parse::<Timestamp>().is_ok_and(|time| time >= begin);
            if after && text("/stage") == "ResponseComplete" && text("/objectRef/namespace") == namespace {
                let subresource = text("/objectRef/subresource");
                let resource = if subresource.is_empty() {
                    text("/objectRef/resource")
                } else {
                    format!("{}/{subresource}", text("/objectRef/resource"))
                };
                requests.push((text("/user/username"), text("/verb"), resource));
            }
        }
        Ok(requests)
    }
}

/// The container whose start a line of containerd's log reports, and when.
fn started(line: &str) -> Option<(String, Timestamp)> {
    let (before, after) = line.split_once("StartContainer for \\\"")?;
    let (id, rest) = after.split_once("\\\"")?;
    let time = before.split('"').nth(1)?.parse().ok()?;
    rest.starts_with(" returns successfully").then(|| (id.to_owned(), time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containerd_says_when_a_container_had_started() {
        let line = r#"time="2026-11-21T04:44:27.961Z" level=info msg="StartContainer for \"0123\" returns successfully""#;
        let time = "2026-11-21T04:44:27.961Z".parse().unwrap();
        assert_eq!(started(line), Some(("0123".to_owned(), time)));
        assert_eq!(started(&line.replace(" returns successfully", "")), None, "it begins");
    }
}
