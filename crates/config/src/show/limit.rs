//! What limits clients and mirrors requests, as TOML.

use super::{Lines, list, quote, time};
use crate::model::{BodyMax, LimitKey, ListenerLimits, Mirror, RateLimit, Redis, Route, RouteLimits};
use crate::value::{show_rate, show_size};

pub(super) fn redis(out: &mut Lines, redis: Option<&Redis>) {
    let Some(redis) = redis else { return };
    out.header("[redis]");
    out.line("url", quote(&redis.url));
    out.line("timeout", time(redis.timeout));
    out.line("prefix", quote(&redis.prefix));
    match &redis.password_file {
        Some(path) => out.line("password_file", super::path(path)),
        None => out.comment("no password_file: no password"),
    }
}

pub(super) fn route(out: &mut Lines, route: &Route) {
    if route.rate_limits.is_empty() {
        out.comment("no rate_limit");
    } else {
        out.line("rate_limit", list(&route.rate_limits, rate_limit));
    }
    limits_line(out, &route.limits.to_toml(), "those of the process");
    match &route.mirror {
        Some(Mirror { pool, percent, body }) => {
            let (pool, body) = (quote(pool.as_str()), size(*body as u64));
            out.line("mirror", format_args!("{{ pool = {pool}, percent = {percent}, body = {body} }}"));
        }
        None => out.comment("no mirror"),
    }
}

impl RouteLimits {
    /// Those that are set, as keys of TOML.
    pub fn to_toml(&self) -> Vec<String> {
        let head = self.request_head.map(|max| format!("request_head = {}", size(max as u64)));
        let headers = self.headers.map(|max| format!("headers = {max}"));
        let body = match self.request_body {
            BodyMax::Inherited => None,
            BodyMax::Unlimited => Some("request_body = \"off\"".into()),
            BodyMax::Bytes(max) => Some(format!("request_body = {}", size(max))),
        };
        [head, headers, body].into_iter().flatten().collect()
    }
}

pub(super) fn listener(out: &mut Lines, limits: &ListenerLimits) {
    let mut parts = Vec::new();
    parts.extend(limits.connections_per_client.map(|max| format!("connections_per_client = {max}")));
    let rate = limits.requests_per_connection;
    parts.extend(rate.map(|rate| format!("requests_per_connection = {}", quote(&show_rate(rate)))));
    limits_line(out, &parts, "a client may have any number of connections and requests");
}

fn limits_line(out: &mut Lines, parts: &[String], without: &str) {
    if parts.is_empty() {
        out.comment(format_args!("no limits: {without}"));
    } else {
        out.line("limits", format_args!("{{ {} }}", parts.join(", ")));
    }
}

fn rate_limit(limit: &RateLimit) -> String {
    let per = list(&limit.per, |key| quote(&key.to_string()));
    let mut parts = vec![
        format!("per = {per}"),
        format!("rate = {}", quote(&show_rate(limit.rate))),
        format!("burst = {}", limit.burst),
    ];
    if limit.per.contains(&LimitKey::ClientIp) {
        parts.push(format!("ipv6_prefix = {}", limit.ipv6_prefix));
    }
    parts.push(format!("dry_run = {}, shared = {}", limit.dry_run, limit.shared));
    if limit.shared {
        parts.push(format!("when_redis_is_away = {}", quote(limit.when_redis_is_away.as_str())));
    }
    parts.push(format!("keys_max = {}", limit.keys_max));
    // One that was made of `per` is made of it again, and may be none that could be written.
    if !limit.name.contains([':', '+', '#']) {
        parts.push(format!("name = {}", quote(&limit.name)));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn size(bytes: u64) -> String {
    quote(&show_size(bytes))
}
