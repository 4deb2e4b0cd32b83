//! `health` of a pool: active checks, what one does and how often.

use std::path::Path;
use std::time::Duration;

use super::database::{DatabaseRole, OF_DATABASES, PostgresProbe, RedisProbe, RoleRule, WhenAllLag};
use crate::declare::{Field, Rules, Setting, declared, keys, list, section, words};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Is, Means};
use crate::keys::syntax::{
    DATABASE_NAME, FILE, GRPC_SERVICE, HEADER_NAME, HEADER_VALUE, PROBE_BODY, PROBE_HOST, PROBE_METHOD,
    PROBE_PATH, STATUSES,
};
use crate::keys::{DAY_MS, DURATION, Kind, Section, flat, key};
use crate::read::fields::{Side, untouchable};
use crate::read::text::{Read, Refused};
use crate::read::{Table, Value, clip};
use crate::show::{Lines, quote};

/// `timeout`, unless it is written or `interval` is less.
const TIMEOUT: Duration = Duration::from_secs(2);

section! {
    /// Active checks: asks each server whether it is well.
    #[derive(PartialEq, Eq)]
    pub struct Health "health of [pool.NAME]" {
        /// `kind` and what belongs to it.
        probe: Probe = flat(&PROBE),
        /// The port that the checks of every server go to, for any `kind`. Requests still go to the server's own port. A
        /// server on a unix socket is checked at its socket.
        port: Option<u16> = key(Kind::Integer(1, 65_535), Means("the server's own"), "8081"),
        /// Between two checks of a server.
        interval: Duration = key(DURATION, Is("5s"), r#""5s""#),
        /// For one check. While it waits, no other check of the server begins.
        timeout: Duration = key(DURATION, Means("`2s`, or `interval` if that is less"), r#""2s""#),
        /// Failures in a row that take a server out.
        fall: u32 = key(Kind::Integer(1, 100), Is("3"), "3"),
        /// Successes in a row that bring it back.
        rise: u32 = key(Kind::Integer(1, 100), Is("1"), "1"),
        /// How long a server that has never answered may take to boot before a failure counts.
        start_period: Duration = key(Kind::Duration(0, DAY_MS), Is("0s"), r#""40s""#),
    }
}

impl Health {
    /// Checks by this probe, as often and as long as by default.
    pub fn new(probe: Probe) -> Self {
        let defaults: Self = declared().expect("every key of `health` has a default");
        Self { probe, ..defaults }
    }
}

impl Rules for Health {
    fn finish(&mut self, _: &Table<'_>) {
        if self.timeout.is_zero() {
            self.timeout = TIMEOUT.min(self.interval);
        }
    }
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// `kind = "http"`, the default when a key of it is given: a request.
    Http(HttpProbe),
    /// `kind = "grpc"`: the health service (`grpc.health.v1`) says that the server serves.
    Grpc {
        /// Of which service it is asked; empty, the default, is the server as a whole. At most 127 bytes.
        service: String,
    },
    /// `kind = "tcp"`: a connection is accepted.
    Tcp,
    /// `kind = "postgres"`: signs in, and asks for the server's role.
    Postgres(PostgresProbe),
    /// `kind = "redis"`: signs in, and asks for the server's role.
    Redis(RedisProbe),
}

impl Probe {
    /// Which servers may be used by their roles; `None` for a check that knows no roles, or takes any.
    pub fn role_rule(&self) -> Option<&RoleRule> {
        let rule = match self {
            Self::Postgres(probe) => &probe.rule,
            Self::Redis(probe) => &probe.rule,
            Self::Http(_) | Self::Grpc { .. } | Self::Tcp => return None,
        };
        rule.role.is_some().then_some(rule)
    }

    /// The file that holds the password of a check.
    pub fn password_file(&self) -> Option<&Path> {
        match self {
            Self::Postgres(probe) => probe.password_file.as_deref(),
            Self::Redis(probe) => probe.password_file.as_deref(),
            Self::Http(_) | Self::Grpc { .. } | Self::Tcp => None,
        }
    }
}

/// The request of a probe by HTTP, and which responses count as healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// Default GET; never CONNECT.
    pub method: String,
    /// Default `/`.
    pub path: String,
    /// Default the server's own host.
    pub host: Option<String>,
    /// Fields of the request, with names in lower case. They replace `accept` and `user-agent` of every probe.
    pub headers: Vec<(String, String)>,
    /// Statuses that count as healthy, as inclusive ranges; `[200]`, `["2xx", "301-302"]`. Default 200 to 399.
    pub expect: Vec<(u16, u16)>,
    /// A text that the first 64 KiB of the response body must contain. Never empty.
    pub body: Option<String>,
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            host: None,
            headers: Vec::new(),
            expect: vec![(200, 399)],
            body: None,
        }
    }
}

