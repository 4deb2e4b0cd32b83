//! Reads `[listener.NAME]`.

use evenkeel_types::Address;

use super::table::Table;
use super::text::network;
use crate::model::{Listener, ListenerTimeout};

pub(super) fn read(name: &str, table: &Table<'_>) -> Listener {
    table.word("protocol");
    let pool = table.pool_use("pool");
    let trusted_proxies = table.list("trusted_proxies", |value| value.read(network));
    let timeout = timeouts(table);
    let bind = table.list("bind", |value| {
        let address = value.address(Address::listener)?;
        table.reader.links().binds.push((address.clone(), value.span.clone()));
        Some(address)
    });
    table.reader.links().listeners.push(table.at.clone());
    Listener { name: name.into(), bind, pool, trusted_proxies, timeout }
}

fn timeouts(table: &Table<'_>) -> ListenerTimeout {
    table.with("timeout", |timeout| ListenerTimeout {
        head: timeout.duration("head"),
        body: timeout.duration("body"),
        idle: timeout.duration("idle"),
        write: timeout.duration("write"),
    })
}
