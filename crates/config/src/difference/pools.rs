//! What changes of pools, server by server.

use std::collections::HashMap;

use evenkeel_types::BackendId;
use toml::Table;

use super::change::{Change, Subject};
use super::effect::Effect;
use super::leaves::leaves;
use super::tree::Tree;
use crate::declare::Declared;
use crate::model::{Backend, Pool};
use crate::show::Lines;

/// Keys that hold for connections to servers that are opened after the reload.
const OF_CONNECTIONS: [&str; 6] =
    ["tls", "protocol", "proxy_protocol", "bind_from", "tcp_keepalive", "keepalive"];

pub(super) fn compare(before: &Tree<'_>, after: &Tree<'_>, changes: &mut Vec<Change>) {
    let (old, new) = (&before.config.pools, &after.config.pools);
    let (was, is) = (by_name(old), by_name(new));
    for pool in old {
        let name = pool.name.as_str();
        let Some(then) = is.get(name).copied() else {
            changes.push(whole(pool, before, false));
            continue;
        };
        servers(pool, then, changes);
        let (Some(was), Some(is)) = (before.named("pool", name), after.named("pool", name)) else { continue };
        keys(pool, was, is, changes);
    }
    changes.extend(
        new.iter().filter(|pool| !was.contains_key(pool.name.as_str())).map(|pool| whole(pool, after, true)),
    );
}

fn by_name(pools: &[Pool]) -> HashMap<&str, &Pool> {
    pools.iter().map(|pool| (pool.name.as_str(), pool)).collect()
}

/// A pool that comes or goes.
fn whole(pool: &Pool, tree: &Tree<'_>, comes: bool) -> Change {
    let name = &pool.name;
    let table = tree.named("pool", name.as_str()).map(|table| toml::Value::from(table.clone()).to_string());
    let count = pool.backends.len();
    let servers = match count {
        0 => "servers that it discovers".into(),
        1 => format!("server {}", pool.backends[0].id),
        _ => format!("{count} servers"),
    };
    let verb = if comes { "added" } else { "removed" };
    Change {
        subject: Subject::Pool(name.clone()),
        key: String::new(),
        before: table.clone().filter(|_| !comes),
        after: table.filter(|_| comes),
        sentence: format!("pool {name} is {verb}, with {servers}"),
        effect: if comes { Effect::Joins } else { Effect::Drains },
    }
}

fn keys(pool: &Pool, before: &Table, after: &Table, changes: &mut Vec<Change>) {
    let (mut before, mut after) = (before.clone(), after.clone());
    // They are compared one by one.
    for table in [&mut before, &mut after] {
        table.remove("backends");
    }
    for leaf in leaves(&before, &after) {
        let first = leaf.path.split(['.', '[']).next().unwrap_or_default();
        let is_of_connections = OF_CONNECTIONS.contains(&first);
        let effect = if is_of_connections { Effect::NewServerConnections } else { Effect::NewRequests };
        changes.push(leaf.change(Subject::Pool(pool.name.clone()), &format!("pool {}: ", pool.name), effect));
    }
}

fn servers(old: &Pool, new: &Pool, changes: &mut Vec<Change>) {
    let name = &old.name;
    let (was, is) = (positions(old), positions(new));
    for server in &old.backends {
        match is.get(&server.id).map(|at| &new.backends[*at]) {
            None => changes.push(server_whole(old, server, false)),
            Some(then) if then != server => server_keys(old, server, then, changes),
            Some(_) => {}
        }
    }
    let is_new = |server: &&Backend| !was.contains_key(&server.id);
    changes.extend(new.backends.iter().filter(is_new).map(|server| server_whole(new, server, true)));
    let order: Vec<usize> = old.backends.iter().filter_map(|server| is.get(&server.id).copied()).collect();
    if !order.is_sorted() {
        changes.push(Change {
            subject: Subject::Pool(name.clone()),
            key: "backends".into(),
            before: None,
            after: None,
            sentence: format!("pool {name}: the servers stand in another order"),
            effect: Effect::NewRequests,
        });
    }
}

fn positions(pool: &Pool) -> HashMap<&BackendId, usize> {
    pool.backends.iter().enumerate().map(|(at, server)| (&server.id, at)).collect()
}

fn table(server: &Backend) -> Table {
    let mut lines = Lines::default();
    server.show_table(&mut lines);
    lines.values().join("\n").parse().expect("what `show` writes is TOML")
}

fn server_whole(pool: &Pool, server: &Backend, comes: bool) -> Change {
    let Backend { id, address, weight, .. } = server;
    let is_named = id.as_str() != address.to_string();
    let mut facts: Vec<String> = is_named.then(|| address.to_string()).into_iter().collect();
    if *weight != 1 {
        facts.push(format!("weight {weight}"));
    }
    if server.backup {
        facts.push("a backup".into());
    }
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    let verb = if comes { "added" } else { "removed" };
    let text = toml::Value::from(table(server)).to_string();
    Change {
        subject: Subject::Server(pool.name.clone(), id.clone()),
        key: String::new(),
        before: (!comes).then(|| text.clone()),
        after: comes.then_some(text),
        sentence: format!("pool {}: server {id}{facts} is {verb}", pool.name),
        effect: if comes { Effect::Joins } else { Effect::Drains },
    }
}

fn server_keys(pool: &Pool, old: &Backend, new: &Backend, changes: &mut Vec<Change>) {
    for leaf in leaves(&table(old), &table(new)) {
        // Another address is another server under the same name.
        let effect = if leaf.path == "address" { Effect::Joins } else { Effect::NewRequests };
        let subject = Subject::Server(pool.name.clone(), old.id.clone());
        let prefix = format!("pool {}: server {}: ", pool.name, old.id);
        changes.push(leaf.change(subject, &prefix, effect));
    }
}
