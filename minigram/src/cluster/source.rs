//! Which node a backup is copied from.

use anyhow::Context;

use super::endpoints::Endpoints;
use super::http::http_client;
use super::patroni::{is, leader};

/// Where a backup is copied from.
#[derive(Debug)]
pub struct Source {
    /// The node: a replica, best one that no write waits for; the primary if there is no other.
    pub node: String,
    /// The port of its PostgreSQL.
    pub port: u16,
    /// The port of the primary.
    pub primary: u16,
}

/// Looks for the node to copy a backup from.
pub async fn source(endpoints: &Endpoints) -> anyhow::Result<Source> {
    let client = http_client()?;
    let leader = leader(&client, &endpoints.patroni).await.context("PostgreSQL has no primary")?;
    let mut replicas = Vec::new();
    for (name, port) in &endpoints.patroni {
        if is(&client, *port, "replica").await {
            replicas.push(name.clone());
        }
    }
    replicas.sort_by_key(|name| Some(name) == leader.synchronous.as_ref());
    let node = replicas.into_iter().next().unwrap_or(leader.name);
    let port = *endpoints.postgres.get(&node).context("the node has no port")?;
    Ok(Source { node, port, primary: leader.port })
}
