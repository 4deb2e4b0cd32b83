//! `health` of a pool: active checks, what one does and how often.

use std::time::Duration;

use crate::declare::{Field, Rules, Setting, declared, keys, list, section, words};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Is, Means};
use crate::keys::syntax::{GRPC_SERVICE, PROBE_HOST, PROBE_PATH, STATUSES};
use crate::keys::{DAY_MS, DURATION, Kind, Section, flat, key};
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
    /// `kind = "http"`, the default when `path` is given: GET.
    Http {
        /// Default `/`.
        path: String,
        /// Default the server's own host.
        host: Option<String>,
        /// Statuses that count as healthy, as inclusive ranges; `[200]`, `["2xx", "301-302"]`. Default 200 to 399.
        expect: Vec<(u16, u16)>,
    },
    /// `kind = "grpc"`: the health service (`grpc.health.v1`) says that the server serves.
    Grpc {
        /// Of which service it is asked; empty, the default, is the server as a whole. At most 127 bytes.
        service: String,
    },
    /// `kind = "tcp"`: a connection is accepted.
    Tcp,
}

words! {
    /// `kind` of `health`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ProbeKind {
        /// GET
        Http = "http",
        /// A connection
        Tcp = "tcp",
        /// The health service of gRPC
        Grpc = "grpc",
    }
}

keys! {
    static PROBE "kind of health of [pool.NAME]" {
        /// `http`: a GET is answered with an expected status. `tcp`: a connection is accepted. `grpc`: the health
        /// service (`grpc.health.v1`) says that the server serves; only with `protocol = "http2"`.
        kind = key(
            Kind::OneOf(ProbeKind::WORDS),
            Means("`http` when `path`, `host` or `expect` is given, else `tcp`"),
            r#""http""#,
        ),
        /// What is asked for. Only with `http`.
        path = key(Kind::Text(&PROBE_PATH), Is("/"), r#""/health""#),
        /// The `Host` field of the request. Only with `http`.
        host = key(Kind::Text(&PROBE_HOST), Means("the server's own"), r#""shop.example.com""#),
        /// Statuses that count as healthy. Only with `http`.
        expect = key(
            Kind::OneOrList(&Kind::Either(&Kind::Integer(100, 599), &Kind::Text(&STATUSES)), 64),
            Is("200-399"),
            r#"[200, "3xx"]"#,
        ),
        /// Of which service it is asked; empty is the server as a whole. Only with `grpc`.
        service = key(Kind::Text(&GRPC_SERVICE), Is(""), r#""shop.Cart""#),
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

    /// Keys that the other kinds have.
    fn misplaced(self) -> &'static [&'static str] {
        match self {
            Self::Http => &["service"],
            Self::Grpc => &OF_HTTP,
            Self::Tcp => &["path", "host", "expect", "service"],
        }
    }
}

const OF_HTTP: [&str; 3] = ["path", "host", "expect"];

impl Field for Probe {
    fn read(table: &Table<'_>, _: &'static str) -> Option<Self> {
        let Some(kind) = ProbeKind::of(table) else { return Some(Self::Tcp) };
        for (key, span) in kind.misplaced().iter().filter_map(|key| Some((key, table.key_span(key)?))) {
            let owner = if *key == "service" { ProbeKind::Grpc } else { ProbeKind::Http };
            table.reader.note(
                Diagnostic::error(format!("a check by `{}` has no `{key}`", kind.word()))
                    .at(span)
                    .with_expected(format!("only with `kind = \"{}\"`", owner.word())),
            );
        }
        Some(match kind {
            ProbeKind::Tcp => Self::Tcp,
            ProbeKind::Grpc => Self::Grpc { service: Field::read(table, "service")? },
            ProbeKind::Http => Self::Http {
                path: Field::read(table, "path")?,
                host: Field::read(table, "host")?,
                expect: expect(table),
            },
        })
    }

    fn show(&self, section: &'static Section, _: &'static str, out: &mut Lines) {
        let kind = match self {
            Self::Http { .. } => ProbeKind::Http,
            Self::Grpc { .. } => ProbeKind::Grpc,
            Self::Tcp => ProbeKind::Tcp,
        };
        out.line("kind", quote(kind.word()));
        match self {
            Self::Tcp => {}
            Self::Grpc { service } => Field::show(service, section, "service", out),
            Self::Http { path, host, expect } => {
                Field::show(path, section, "path", out);
                Field::show(host, section, "host", out);
                let expect = expect.iter().map(|(first, last)| {
                    if first == last { first.to_string() } else { format!("\"{first}-{last}\"") }
                });
                out.line("expect", list(expect));
            }
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
