//! Reads what limits clients and mirrors requests: `rate_limit`, `limits`, `mirror` and `[redis]`.

use std::collections::HashSet;

use super::table::{Table, clip};
use super::text::{Read, Refused, cookie_name, header_name};
use crate::diagnostic::Diagnostic;
use crate::model::{
    Action, BodyMax, FileOwner, LimitKey, ListenerLimits, Mirror, RateLimit, Redis, RedisAway, Route,
    RouteLimits,
};

/// The limits of a route, all with names.
pub(super) fn rate_limits(table: &Table<'_>) -> Vec<RateLimit> {
    let mut taken: HashSet<String> = HashSet::new();
    let read = table.list("rate_limit", |value| {
        let below = value.table()?;
        Some((rate_limit(&below)?, below.value("name").map(|name| name.span)))
    });
    let mut limits = Vec::with_capacity(read.len());
    for (limit, name) in read {
        if let Some(span) = name
            && !taken.insert(limit.name.clone())
        {
            table.reader.note(
                Diagnostic::error(format!("two limits of this route are called `{}`", limit.name))
                    .at(span)
                    .with_expected("expected a name that no other limit of the route has"),
            );
        }
        limits.push(limit);
    }
    for limit in limits.iter_mut().filter(|limit| limit.name.is_empty()) {
        let per: Vec<String> = limit.per.iter().map(ToString::to_string).collect();
        let base = per.join("+");
        let numbered = (2..).map(|number| format!("{base}#{number}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name));
        limit.name = name.unwrap_or(base);
        taken.insert(limit.name.clone());
    }
    limits
}

fn rate_limit(table: &Table<'_>) -> Option<RateLimit> {
    let mut per = table.list("per", |value| value.read(limit_key));
    let twice = per.iter().enumerate().find(|(at, key)| per[..*at].contains(key));
    if let (Some((_, key)), Some(span)) = (twice, table.key_span("per")) {
        table.reader.note(
            Diagnostic::warning(format!("`{key}` stands twice in `per`"))
                .at(span)
                .with_expected("once is enough"),
        );
    }
    if per.is_empty() {
        per.push(LimitKey::ClientIp);
    }
    let shared = table.boolean("shared");
    no_effect(table, "when_redis_is_away", !shared, "only with `shared = true`");
    no_effect(table, "ipv6_prefix", !per.contains(&LimitKey::ClientIp), "only with `per = \"client-ip\"`");
    if shared {
        table.reader.links().shared_limits.push(table.key_span("shared").unwrap_or(table.at.clone()));
    }
    let rate = table.value("rate")?.rate()?;
    Some(RateLimit {
        name: table.value("name").and_then(|value| value.name()).unwrap_or_default().into(),
        per,
        rate,
        burst: match table.value("burst") {
            Some(value) => u32::try_from(value.integer()?).ok()?,
            None => rate.per_second(),
        },
        ipv6_prefix: u8::try_from(table.small("ipv6_prefix")).unwrap_or(128),
        dry_run: table.boolean("dry_run"),
        shared,
        when_redis_is_away: match table.word("when_redis_is_away") {
            "allow" => RedisAway::Allow,
            "refuse" => RedisAway::Refuse,
            _ => RedisAway::Local,
        },
        keys_max: table.count("keys_max"),
    })
}

fn no_effect(table: &Table<'_>, key: &str, holds: bool, expected: &str) {
    if let Some(span) = table.key_span(key).filter(|_| holds) {
        table.reader.note(
            Diagnostic::warning(format!("`{key}` has no effect here")).at(span).with_expected(expected),
        );
    }
}

/// `client-ip`, `route`, `host`, `header:NAME` or `cookie:NAME`.
fn limit_key(text: &str) -> Read<LimitKey> {
    match text.split_once(':') {
        None if text == "client-ip" => Ok(LimitKey::ClientIp),
        None if text == "route" => Ok(LimitKey::Route),
        None if text == "host" => Ok(LimitKey::Host),
        Some(("header", name)) => header_name(name).map(LimitKey::Header),
        Some(("cookie", name)) => cookie_name(name).map(LimitKey::Cookie),
        _ => Err(Refused(
            format!("`{}` is nothing to count by", clip(text)),
            "write `client-ip`, `route`, `host`, `header:NAME` or `cookie:NAME`".into(),
        )),
    }
}

/// `limits` of a route.
pub(super) fn route(table: &Table<'_>) -> RouteLimits {
    let Some(table) = table.table("limits") else { return RouteLimits::default() };
    let narrowed = |key: &'static str, read: u64| {
        let span = table.value(key).map(|value| value.span).unwrap_or_default();
        table.reader.links().narrowed.push((key, read, span));
        usize::try_from(read).ok()
    };
    RouteLimits {
        request_head: table
            .value("request_head")
            .and_then(|value| value.size())
            .and_then(|bytes| narrowed("request_head", bytes)),
        headers: table
            .value("headers")
            .and_then(|value| value.integer())
            .and_then(|number| narrowed("headers", number)),
        request_body: match table.value("request_body") {
            None => BodyMax::Inherited,
            Some(value) if value.is_word("off") => BodyMax::Unlimited,
            Some(value) => value.size().map_or(BodyMax::Inherited, BodyMax::Bytes),
        },
    }
}

/// `mirror` of a route.
pub(super) fn mirror(table: &Table<'_>) -> Option<Mirror> {
    let table = table.table("mirror")?;
    let pool = table.pool_use("pool")?;
    Some(Mirror { pool, percent: table.small("percent"), body: table.bytes("body") })
}

/// Notes a mirror that gives the servers that answer a request a copy of it as well.
pub(super) fn check_mirror(route: &Route, table: &Table<'_>) {
    let (Some(Mirror { pool, .. }), Action::Pool(own)) = (&route.mirror, &route.action) else { return };
    if let Some(span) = table.key_span("mirror").filter(|_| pool == own) {
        table.reader.note(
            Diagnostic::warning(format!("pool `{pool}` gets these requests twice"))
                .at(span)
                .with_expected("the route's own pool"),
        );
    }
}

/// `limits` of a listener.
pub(super) fn listener(table: &Table<'_>) -> ListenerLimits {
    let Some(table) = table.table("limits") else { return ListenerLimits::default() };
    ListenerLimits {
        connections_per_client: table
            .value("connections_per_client")
            .and_then(|value| value.integer())
            .and_then(|number| u32::try_from(number).ok()),
        requests_per_connection: table.value("requests_per_connection").and_then(|value| value.rate()),
    }
}

/// `[redis]`
pub(super) fn redis(root: &Table<'_>) -> Option<Redis> {
    let table = root.table("redis")?;
    table.reader.links().redis = root.key_span("redis");
    Some(Redis {
        url: table.value("url")?.read(redis_url)?,
        timeout: table.duration("timeout"),
        prefix: match table.value("prefix") {
            Some(value) => value.read(prefix)?,
            None => table.default("prefix").into(),
        },
        password_file: table.file(&FileOwner::Process, "password_file"),
    })
}

fn prefix(text: &str) -> Read<String> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.into());
    }
    Err(Refused("a prefix has visible ASCII alone".into(), "write `evenkeel:`, for example".into()))
}

/// `redis://[USER@]HOST[:PORT][/DATABASE]`
fn redis_url(text: &str) -> Read<String> {
    let refuse = |message: &str, help: &str| Err(Refused(message.into(), help.into()));
    let Some(rest) = text.strip_prefix("redis://") else {
        return refuse("the URL of a Redis begins with `redis://`", "TLS to Redis is not supported");
    };
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return refuse("a password does not belong into the URL", "write it into a file: `password_file`");
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (place, "6379"),
    };
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    let fits = !host.is_empty()
        && host.bytes().all(is_host)
        && host.contains(':') == host.starts_with('[')
        && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && port.parse::<u16>().is_ok_and(|port| port > 0)
        && (database.is_empty() || database.parse::<u16>().is_ok());
    if fits {
        return Ok(text.into());
    }
    let help = "write `redis://127.0.0.1:6379/0`: host, port, and the number of a database";
    Err(Refused(format!("`{}` is not the URL of a Redis", clip(text)), help.into()))
}
