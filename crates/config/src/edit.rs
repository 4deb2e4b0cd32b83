//! Changes of servers and shares written into the text of a configuration file, whose comments and layout stay.

mod array;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use evenkeel_types::Address;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::model::Backend;

/// A change that can be written into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A server that a pool is to have.
    AddServer {
        /// The pool.
        pool: String,
        /// The server.
        server: Backend,
    },
    /// A server that a pool is to have no longer.
    RemoveServer {
        /// The pool.
        pool: String,
        /// The id of the server.
        id: String,
    },
    /// Another weight of a server.
    Weight {
        /// The pool.
        pool: String,
        /// The id of the server.
        id: String,
        /// The weight.
        weight: u32,
    },
    /// Another weight of each pool of a route's `split`.
    Split {
        /// The position of the route among those of the file.
        route: usize,
        /// The weights by pool.
        weights: Vec<(String, u32)>,
    },
}

/// Writes changes into the text of a file.
///
/// # Errors
/// The text is not TOML, or does not have what is to be changed, in words.
pub fn edit(text: &str, edits: &[Edit]) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("this is not TOML: {error}"))?;
    for edit in edits {
        apply(&mut document, edit)?;
    }
    Ok(document.to_string())
}

fn apply(document: &mut DocumentMut, edit: &Edit) -> Result<(), String> {
    match edit {
        Edit::AddServer { pool, server } => add(pool_of(document, pool)?, server),
        Edit::RemoveServer { pool, id } => {
            let missing = || format!("pool {pool} of the file has no server {id}");
            match pool_of(document, pool)?.get_mut("backends") {
                Some(Item::Value(Value::Array(servers))) => {
                    let at = servers.iter().position(|it| value_id(it) == *id).ok_or_else(missing)?;
                    array::remove(servers, at);
                }
                Some(Item::ArrayOfTables(servers)) => {
                    let at = servers.iter().position(|it| table_id(it) == *id).ok_or_else(missing)?;
                    servers.remove(at);
                }
                _ => return Err(missing()),
            }
            Ok(())
        }
        Edit::Weight { pool, id, weight } => {
            let missing = || format!("pool {pool} of the file has no server {id}");
            match pool_of(document, pool)?.get_mut("backends") {
                Some(Item::Value(Value::Array(servers))) => {
                    let server = servers.iter_mut().find(|it| value_id(it) == *id).ok_or_else(missing)?;
                    weigh(server, *weight);
                }
                Some(Item::ArrayOfTables(servers)) => {
                    let server = servers.iter_mut().find(|it| table_id(*it) == *id).ok_or_else(missing)?;
                    set(server, "weight", i64::from(*weight).into());
                }
                _ => return Err(missing()),
            }
            Ok(())
        }
        Edit::Split { route, weights } => split(document, *route, weights),
    }
}

/// The table of a pool, whichever way it is written.
fn pool_of<'d>(document: &'d mut DocumentMut, pool: &str) -> Result<&'d mut dyn TableLike, String> {
    let pools = document.get_mut("pool").and_then(Item::as_table_like_mut);
    let found = pools.and_then(|pools| pools.get_mut(pool)).and_then(Item::as_table_like_mut);
    found.ok_or_else(|| format!("the file has no pool {pool}"))
}

fn add(pool: &mut dyn TableLike, server: &Backend) -> Result<(), String> {
    match pool.get_mut("backends") {
        Some(Item::Value(Value::Array(servers))) => array::push(servers, written(server)),
        Some(Item::ArrayOfTables(servers)) => push_table(servers, server),
        None => {
            pool.insert("backends", Item::Value(Array::from_iter([written(server)]).into()));
        }
        Some(_) => return Err("`backends` is no list".into()),
    }
    Ok(())
}

fn push_table(servers: &mut ArrayOfTables, server: &Backend) {
    let mut table = Table::new();
    for (key, value) in keys(server) {
        table.insert(key, Item::Value(value));
    }
    servers.push(table);
}

/// A server as people write it: the address alone where that says all.
fn written(server: &Backend) -> Value {
    let keys = keys(server);
    match <[(&str, Value); 1]>::try_from(keys) {
        Ok([(_, address)]) => address,
        Err(keys) => keys.into_iter().collect::<InlineTable>().into(),
    }
}

