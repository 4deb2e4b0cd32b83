//! How a route keeps its requests alive: retries, hedging, and the time that is left.

use std::time::Duration;

use crate::declare::{Rules, Setting, declared, section};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Are, Is, Required};
use crate::keys::syntax::{FAILURE_ON, HEDGE_AFTER, METHOD};
use crate::keys::{DAY_MS, Kind, key};
use crate::read::text::{Read, Refused};
use crate::read::{Table, Value, clip};
use crate::settings::{Text, text_settings};
use crate::show::quote;
use crate::value::{duration_ms, show_duration};

use super::failure::FailureOn;

/// `hedge.after` at most, in milliseconds.
const AFTER_MS_MAX: u64 = 3_600_000;

section! {
    /// When another server gets a request that one has failed. Once a byte of a response has gone to the client
    /// there is no retry, and no server gets a request twice. A request that was sent is sent again only if its
    /// method is among `methods`, its body is still there, and the pool's budget allows it.
    #[derive(PartialEq, Eq)]
    pub struct Retry "retry of [[route]]" {
        /// Servers that may be sent a request, the first included. One that could not be reached does not count; at
        /// most 16 are tried in all.
        attempts: u32 = key(Kind::Integer(1, 10), Is("3"), "2"),
        /// What is retried. `connect`: the server could not be reached, or its TLS was refused; then the method, the
        /// body and the budget do not matter. `reset`: the connection ended before the first byte of an answer.
        /// `timeout`: no head of an answer in time. A status, or all of `5xx`: the last such answer is passed on when no other server is
        /// left to ask.
        on: FailureOn = key(
            Kind::OneOrList(&Kind::Text(&FAILURE_ON), 64),
            Are(&["connect", "reset"]),
            r#"["connect", "reset", "502", "503", "504"]"#,
        ),
        /// Methods whose requests may be sent twice: by default the idempotent ones.
        methods: Vec<String> = key(
            Kind::OneOrList(&Kind::Text(&METHOD), 64),
            Are(&["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]),
            r#"["GET", "HEAD"]"#,
        ),
        /// From the last byte of the request to the head of the answer, at each server; `off` leaves it to the pool's
        /// `timeout.response`. Effective only where it is shorter than that.
        per_try_timeout: Option<Duration> = key(Kind::DurationOrOff(1, DAY_MS), Is("off"), r#""2s""#),
        /// Retries and hedges in percent of the requests to the pool in the last seconds, over all workers. Three a
        /// second are always allowed, so that quiet pools can retry; with `0%` none is.
        budget: u32 = key(Kind::Percent(0, 100), Is("20%"), r#""20%""#),
        /// The pause before the second retry is a random part of this, before the third of twice as much, and so on, up
        /// to ten times. The first retry never waits.
        backoff: Duration = key(Kind::Duration(0, 60_000), Is("0ms"), r#""25ms""#),
        /// How much of a request's body is kept so that it can be sent again. A longer one is not kept at all.
        replay: usize = key(Kind::Size(0, 1 << 20), Is("64KiB"), r#""256KiB""#),
        /// Responses carry `X-Evenkeel-Attempts`: how many servers were sent the request.
        header: bool = key(Kind::Boolean, Is("false"), "true"),
    }
}

impl Rules for Retry {
    fn finish(&mut self, table: &Table<'_>) {
        note_what_is_not_retried(table, self.attempts, &self.on);
    }

    fn short(value: &Value<'_>) -> Option<Self> {
        Some(if value.boolean()? { Self::default() } else { Self::off() })
    }

    fn shown_short(&self) -> Option<String> {
        (*self == Self::off()).then(|| "false".into())
    }
}

/// Notes what `on` leaves out although the default has it, and keys without effect at one attempt.
fn note_what_is_not_retried(table: &Table<'_>, attempts: u32, on: &FailureOn) {
    let Some(span) = table.key_span("on") else { return };
    let sent = on.holds_more_than_connect();
    let warn = |message: &str, expected: &str, help: &str| {
        let warning = Diagnostic::warning(message).at(span.clone());
        table.reader.note(warning.with_expected(expected).with_help(help));
    };
    if !on.connect && sent {
        warn(
            "a request whose server cannot be reached is not retried",
            "`connect`, which is a default, is not among them",
            "add \"connect\": nothing was sent, and any method may go elsewhere",
        );
    }
    if attempts == 1 && sent {
        warn(
            "with one attempt, nothing that was sent is retried",
            "only `connect` has an effect",
            "raise `attempts`, or write `on = \"connect\"`",
        );
    }
}

impl Default for Retry {
    /// What holds for a route without `retry`.
    fn default() -> Self {
        declared().expect("every key of `retry` has a default")
    }
}

impl Retry {
    /// `retry = false`: no request goes to a second server.
    pub fn off() -> Self {
        Self { attempts: 1, on: FailureOn::default(), budget: 0, replay: 0, ..Self::default() }
    }

    /// True if a request with this method may be sent to another server when its fate is unknown.
    pub fn repeats(&self, method: &str) -> bool {
        self.methods.iter().any(|known| known == method)
    }

    /// True if a request with this method may be sent to the same server again when the connection was an old one that was
    /// being closed: one that may be sent twice, or that only reads (RFC 9110, 9.2.1).
    pub fn repeats_over_a_fresh_connection(&self, method: &str) -> bool {
        matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE") || self.repeats(method)
    }

    /// True if a server that was sent a request may have to be made good for: then its body must be kept.
    pub fn may_send_twice(&self) -> bool {
        self.attempts > 1 && self.budget > 0 && self.on.holds_more_than_connect()
    }
}

section! {
    /// When a server is slow to answer, the balancer sends the request to another one as well. The first answer goes to
    /// the client, and the other request is cancelled. An answer with a status that the route retries wins only if no
    /// other server answers. Only for requests without a body whose method is among `retry.methods`, and not for those that
    /// belong to a server (`sticky`); each counts as one of `retry.attempts` and against `retry.budget`.
    #[derive(PartialEq, Eq)]
    pub struct Hedge "hedge of [[route]]" {
        /// How long no byte of an answer may have come. `p95` is what 95 of 100 answers of the pool took lately; until
        /// 50 have been seen nothing is hedged.
        after: HedgeAfter = key(Kind::Text(&HEDGE_AFTER), Required, r#""p95""#),
    }
}

impl Rules for Hedge {}

/// `after` of `hedge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// `"p95"`: as long as 95 of 100 answers of the pool take.
    P95,
    /// This long, 1 ms to 1 h.
    Fixed(Duration),
}

text_settings!(HedgeAfter);

impl Text for HedgeAfter {
    fn form(text: &str) -> Read<Self> {
        match (text, duration_ms(text)) {
            ("p95", _) => Ok(Self::P95),
            (_, Some(ms @ 1..=AFTER_MS_MAX)) => Ok(Self::Fixed(Duration::from_millis(ms))),
            _ => Err(Refused(
                format!("`{}` is neither \"p95\" nor a duration from 1ms to 1h", clip(text)),
                "write \"p95\", or a duration such as \"50ms\"".into(),
            )),
        }
    }

    fn written(&self) -> String {
        match self {
            Self::P95 => "p95".into(),
            Self::Fixed(after) => show_duration(*after),
        }
    }
}

/// `deadline_header` of a route: the deadline header, in which a server reads how much time is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadlineHeader {
    /// `grpc-timeout`, in its own format.
    Grpc,
    /// Any other field, in lower case, in whole milliseconds.
    Millis(String),
}

impl Setting for DeadlineHeader {
    fn read(value: &Value<'_>) -> Option<Self> {
        let name = value.formed()?;
        Some(if name == "grpc-timeout" { Self::Grpc } else { Self::Millis(name) })
    }

    fn declared(_: &'static Kind, _: Option<&'static str>) -> Option<Self> {
        None
    }

    fn show(&self, _: &'static Kind) -> String {
        quote(self.name())
    }
}

impl DeadlineHeader {
    /// The field's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Grpc => "grpc-timeout",
            Self::Millis(name) => name,
        }
    }
}
