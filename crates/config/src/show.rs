//! The effective configuration as TOML, defaults filled in: reading it back yields the same [`Config`].

mod limit;
mod protect;
mod retry;
mod tls;

use std::fmt::{Display, Write};
use std::path::Path;
use std::time::Duration;

use crate::model::{
    AccessLog, Action, Admin, Algorithm, Backend, Config, HashKey, HeaderEdits, Health, HostMatch,
    HttpVersions, Limits, Listener, Log, LogFormat, Outlier, PathMatch, Pool, PoolProtocol, Probe, Redirect,
    Respond, Rewrite, Route, Server, Sticky,
};
use crate::read::{is_derived, show_path};
use crate::value::{show_duration, show_size};

impl Config {
    /// The effective configuration as TOML. Every default is written out; what has no value stands as a comment.
    pub fn to_toml(&self) -> String {
        let mut out = Lines(String::new());
        server(&mut out, &self.server);
        admin(&mut out, &self.admin);
        log(&mut out, &self.log);
        limits(&mut out, &self.limits);
        limit::redis(&mut out, self.redis.as_ref());
        protect::overload(&mut out, &self.overload);
        self.listeners.iter().for_each(|it| listener(&mut out, it));
        self.routes.iter().for_each(|it| route(&mut out, it));
        self.pools.iter().for_each(|it| pool(&mut out, it));
        out.0
    }
}

/// The lines written so far.
struct Lines(String);

impl Lines {
    fn header(&mut self, header: impl Display) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{gap}{header}");
    }

    fn line(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn comment(&mut self, text: impl Display) {
        let _ = writeln!(self.0, "# {text}");
    }
}

fn server(out: &mut Lines, server: &Server) {
    out.header("[server]");
    match server.workers {
        Some(workers) => out.line("workers", workers),
        None => out.line("workers", quote("auto")),
    }
    out.line("grace", time(server.grace));
    match &server.secret_file {
        Some(path) => out.line("secret_file", quote(&path.to_string_lossy())),
        None => out.comment("no secret_file: a key that every Evenkeel knows"),
    }
}

fn admin(out: &mut Lines, admin: &Admin) {
    out.header("[admin]");
    match &admin.bind {
        // Written out it would be a demand, and a port in use an error.
        Some(bind) if !admin.explicit => {
            out.comment(format_args!("bind = {} by default", quote(&bind.to_string())))
        }
        Some(bind) => out.line("bind", quote(&bind.to_string())),
        None => out.line("bind", quote("off")),
    }
    match &admin.token_file {
        Some(path) => out.line("token_file", quote(&path.to_string_lossy())),
        None => out.comment("no token_file: no token is asked for"),
    }
}

fn log(out: &mut Lines, log: &Log) {
    out.header("[log]");
    out.line(
        "access",
        match &log.access {
            AccessLog::Off => quote("off"),
            AccessLog::Stdout => quote("stdout"),
            AccessLog::File(path) => quote(&path.to_string_lossy()),
        },
    );
    let format = match log.format {
        LogFormat::Json => "json",
        LogFormat::Combined => "combined",
    };
    out.line("format", quote(format));
}

fn limits(out: &mut Lines, limits: &Limits) {
    out.header("[limits]");
    out.line("connections", limits.connections);
    out.line("request_head", quote(&show_size(limits.request_head as u64)));
    out.line("headers", limits.headers);
    out.line("uri", quote(&show_size(limits.uri as u64)));
    out.line("request_body", quote(&limits.request_body.map_or_else(|| "off".into(), show_size)));
    out.line("body_rate", quote(&show_size(limits.body_rate)));
}

fn listener(out: &mut Lines, listener: &Listener) {
    out.header(format_args!("[listener.{}]", name(listener.name.as_str())));
    out.line("bind", list(&listener.bind, |address| quote(&address.to_string())));
    out.line("protocol", quote("http"));
    match &listener.pool {
        Some(pool) => out.line("pool", quote(pool.as_str())),
        None => out.comment("no pool: 404 when no route takes a request"),
    }
    if listener.trusted_proxies.is_empty() {
        out.comment("no trusted_proxies");
    } else {
        out.line("trusted_proxies", list(&listener.trusted_proxies, |net| quote(&net.to_string())));
    }
    let HttpVersions { http1, http2 } = listener.http;
    let versions: Vec<&str> =
        [(http1, "1.1"), (http2, "2")].iter().filter(|it| it.0).map(|it| it.1).collect();
    out.line("http", list(&versions, |version| quote(version)));
    match &listener.tls {
        Some(it) => tls::listener(out, it),
        None => out.comment("no tls: cleartext"),
    }
    out.line("redirect_to_https", listener.redirect_to_https);
    let timeout = &listener.timeout;
    out.line(
        "timeout",
        format_args!(
            "{{ head = {}, body = {}, idle = {}, write = {} }}",
            time(timeout.head),
            time(timeout.body),
            time(timeout.idle),
            time(timeout.write)
        ),
    );
    limit::listener(out, &listener.limits);
}

