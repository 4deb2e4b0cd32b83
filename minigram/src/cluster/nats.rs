//! NATS JetStream: three servers, so that a stream with three replicas goes on without one of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::doctor;
use super::http::http_client;
use super::layout::Layout;
use super::members::Members;
use crate::process::{Ports, wait_until};

/// The servers.
pub const SERVERS: [&str; 3] = ["nats-1", "nats-2", "nats-3"];
/// How long they may take to elect a leader.
const READY_BOUND: Duration = Duration::from_secs(60);

/// Starts the servers; their ports for clients, once JetStream is ready on all.
pub async fn start(
    layout: &Layout,
    ports: &Ports,
    members: &Members,
) -> anyhow::Result<BTreeMap<String, u16>> {
    let mut clients = BTreeMap::new();
    let mut monitors = Vec::new();
    let mut routes = Vec::new();
    for name in SERVERS {
        clients.insert(name.to_owned(), ports.port(name)?);
        routes.push(format!("\"nats://127.0.0.1:{}\"", ports.port(&format!("{name}-route"))?));
    }
    for name in SERVERS {
        let folder = layout.folder(name)?;
        let (monitor, route) =
            (ports.port(&format!("{name}-monitor"))?, ports.port(&format!("{name}-route"))?);
        monitors.push(format!("http://127.0.0.1:{monitor}/healthz"));
        let file = folder.join("nats.conf");
        let text = format!(
            "server_name: \"{name}\"\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{monitor}\"\n\
             jetstream {{ store_dir: \"{}\", max_memory_store: 64MB, max_file_store: 1GB }}\n\
             cluster {{ name: \"minigram\", listen: \"127.0.0.1:{route}\", no_advertise: true, routes: [{}] }}\n",
            clients[name],
            folder.display(),
            routes.join(", "),
        );
        layout.write(&file, &text)?;
        let program = layout.engine(name, doctor::path_of("nats-server")?).directory(&folder);
        members.start(program.args(["--config".as_ref(), file.as_os_str()]))?;
    }
    let client = http_client()?;
    for url in &monitors {
        wait_until("NATS is ready; see its log", READY_BOUND, || async {
            client.get(url).send().await.is_ok_and(|response| response.status().is_success())
        })
        .await?;
    }
    Ok(clients)
}
