//! What the cluster's own logs know better than its API: when a container started, and who asked what.
//!
//! They are there on the proving ground alone; elsewhere these figures are left out.

use std::path::PathBuf;

use anyhow::{Context, Result};
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

    /// When containerd had started that container.
    pub(crate) fn container_start(&self, id: &str) -> Result<Timestamp> {
        let log = std::fs::read_to_string(&self.containerd)?;
        let needle = format!("StartContainer for \\\"{id}\\\" returns successfully");
        let line =
            log.lines().rev().find(|line| line.contains(&needle)).context("containerd has not started it")?;
        let time = line.split('"').nth(1).context("a line of containerd's log without time")?;
        Ok(time.parse()?)
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
