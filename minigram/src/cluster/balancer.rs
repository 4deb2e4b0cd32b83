//! Evenkeel before the databases: fixed ports for what moves from server to server.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Value};

use super::endpoints::Endpoints;
use super::http::http_client;
use super::layout::Layout;
use super::members::Members;
use super::settings::ClusterSettings;

/// A whole configuration file with example addresses.
const TEMPLATE: &str = include_str!("../../evenkeel/databases.toml");
/// The file that is made of it, in the state directory.
const FILE: &str = "evenkeel-databases.toml";
/// How long the balancer may take until each pool has a server.
const READY_BOUND: Duration = Duration::from_secs(30);
/// The pools, with the number of servers that each needs to be complete.
const POOLS: [&str; 4] = ["db-primary", "db-replicas", "sessions", "queue"];

/// Starts it; returns when every pool has a server.
pub async fn start(
    layout: &Layout,
    members: &Members,
    settings: &ClusterSettings,
    endpoints: &Endpoints,
) -> anyhow::Result<()> {
    let file = write(layout, endpoints)?;
    let program = layout.program("evenkeel-databases", &settings.evenkeel).directory(layout.root());
    let (client, url) = (http_client()?, format!("http://127.0.0.1:{}/metrics", endpoints.balancer_admin));
    members
        .start_ready(program.args(["run".as_ref(), "-c".as_ref(), file.as_os_str()]), READY_BOUND, || async {
            let Ok(response) = client.get(&url).send().await else { return false };
            let Ok(text) = response.text().await else { return false };
            POOLS.iter().all(|pool| up(&text, pool) > 0)
        })
        .await
}

/// The servers of a pool that may be used, as the metrics say.
fn up(metrics: &str, pool: &str) -> u64 {
    let begin = format!("evenkeel_pool_backends_up{{pool=\"{pool}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&begin)?.parse().ok());
    value.unwrap_or(0)
}

fn write(layout: &Layout, endpoints: &Endpoints) -> anyhow::Result<PathBuf> {
    // The checks' passwords; the balancer runs as the user of this process.
    layout.secret_file("evenkeel")?;
    layout.secret_file("redis")?;
    let file = layout.root().join(FILE);
    std::fs::write(&file, configuration(endpoints)?)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}

/// The template with the addresses of these endpoints.
fn configuration(endpoints: &Endpoints) -> anyhow::Result<String> {
    let mut document: DocumentMut = TEMPLATE.parse().context("the template is no TOML")?;
    let own = |port: u16| Value::from(format!("127.0.0.1:{port}"));
    set(&mut document, &["admin", "bind"], own(endpoints.balancer_admin))?;
    let listeners = [
        ("postgres", endpoints.write),
        ("postgres-replicas", endpoints.read),
        ("sessions", endpoints.sessions),
        ("queue", endpoints.queue),
    ];
    for (listener, port) in listeners {
        set(&mut document, &["listener", listener, "bind"], own(port))?;
    }
    let pools = [
        ("db-primary", &endpoints.postgres),
        ("db-replicas", &endpoints.postgres),
        ("sessions", &endpoints.redis),
        ("queue", &endpoints.nats),
    ];
    for (pool, servers) in pools {
        let mut backends = Array::new();
        for (name, port) in servers {
            let mut server = InlineTable::new();
            server.insert("name", name.as_str().into());
            server.insert("address", own(*port));
            backends.push(server);
        }
        set(&mut document, &["pool", pool, "backends"], backends.into())?;
    }
    Ok(document.to_string())
}

/// Replaces a value that the template has.
fn set(document: &mut DocumentMut, path: &[&str], mut value: Value) -> anyhow::Result<()> {
    let found = path.iter().try_fold(document.as_item_mut(), |item, key| item.get_mut(key));
    let old = found
        .and_then(Item::as_value_mut)
        .with_context(|| format!("the template has no {}", path.join(".")))?;
    *value.decor_mut() = old.decor().clone();
    *old = value;
    Ok(())
}
