//! What the tests of databases have in common: pools in front of real servers, and how they look at them.

use serde_json::Value;

use crate::support::engines::{Cluster, Node};
use crate::support::{Evenkeel, Folder, eventually};

/// The balancer in front of a cluster: `db-primary` follows the primary, `db-replicas` has the replicas.
pub fn before(cluster: &Cluster, of_replicas: &str) -> Evenkeel {
    let folder = Folder::new();
    let secret = folder.write("secret", Cluster::PASSWORD);
    let (nodes, login) = (&cluster.nodes, login("probe", &secret));
    let config = format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"db-primary\"\n{}{}",
        pool("db-primary", nodes, &format!("role = \"primary\", {login}")),
        pool("db-replicas", nodes, &format!("role = \"replica\", {login}, {of_replicas}")),
    );
    Evenkeel::start_in(folder, &config)
}

/// The same for clients of the database: a tcp listener `writes` in front of `db-primary`, and `reads` in front of `db-replicas`.
pub fn before_listeners(cluster: &Cluster, of_primary: &str) -> Evenkeel {
    let folder = Folder::new();
    let secret = folder.write("secret", Cluster::PASSWORD);
    let (nodes, login) = (&cluster.nodes, login("probe", &secret));
    let listener = |name: &str, pool: &str| {
        format!("[listener.{name}]\nbind = [\"127.0.0.1:0\"]\nprotocol = \"tcp\"\npool = \"{pool}\"\n")
    };
    let config = format!(
        "{}{}{}{of_primary}\n{}",
        listener("writes", "db-primary"),
        listener("reads", "db-replicas"),
        pool("db-primary", nodes, &format!("role = \"primary\", {login}")),
        pool("db-replicas", nodes, &format!("role = \"replica\", {login}, lag_max = \"64KiB\"")),
    );
    Evenkeel::start_in(folder, &config)
}

/// How the checks sign in.
pub fn login(user: &str, secret: &str) -> String {
    format!(
        "user = \"{user}\", password_file = \"{secret}\", interval = \"100ms\", timeout = \"300ms\", fall = 2"
    )
}

/// A pool of these servers.
pub fn pool(name: &str, nodes: &[Node], keys: &str) -> String {
    let server =
        |node: &Node| format!("{{ address = \"127.0.0.1:{}\", name = \"{}\" }}", node.port(), node.name());
    let servers: Vec<String> = nodes.iter().map(server).collect();
    let keys = keys.trim_end_matches(", ");
    format!(
        "[pool.{name}]\nbackends = [{}]\nhealth = {{ kind = \"postgres\", {keys} }}\n",
        servers.join(", ")
    )
}

/// Waits until the servers of a pool are in these states, as in `a up, b unfit`.
#[track_caller]
pub fn wait_for_states(evenkeel: &Evenkeel, pool: &str, expected: &str) {
    let mut seen = String::new();
    let states = |pool: &Value| {
        let servers = pool["servers"].as_array().unwrap().iter();
        let state = |server: &Value| {
            format!("{} {}", server["id"].as_str().unwrap(), server["state"].as_str().unwrap())
        };
        servers.map(state).collect::<Vec<_>>().join(", ")
    };
    eventually(&format!("{pool}: {expected}"), || {
        let status = evenkeel.status();
        let pool = status["pools"].as_array().unwrap().iter().find(|it| it["name"] == pool).unwrap();
        let now = states(pool);
        if now != seen {
            eprintln!("{}: {now}", pool["name"]);
            seen.clone_from(&now);
        }
        now == expected
    });
}

/// Why a server is in its state.
pub fn reason(evenkeel: &Evenkeel, pool: &str, server: &str) -> String {
    evenkeel.server(pool, server)["reason"].as_str().unwrap().to_owned()
}

/// Waits until this is why a server is in its state.
#[track_caller]
pub fn wait_for_reason(evenkeel: &Evenkeel, pool: &str, server: &str, expected: &str) {
    let mut seen = String::new();
    eventually(&format!("{pool} {server}: {expected}"), || {
        let now = reason(evenkeel, pool, server);
        if now != seen {
            eprintln!("{pool} {server}: {now}");
            seen.clone_from(&now);
        }
        now.contains(expected)
    });
}
