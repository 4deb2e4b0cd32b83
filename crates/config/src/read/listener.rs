//! Reads `[listener.NAME]`.

use evenkeel_types::Address;

use super::limit;
use super::table::Table;
use super::text::network;
use super::tls;
use crate::diagnostic::Diagnostic;
use crate::model::{FileOwner, HttpVersions, Listener, ListenerTimeout};

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
    let tls = table.table("tls").map(|below| tls::listener(&FileOwner::Listener(name.into()), &below));
    let redirect_to_https = redirect_to_https(table);
    table.reader.links().listeners.push(table.at.clone());
    let http = http_versions(table);
    let limits = limit::listener(table);
    Listener { name: name.into(), bind, pool, trusted_proxies, http, tls, redirect_to_https, timeout, limits }
}

fn http_versions(table: &Table<'_>) -> HttpVersions {
    let named = table.list("http", |value| value.word());
    let takes = |version: &str| named.is_empty() || named.contains(&version);
    HttpVersions { http1: takes("1.1"), http2: takes("2") }
}

fn redirect_to_https(table: &Table<'_>) -> bool {
    let redirects = table.boolean("redirect_to_https");
    if redirects
        && table.has("tls")
        && let Some(span) = table.key_span("redirect_to_https")
    {
        table.reader.note(
            Diagnostic::error("a listener with `tls` would redirect to itself")
                .at(span)
                .with_expected("only on a listener without `tls`")
                .with_help("move it to the listener that clients reach by `http://`"),
        );
    }
    if redirects && let Some(span) = table.key_span("pool") {
        table.reader.note(
            Diagnostic::warning("`pool` has no effect with `redirect_to_https`")
                .at(span)
                .with_expected("every request is redirected"),
        );
    }
    redirects
}

fn timeouts(table: &Table<'_>) -> ListenerTimeout {
    table.with("timeout", |timeout| ListenerTimeout {
        head: timeout.duration("head"),
        body: timeout.duration("body"),
        idle: timeout.duration("idle"),
        write: timeout.duration("write"),
    })
}
