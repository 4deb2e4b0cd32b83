//! Reads `[pool.NAME]`.

use std::collections::HashMap;

use evenkeel_types::{Address, BackendId};

use super::table::{Table, clip};
use super::text::{Refused, cookie_name, header_name};
use super::value::Value;
use super::{health, outlier, protect, tls};
use crate::diagnostic::{Diagnostic, Span};
use crate::model::{Algorithm, Backend, FileOwner, HashKey, Pool, PoolProtocol, PoolTimeout, Probe, Sticky};

pub(super) fn read(name: &str, table: &Table<'_>) -> Pool {
    let pool = Pool {
        name: name.into(),
        algorithm: algorithm(table),
        backends: backends(name, table),
        protocol: match table.word("protocol") {
            "http2" => PoolProtocol::Http2,
            _ => PoolProtocol::Http1,
        },
        tls: table.value("tls").and_then(|value| tls::pool(&FileOwner::Pool(name.into()), value)),
        keepalive: table.count("keepalive"),
        sticky: table.table("sticky").and_then(|sticky| self::sticky(&sticky)),
        health: table.table("health").map(|health| health::read(&health)),
        outlier: table.table("outlier").map(|outlier| outlier::read(&outlier)),
        panic: table.percent("panic"),
        slow_start: outlier::slow_start(table),
        breaker: protect::breaker(table),
        server_breaker: protect::server_breaker(table),
        queue: protect::queue(table),
        concurrency: protect::concurrency(table),
        timeout: table.with("timeout", |timeout| PoolTimeout {
            connect: timeout.duration("connect"),
            response: timeout.duration("response"),
            idle: timeout.duration("idle"),
        }),
    };
    let asks_grpc = matches!(pool.health.as_ref().map(|health| &health.probe), Some(Probe::Grpc { .. }));
    if let Some(span) = table.key_span("health").filter(|_| asks_grpc && pool.protocol == PoolProtocol::Http1)
    {
        table.reader.note(
            Diagnostic::error("gRPC is spoken over HTTP/2")
                .at(span)
                .with_expected("only with `protocol = \"http2\"`")
                .with_help("add `protocol = \"http2\"` to the pool"),
        );
    }
    outlier::check(table, &pool);
    protect::check(&pool, table);
    table.reader.links().pools.push(table.at.clone());
    pool
}

fn algorithm(table: &Table<'_>) -> Algorithm {
    let word = table.word("algorithm");
    let written = table.value("hash_key");
    let hashes = matches!(word, "consistent-hash" | "maglev");
    if let Some(span) = table.key_span("hash_key").filter(|_| !hashes) {
        table.reader.note(
            Diagnostic::error(format!("`hash_key` has no effect with the algorithm `{word}`"))
                .at(span)
                .with_expected("only with `consistent-hash` and `maglev`")
                .with_help("add `algorithm = \"consistent-hash\"`, or leave `hash_key` out"),
        );
    }
    let key = written.and_then(|value| value.read(hash_key)).unwrap_or(HashKey::ClientIp);
    match word {
        "least-connections" => Algorithm::LeastConnections,
        "least-response-time" => Algorithm::LeastResponseTime,
        "power-of-two" => Algorithm::PowerOfTwo,
        "ip-hash" => Algorithm::IpHash,
        "consistent-hash" => Algorithm::ConsistentHash(key),
        "maglev" => Algorithm::Maglev(key),
        "random" => Algorithm::Random,
        _ => Algorithm::RoundRobin,
    }
}

fn hash_key(text: &str) -> Result<HashKey, Refused> {
    match text.split_once(':') {
        None if text == "client-ip" => Ok(HashKey::ClientIp),
        None if text == "path" => Ok(HashKey::Path),
        Some(("header", name)) => header_name(name).map(HashKey::Header),
        Some(("cookie", name)) => cookie_name(name).map(HashKey::Cookie),
        _ => Err(Refused(
            format!("`{}` is not a hash key", clip(text)),
            "write `client-ip`, `path`, `header:NAME` or `cookie:NAME`".into(),
        )),
    }
}

fn backends(pool: &str, table: &Table<'_>) -> Vec<Backend> {
    let read: Vec<(Backend, Span)> = table.list("backends", |value| {
        let span = value.span.clone();
        Some((backend(value)?, span))
    });
    let mut first: HashMap<&BackendId, &Backend> = HashMap::new();
    for (backend, span) in &read {
        let Some(other) = first.insert(&backend.id, backend) else { continue };
        let help = if other.address == backend.address {
            "raise its `weight` to send it more; to have it twice, give each a `name`"
        } else {
            "give each a `name` of its own"
        };
        table.reader.note(
            Diagnostic::error(format!("two servers of pool `{}` are called `{}`", clip(pool), backend.id))
                .at(span.clone())
                .with_expected("expected a server that is not yet in the list")
                .with_help(help),
        );
    }
    let backends: Vec<Backend> = read.into_iter().map(|(backend, _)| backend).collect();
    if !backends.is_empty() && !backends.iter().any(|backend| !backend.backup && backend.weight > 0) {
        table.reader.note(
            Diagnostic::error(format!("no server of pool `{}` takes requests", clip(pool)))
                .at(table.key_span("backends").unwrap_or_else(|| table.at.clone()))
                .with_expected("expected one that is no backup, and has a weight above zero"),
        );
    }
    backends
}

fn backend(value: Value<'_>) -> Option<Backend> {
    if !value.is_table() {
        let address = value.either(false).address(Address::backend)?;
        return Some(Backend {
            id: address.to_string().into(),
            address,
            weight: 1,
            backup: false,
            max_connections: None,
        });
    }
    let table = value.either(true).table()?;
    let name = table.value("name").and_then(|value| value.name());
    let weight = table.small("weight");
    let backup = table.boolean("backup");
    let max_connections = table.value("max_connections").and_then(|value| value.integer());
    let max_connections = max_connections.and_then(|max| u32::try_from(max).ok());
    let address = table.value("address")?.address(Address::backend)?;
    let id = name.map_or_else(|| address.to_string().into(), BackendId::from);
    Some(Backend { id, address, weight, backup, max_connections })
}

fn sticky(table: &Table<'_>) -> Option<Sticky> {
    let ttl = table.value("ttl");
    if let Some(span) = table.key_span("ttl").filter(|_| !table.has("cookie")) {
        table.reader.note(
            Diagnostic::error("`ttl` is the lifetime of a cookie that the balancer issues")
                .at(span)
                .with_expected("only with `cookie`"),
        );
    }
    if let Some(value) = table.value("cookie") {
        let ttl = ttl.and_then(|value| {
            let ttl = value.duration()?;
            if ttl.subsec_nanos() == 0 { Some(ttl) } else { value.refuse("`ttl` is in whole seconds", "") }
        });
        return Some(Sticky::Cookie { name: value.read(cookie_name)?, ttl });
    }
    if let Some(value) = table.value("header") {
        return value.read(header_name).map(Sticky::Header);
    }
    table.value("app_cookie")?.read(cookie_name).map(Sticky::AppCookie)
}
