//! What Patroni's REST API says of the nodes: which of them is the primary, and whether the others follow it.

use std::collections::BTreeMap;

use serde_json::Value;

/// The nodes.
pub const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];
/// Who may change the state of a node by the API; the password is the secret `patroni`.
pub const PATRONI_USER: &str = "minigram";

/// The ports of the nodes.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// PostgreSQL itself.
    pub postgres: BTreeMap<String, u16>,
    /// Patroni's REST API.
    pub patroni: BTreeMap<String, u16>,
}

/// What one of the nodes says about the cluster.
#[derive(Debug)]
pub struct Leader {
    /// The node that is the primary.
    pub name: String,
    /// The port of its PostgreSQL.
    pub port: u16,
    /// The node that has every acknowledged write, if there is one.
    pub synchronous: Option<String>,
    /// True if all other nodes follow it.
    pub is_complete: bool,
}

/// Asks the nodes for the primary; `None` if none of them is it now, whatever etcd has noted.
pub async fn leader(client: &reqwest::Client, patroni: &BTreeMap<String, u16>) -> Option<Leader> {
    let (mut primary, mut replicas) = (None, 0);
    for port in patroni.values() {
        if is(client, *port, "primary").await {
            primary = Some(port);
        } else if is(client, *port, "replica").await {
            replicas += 1;
        }
    }
    let url = format!("http://127.0.0.1:{}/cluster", primary?);
    let cluster = client.get(url).send().await.ok()?.json::<Value>().await.ok()?;
    let leader = read(&cluster)?;
    Some(Leader { is_complete: leader.is_complete && replicas == NODES.len() - 1, ..leader })
}

/// True if a node says that PostgreSQL runs on it in this role.
pub async fn is(client: &reqwest::Client, port: u16, role: &str) -> bool {
    let response = client.get(format!("http://127.0.0.1:{port}/{role}")).send().await;
    response.is_ok_and(|response| response.status().is_success())
}

fn read(cluster: &Value) -> Option<Leader> {
    let members = cluster["members"].as_array()?;
    let with_role = |role: &str| members.iter().find(|it| it["role"] == role);
    let leader = with_role("leader")?;
    let name = |member: &Value| Some(member["name"].as_str()?.to_owned());
    let follows = |it: &&Value| it["role"] != "leader" && it["timeline"] == leader["timeline"];
    let synchronous = with_role("sync_standby").and_then(name);
    Some(Leader {
        name: name(leader)?,
        port: leader["port"].as_u64()?.try_into().ok()?,
        is_complete: synchronous.is_some() && members.iter().filter(follows).count() == NODES.len() - 1,
        synchronous,
    })
}