fn route(out: &mut Lines, route: &Route) {
    out.header("[[route]]");
    if is_derived(&route.name) {
        out.comment(format_args!("name: {}", route.name));
    } else {
        out.line("name", quote(route.name.as_str()));
    }
    let mut some = |key: &str, items: Vec<String>| {
        if !items.is_empty() {
            out.line(key, format_args!("[{}]", items.join(", ")));
        }
    };
    some("listener", route.listeners.iter().map(|it| quote(it.as_str())).collect());
    some("host", route.hosts.iter().map(host).collect());
    some("method", route.methods.iter().map(|it| quote(it)).collect());
    some("client", route.clients.iter().map(|it| quote(&it.to_string())).collect());
    match &route.path {
        PathMatch::Regex(_) => out.line("path_regex", quote(&show_path(&route.path))),
        path => out.line("path", quote(&show_path(path))),
    }
    if !route.headers.is_empty() {
        out.line("headers", pairs(&route.headers));
    }
    if !route.query.is_empty() {
        out.line("query", pairs(&route.query));
    }
    action(out, &route.action);
    match &route.rewrite {
        None => {}
        Some(Rewrite::StripPrefix(prefix)) => {
            out.line("rewrite", format_args!("{{ strip_prefix = {} }}", quote(prefix)))
        }
        Some(Rewrite::ReplacePath(path)) => out.line("rewrite", format_args!("{{ path = {} }}", quote(path))),
        Some(Rewrite::ReplacePrefix(prefix)) => {
            let path = show_path(&PathMatch::Prefix(prefix.clone()));
            out.line("rewrite", format_args!("{{ path = {} }}", quote(&path)));
        }
    }
    edits(out, "request_headers", &route.request_headers);
    edits(out, "response_headers", &route.response_headers);
    protect::priority(out, route.priority);
    // Beside an answer of our own a timeout would have no effect, which is worth a warning.
    if matches!(route.action, Action::Pool(_) | Action::Split(_)) {
        let request = route.timeout.request.map_or_else(|| quote("off"), time);
        out.line("timeout", format_args!("{{ request = {request}, idle = {} }}", time(route.timeout.idle)));
        retry::route(out, route);
    }
    limit::route(out, route);
}

fn action(out: &mut Lines, action: &Action) {
    match action {
        Action::Pool(pool) => out.line("pool", quote(pool.as_str())),
        Action::Split(shares) => out.line(
            "split",
            list(shares, |(pool, weight)| {
                format!("{{ pool = {}, weight = {weight} }}", quote(pool.as_str()))
            }),
        ),
        Action::Redirect(Redirect { to, status }) => {
            out.line("redirect", format_args!("{{ to = {}, status = {status} }}", quote(to)));
        }
        Action::Respond(Respond { status, body, content_type }) => out.line(
            "respond",
            format_args!(
                "{{ status = {status}, body = {}, content_type = {} }}",
                quote(body),
                quote(content_type)
            ),
        ),
    }
}

fn edits(out: &mut Lines, key: &str, edits: &HeaderEdits) {
    let mut parts = Vec::new();
    if !edits.set.is_empty() {
        parts.push(format!("set = {}", pairs(&edits.set)));
    }
    if !edits.add.is_empty() {
        parts.push(format!("add = {}", pairs(&edits.add)));
    }
    if !edits.remove.is_empty() {
        parts.push(format!("remove = {}", list(&edits.remove, |name| quote(name))));
    }
    if !parts.is_empty() {
        out.line(key, format_args!("{{ {} }}", parts.join(", ")));
    }
}