/// The keys of a server that are not at their defaults.
fn keys(server: &Backend) -> Vec<(&'static str, Value)> {
    let Backend { address, weight, id, backup, max_connections } = server;
    let address = address.to_string();
    let name = Some(id.as_str()).filter(|id| *id != address).map(|id| ("name", Value::from(id)));
    let mut keys = vec![("address", Value::from(&address))];
    keys.extend(name);
    keys.extend((*weight != 1).then(|| ("weight", Value::from(i64::from(*weight)))));
    keys.extend(backup.then(|| ("backup", Value::from(true))));
    keys.extend(max_connections.map(|max| ("max_connections", Value::from(i64::from(max)))));
    keys
}

/// The id of a server of a list.
fn value_id(server: &Value) -> String {
    match server {
        Value::InlineTable(table) => table_id(table),
        address => address_id(Some(address)),
    }
}

fn table_id(server: &dyn TableLike) -> String {
    let name = server.get("name").and_then(Item::as_str);
    let address = server.get("address").and_then(Item::as_value);
    name.map_or_else(|| address_id(address), str::to_owned)
}

/// The id of a server without a name: its address in full.
fn address_id(address: Option<&Value>) -> String {
    let text = match address {
        Some(Value::String(text)) => text.value().clone(),
        Some(Value::Integer(port)) => port.value().to_string(),
        _ => return String::new(),
    };
    Address::backend(&text).map_or(text, |address| address.to_string())
}

fn weigh(server: &mut Value, weight: u32) {
    let weight = Value::from(i64::from(weight));
    if let Value::InlineTable(table) = server {
        return set(table, "weight", weight);
    }
    let decor = server.decor().clone();
    let mut address = server.clone();
    address.decor_mut().clear();
    let table: InlineTable = [("address", address), ("weight", weight)].into_iter().collect();
    *server = table.into();
    *server.decor_mut() = decor;
}

/// Sets a key; what stands around its value stays.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    if let Some(Item::Value(before)) = table.get_mut(key) {
        *value.decor_mut() = before.decor().clone();
        *before = value;
        return;
    }
    // The blank before the brace of a table on one line.
    if let Some((_, Item::Value(last))) = table.iter_mut().last() {
        let suffix = last.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default().to_owned();
        if !suffix.is_empty() && suffix.bytes().all(|byte| byte == b' ') {
            last.decor_mut().set_suffix("");
            value.decor_mut().set_prefix(" ");
            value.decor_mut().set_suffix(suffix);
        }
    }
    table.insert(key, Item::Value(value));
}

fn split(document: &mut DocumentMut, route: usize, weights: &[(String, u32)]) -> Result<(), String> {
    let missing = || "the file has no such `split`".to_owned();
    let split = match document.get_mut("route") {
        Some(Item::ArrayOfTables(routes)) => routes.get_mut(route).and_then(|route| route.get_mut("split")),
        Some(Item::Value(Value::Array(routes))) => {
            let route = routes.get_mut(route).and_then(Value::as_inline_table_mut);
            let split = route.and_then(|route| route.get_mut("split")).ok_or_else(missing)?;
            return shares(split.as_array_mut().ok_or_else(missing)?, weights);
        }
        _ => None,
    };
    match split.ok_or_else(missing)? {
        Item::Value(Value::Array(split)) => shares(split, weights),
        Item::ArrayOfTables(split) => {
            for share in split.iter_mut() {
                weigh_share(share, weights);
            }
            Ok(())
        }
        _ => Err(missing()),
    }
}

fn shares(split: &mut Array, weights: &[(String, u32)]) -> Result<(), String> {
    for share in split.iter_mut() {
        let share = share.as_inline_table_mut().ok_or("a share of a `split` is no table")?;
        weigh_share(share, weights);
    }
    Ok(())
}

fn weigh_share(share: &mut dyn TableLike, weights: &[(String, u32)]) {
    let pool = share.get("pool").and_then(Item::as_str);
    let weight = pool.and_then(|pool| weights.iter().find(|(of, _)| of == pool)).map(|(_, weight)| *weight);
    if let Some(weight) = weight {
        set(share, "weight", i64::from(weight).into());
    }
}
