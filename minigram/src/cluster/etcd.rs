//! etcd, in which Patroni keeps who the primary is.

use std::time::Duration;

use super::layout::Layout;
use super::members::Members;
use crate::process::Ports;

/// How long it may take to be ready.
const READY_BOUND: Duration = Duration::from_secs(30);

/// Starts it; its port for clients.
pub async fn start(layout: &Layout, ports: &Ports, members: &Members) -> anyhow::Result<u16> {
    let (client, peer) = (ports.port("etcd")?, ports.port("etcd-peer")?);
    let (client_url, peer_url) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let program = layout
        .engine("etcd", super::doctor::path_of("etcd")?)
        .directory(layout.folder("etcd")?)
        .args(["--name", "etcd-1", "--data-dir", "data", "--logger", "zap", "--log-outputs", "stderr"])
        .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
        .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
        .args(["--initial-cluster", &format!("etcd-1={peer_url}")])
        // Old revisions are dropped: Patroni writes one each second.
        .args(["--auto-compaction-retention", "10m", "--quota-backend-bytes", "268435456"]);
    let client_of_it = super::http::http_client()?;
    let health = format!("{client_url}/health");
    members
        .start_ready(program, READY_BOUND, || async {
            let Ok(response) = client_of_it.get(&health).send().await else { return false };
            response.text().await.is_ok_and(|text| text.contains("\"true\""))
        })
        .await?;
    Ok(client)
}