fn pool(out: &mut Lines, pool: &Pool) {
    out.header(format_args!("[pool.{}]", name(pool.name.as_str())));
    algorithm(out, &pool.algorithm);
    let backends: String = pool.backends.iter().map(|it| format!("  {},\n", backend(it))).collect();
    out.line("backends", format_args!("[\n{backends}]"));
    let protocol = match pool.protocol {
        PoolProtocol::Http1 => "http1",
        PoolProtocol::Http2 => "http2",
    };
    out.line("protocol", quote(protocol));
    match &pool.tls {
        Some(it) => out.line("tls", tls::pool(it)),
        None => out.line("tls", false),
    }
    out.line("keepalive", pool.keepalive);
    match &pool.sticky {
        None => out.comment("no sticky: every request chooses anew"),
        Some(Sticky::Cookie { name, ttl: None }) => {
            out.line("sticky", format_args!("{{ cookie = {} }}", quote(name)))
        }
        Some(Sticky::Cookie { name, ttl: Some(ttl) }) => {
            out.line("sticky", format_args!("{{ cookie = {}, ttl = {} }}", quote(name), time(*ttl)));
        }
        Some(Sticky::Header(name)) => out.line("sticky", format_args!("{{ header = {} }}", quote(name))),
        Some(Sticky::AppCookie(name)) => {
            out.line("sticky", format_args!("{{ app_cookie = {} }}", quote(name)))
        }
    }
    match &pool.health {
        Some(it) => out.line("health", health(it)),
        None => out.comment("no health: no active checks"),
    }
    match &pool.outlier {
        Some(it) => {
            out.line("outlier", outlier(it));
            // Without passive checks it would be refused, for it has no effect.
            out.line("panic", percent(pool.panic));
        }
        None => out.comment("no outlier: no passive checks"),
    }
    out.line("slow_start", pool.slow_start.map_or_else(|| quote("off"), time));
    protect::pool(out, pool);
    let timeout = &pool.timeout;
    out.line(
        "timeout",
        format_args!(
            "{{ connect = {}, response = {}, idle = {} }}",
            time(timeout.connect),
            time(timeout.response),
            time(timeout.idle)
        ),
    );
}

fn algorithm(out: &mut Lines, algorithm: &Algorithm) {
    let (word, key) = match algorithm {
        Algorithm::RoundRobin => ("round-robin", None),
        Algorithm::LeastConnections => ("least-connections", None),
        Algorithm::LeastResponseTime => ("least-response-time", None),
        Algorithm::PowerOfTwo => ("power-of-two", None),
        Algorithm::IpHash => ("ip-hash", None),
        Algorithm::ConsistentHash(key) => ("consistent-hash", Some(key)),
        Algorithm::Maglev(key) => ("maglev", Some(key)),
        Algorithm::Random => ("random", None),
    };
    out.line("algorithm", quote(word));
    match key {
        None => {}
        Some(HashKey::ClientIp) => out.line("hash_key", quote("client-ip")),
        Some(HashKey::Path) => out.line("hash_key", quote("path")),
        Some(HashKey::Header(name)) => out.line("hash_key", quote(&format!("header:{name}"))),
        Some(HashKey::Cookie(name)) => out.line("hash_key", quote(&format!("cookie:{name}"))),
    }
}

fn backend(backend: &Backend) -> String {
    let address = backend.address.to_string();
    // An id that is the address need not, and perhaps cannot, be a name.
    let name = if backend.id.as_str() == address {
        String::new()
    } else {
        format!("name = {}, ", quote(backend.id.as_str()))
    };
    let max = backend.max_connections.map(|max| format!(", max_connections = {max}")).unwrap_or_default();
    format!(
        "{{ address = {}, {name}weight = {}, backup = {}{max} }}",
        quote(&address),
        backend.weight,
        backend.backup
    )
}

fn health(health: &Health) -> String {
    let probe =
        match &health.probe {
            Probe::Tcp => "kind = \"tcp\"".to_owned(),
            Probe::Grpc { service } => format!("kind = \"grpc\", service = {}", quote(service)),
            Probe::Http { path, host, expect } => {
                let host = host.as_ref().map(|host| format!("host = {}, ", quote(host))).unwrap_or_default();
                let expect = list(expect, |(first, last)| {
                    if first == last { first.to_string() } else { format!("\"{first}-{last}\"") }
                });
                format!("kind = \"http\", path = {}, {host}expect = {expect}", quote(path))
            }
        };
    format!(
        "{{ {probe}, interval = {}, timeout = {}, fall = {}, rise = {}, start_period = {} }}",
        time(health.interval),
        time(health.timeout),
        health.fall,
        health.rise,
        time(health.start_period)
    )
}

fn outlier(it: &Outlier) -> String {
    let mut parts = format!(
        "failures = {}, window = {}, eject = {}, max_ejected = {}",
        it.failures,
        time(it.window),
        time(it.eject),
        percent(it.max_ejected)
    );
    // `{:?}` writes a fraction even where it is zero.
    for (key, factor) in [("success_rate", it.success_rate), ("latency", it.latency)] {
        let _ = factor.map(|factor| write!(parts, ", {key} = {factor:?}"));
    }
    if it.compares() {
        let _ = write!(parts, ", requests_min = {}", it.requests_min);
    }
    format!("{{ {parts} }}")
}

fn percent(hundredths: u32) -> String {
    quote(&format!("{hundredths}%"))
}

fn host(host: &HostMatch) -> String {
    match host {
        HostMatch::Exact(host) => quote(host),
        HostMatch::Wildcard(suffix) => quote(&format!("*{suffix}")),
    }
}

fn time(duration: Duration) -> String {
    quote(&show_duration(duration))
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
}

fn pairs(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{} = {}", name(key), quote(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// A key: bare where TOML allows it.
fn name(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { key.into() } else { quote(key) }
}

/// A basic string of TOML, on one line.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
