//! Memory of the operator's pods, and sizes of our images.

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::table::Table;

/// What the operator's pods have resident now, as the kubelet says.
pub(crate) async fn operator(client: &Client, when: &str, table: &mut Table) -> Result<()> {
    for node in nodes(client).await? {
        let path = format!("/api/v1/nodes/{}/proxy/stats/summary", node.name_any());
        let summary: Value = client.request(http::Request::get(path).body(Vec::new())?).await?;
        for pod in summary.pointer("/pods").and_then(Value::as_array).into_iter().flatten() {
            if pod.pointer("/podRef/namespace").is_some_and(|namespace| namespace == e2e::OPERATOR_NAMESPACE)
            {
                let bytes = pod.pointer("/containers/0/memory/rssBytes").and_then(Value::as_f64);
                table.figure(
                    &format!("operator, idle {when}: resident memory"),
                    &format!("{:.1} MiB", bytes.unwrap_or(f64::NAN) / 1_048_576.0),
                    "goal 4 MiB or less",
                );
            }
        }
    }
    Ok(())
}

/// How large the images are that we ship.
pub(crate) async fn images(client: &Client, table: &mut Table) -> Result<()> {
    for node in nodes(client).await? {
        for image in node.status.and_then(|status| status.images).unwrap_or_default() {
            let ours = image.names.unwrap_or_default().into_iter().find(|name| name.contains("db-operator"));
            if let (Some(name), Some(bytes)) = (ours, image.size_bytes) {
                #[expect(clippy::cast_precision_loss, reason = "sizes of images are far below 2^52")]
                let size = format!("{:.1} MB", bytes as f64 / 1e6);
                let goal =
                    if name.contains("-backup:") { "goal 40 MB or less" } else { "goal 15 MB or less" };
                table.figure(&format!("image {name}"), &size, goal);
            }
        }
    }
    Ok(())
}

/// For how many pods the nodes have room.
pub(crate) async fn room(client: &Client) -> Result<String> {
    let mut rooms = Vec::new();
    for node in nodes(client).await? {
        let room = node.status.and_then(|status| status.allocatable).unwrap_or_default();
        let of = |what: &str| room.get(what).map_or("?", |quantity| quantity.0.as_str());
        rooms.push(format!("{} pods, cpu {}, memory {}", of("pods"), of("cpu"), of("memory")));
    }
    Ok(rooms.join("; "))
}

async fn nodes(client: &Client) -> Result<Vec<Node>> {
    Ok(Api::<Node>::all(client.clone()).list(&ListParams::default()).await?.items)
}