words! {
    /// `kind` of `health`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ProbeKind {
        /// A request
        Http = "http",
        /// A connection
        Tcp = "tcp",
        /// The health service of gRPC
        Grpc = "grpc",
        /// PostgreSQL says what it is
        Postgres = "postgres",
        /// Redis says what it is
        Redis = "redis",
    }
}

keys! {
    static PROBE "kind of health of [pool.NAME]" {
        /// `http`: a request is answered with an expected status. `tcp`: a connection is accepted. `grpc`: the health
        /// service (`grpc.health.v1`) says that the server serves; only with `protocol = "http2"`. `postgres` and
        /// `redis`: the database answers, and has the `role`.
        kind = key(
            Kind::OneOf(ProbeKind::WORDS),
            Means("`http` when `method`, `path`, `host`, `headers`, `expect` or `body` is given, else `tcp`"),
            r#""http""#,
        ),
        /// The method of the request, which has no body; any but `CONNECT`. Only with `http`.
        method = key(Kind::Text(&PROBE_METHOD), Is("GET"), r#""HEAD""#),
        /// What is asked for. Only with `http`.
        path = key(Kind::Text(&PROBE_PATH), Is("/"), r#""/health""#),
        /// The `Host` field of the request. Only with `http`.
        host = key(Kind::Text(&PROBE_HOST), Means("the server's own"), r#""shop.example.com""#),
        /// Header fields of the request; `accept` and `user-agent` replace those that a check has otherwise. Only with
        /// `http`.
        headers = key(
            Kind::Map(&HEADER_NAME, &Kind::Text(&HEADER_VALUE), 64),
            Means("nothing"),
            r#"{ authorization = "Bearer probe" }"#,
        ),
        /// Statuses that count as healthy. Only with `http`.
        expect = key(
            Kind::OneOrList(&Kind::Either(&Kind::Integer(100, 599), &Kind::Text(&STATUSES)), 64),
            Is("200-399"),
            r#"[200, "3xx"]"#,
        ),
        /// A text that the response body must contain, upper and lower case as written. The first 64 KiB of the body are
        /// searched. The status must be an expected one as well. Only with `http`.
        body = key(Kind::Text(&PROBE_BODY), Means("the body is not read"), r#""ready""#),
        /// Of which service it is asked; empty is the server as a whole. Only with `grpc`.
        service = key(Kind::Text(&GRPC_SERVICE), Is(""), r#""shop.Cart""#),
        /// The role that a server must have to be used. A change of role counts at the first check that sees it, whatever
        /// `fall` and `rise` say. While no server has the role, all are checked up to ten times as often, but no more
        /// than every 20 ms, for a minute. Only with `postgres` and `redis`.
        role = key(Kind::OneOf(DatabaseRole::WORDS), Means("any"), r#""primary""#),
        /// By which name the check signs in. Only with `postgres` and `redis`.
        user = key(
            Kind::Text(&DATABASE_NAME),
            Means("`evenkeel` with `postgres`, the default user with `redis`"),
            r#""probe""#,
        ),
        /// A file that holds the password. A reload reads it again. Only with `postgres` and `redis`.
        password_file = key(Kind::Text(&FILE), Means("no password"), r#""secrets/pg""#),
        /// The database that the check signs in to. Only with `postgres`.
        database = key(Kind::Text(&DATABASE_NAME), Is("postgres"), r#""postgres""#),
        /// By how many bytes of the write-ahead log a replica may lag behind the primary. Only with `postgres` and
        /// `role = "replica"`.
        lag_max = key(
            Kind::Size(0, 1 << 40),
            Means("replicas are used however much they lag"),
            r#""1MiB""#,
        ),
        /// What is used when every replica lags by more than `lag_max`. `least`: the one that lags least. `primary`: the
        /// primary, also when no replica is left. `refuse`: none.
        when_all_lag = key(
            Kind::OneOf(WhenAllLag::WORDS),
            Is(WhenAllLag::Least.word()),
            r#""least""#,
        ),
    }
}

impl ProbeKind {
    /// The kind that is written, or that the other keys ask for; a faulty one is like `tcp`.
    fn of(table: &Table<'_>) -> Option<Self> {
        match table.value("kind") {
            Some(kind) => kind.word().and_then(Self::from_word),
            None if OF_HTTP.iter().any(|key| table.has(key)) => Some(Self::Http),
            None if table.has("service") => Some(Self::Grpc),
            None => Some(Self::Tcp),
        }
    }

    /// Keys that only other kinds have, each with those.
    fn misplaced(self) -> impl Iterator<Item = (&'static str, &'static [Self])> {
        let of_http = OF_HTTP.iter().map(|key| (*key, &[Self::Http][..]));
        let all = of_http.chain([("service", &[Self::Grpc][..])]).chain(OF_DATABASES);
        all.filter(move |(_, kinds)| !kinds.contains(&self))
    }
}

const OF_HTTP: [&str; 6] = ["method", "path", "host", "headers", "expect", "body"];

impl Field for Probe {
    fn read(table: &Table<'_>, _: &'static str) -> Option<Self> {
        let Some(kind) = ProbeKind::of(table) else { return Some(Self::Tcp) };
        for (key, owners) in kind.misplaced() {
            let Some(span) = table.key_span(key) else { continue };
            let owners: Vec<_> =
                owners.iter().map(|owner| format!("`kind = \"{}\"`", owner.word())).collect();
            table.reader.note(
                Diagnostic::error(format!("a check by `{}` has no `{key}`", kind.word()))
                    .at(span)
                    .with_expected(format!("only with {}", owners.join(" or "))),
            );
        }
        Some(match kind {
            ProbeKind::Tcp => Self::Tcp,
            ProbeKind::Grpc => Self::Grpc { service: Field::read(table, "service")? },
            ProbeKind::Http => Self::Http(HttpProbe::read(table)?),
            ProbeKind::Postgres => Self::Postgres(PostgresProbe::read(table)?),
            ProbeKind::Redis => Self::Redis(RedisProbe::read(table)?),
        })
    }

    fn show(&self, section: &'static Section, _: &'static str, out: &mut Lines) {
        let kind = match self {
            Self::Http(_) => ProbeKind::Http,
            Self::Grpc { .. } => ProbeKind::Grpc,
            Self::Tcp => ProbeKind::Tcp,
            Self::Postgres(_) => ProbeKind::Postgres,
            Self::Redis(_) => ProbeKind::Redis,
        };
        out.line("kind", quote(kind.word()));
        match self {
            Self::Tcp => {}
            Self::Grpc { service } => Field::show(service, section, "service", out),
            Self::Http(probe) => probe.show(section, out),
            Self::Postgres(probe) => probe.show(section, out),
            Self::Redis(probe) => probe.show(section, out),
        }
    }
}

impl HttpProbe {
    fn read(table: &Table<'_>) -> Option<Self> {
        let probe = Self {
            method: Field::read(table, "method")?,
            path: Field::read(table, "path")?,
            host: Field::read(table, "host")?,
            headers: Field::read(table, "headers")?,
            expect: expect(table),
            body: Field::read(table, "body")?,
        };
        check_headers(table);
        if let Some(span) = table.key_span("body").filter(|_| probe.method == "HEAD") {
            table.reader.note(
                Diagnostic::error("a response to `HEAD` has no body")
                    .at(span)
                    .with_expected("no check would ever pass")
                    .with_help("leave `method` out to ask by `GET`"),
            );
        }
        Some(probe)
    }

    fn show(&self, section: &'static Section, out: &mut Lines) {
        let Self { method, path, host, headers, expect, body } = self;
        Field::show(method, section, "method", out);
        Field::show(path, section, "path", out);
        Field::show(host, section, "host", out);
        Field::show(headers, section, "headers", out);
        let expect =
            expect.iter().map(
                |(first, last)| {
                    if first == last { first.to_string() } else { format!("\"{first}-{last}\"") }
                },
            );
        out.line("expect", list(expect));
        Field::show(body, section, "body", out);
    }
}

/// Notes fields that a check cannot have.
fn check_headers(table: &Table<'_>) {
    for (name, span) in table.parts("headers") {
        let name = name.to_ascii_lowercase();
        let reason = match name.as_str() {
            "host" => Some("the key `host` sets it"),
            name => untouchable(Side::Request, "set", name),
        };
        if let Some(reason) = reason {
            let fault = Diagnostic::error(format!("`headers` of a check cannot set `{}`", clip(&name)));
            table.reader.note(fault.at(span).with_expected(reason));
        }
    }
}

fn expect(table: &Table<'_>) -> Vec<(u16, u16)> {
    let items = table.value("expect").map(|value| value.items()).unwrap_or_default();
    let written: Vec<_> = items.iter().filter_map(statuses).collect();
    let default = || table.default("expect").and_then(|text| range(text).ok());
    if written.is_empty() { default().into_iter().collect() } else { written }
}

fn statuses(value: &Value<'_>) -> Option<(u16, u16)> {
    let Kind::Either(one, several) = value.kind else { return None };
    if value.is_string() {
        return value.as_kind(several).read(range);
    }
    let status: u16 = Setting::read(&value.as_kind(one))?;
    Some((status, status))
}

/// `2xx`, `200-299` or `200`.
fn range(text: &str) -> Read<(u16, u16)> {
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|status| digits && (100..=599).contains(status))
    };
    let read = if let Some(class) = text.strip_suffix("xx") {
        status(&format!("{class}00")).map(|first| (first, first + 99))
    } else if let Some((first, last)) = text.split_once('-') {
        status(first).zip(status(last)).filter(|(first, last)| first <= last)
    } else {
        status(text).map(|status| (status, status))
    };
    read.ok_or_else(|| {
        Refused(
            format!("`{}` is neither a status nor a range of them", clip(text)),
            "write `200`, \"2xx\" or \"200-299\"".into(),
        )
    })
}
