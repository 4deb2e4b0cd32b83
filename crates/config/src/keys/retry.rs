//! The keys of `retry` and `hedge` of `[[route]]`.

use super::Absent::{Is, Means, Required};
use super::syntax::{HEDGE_AFTER, METHOD, RETRY_ON};
use super::{DAY_MS, Kind, Section, key};

pub(crate) static RETRY: Section = Section {
    title: "retry of [[route]]",
    doc: "When another server gets a request that one has failed. Once a byte of a response has gone to the client \
          there is no retry, and no server gets a request twice. A request that was sent is sent again only if its \
          method is among `methods`, its body is still there, and the pool's budget allows it.",
    keys: &[
        key(
            "attempts",
            Kind::Integer(1, 10),
            Is("3"),
            "Servers that may be sent a request, the first included. One that could not be reached does not count; \
             at most 16 are tried in all.",
            "2",
        ),
        key(
            "on",
            Kind::OneOrList(&Kind::Text(&RETRY_ON), 64),
            Means(r#"`["connect", "reset"]`"#),
            "What is retried. `connect`: the server could not be reached, or its TLS was refused; then the method, \
             the body and the budget do not matter. `reset`: the connection ended before the first byte of an answer. \
             `timeout`: no head of an answer in time. A status: the last such answer is passed on when nobody else \
             is left to ask.",
            r#"["connect", "reset", "502", "503", "504"]"#,
        ),
        key(
            "methods",
            Kind::OneOrList(&Kind::Text(&METHOD), 64),
            Means(r#"`["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]`"#),
            "Methods whose requests may be sent twice: by default the idempotent ones.",
            r#"["GET", "HEAD"]"#,
        ),
        key(
            "per_try_timeout",
            Kind::DurationOrOff(1, DAY_MS),
            Is("off"),
            "From the last byte of the request to the head of the answer, at each server; `off` leaves it to the \
             pool's `timeout.response`. Effective only where it is shorter than that.",
            r#""2s""#,
        ),
        key(
            "budget",
            Kind::Percent(0, 100),
            Is("20%"),
            "Retries and hedges in percent of the requests to the pool in the last seconds, over all workers. Three a \
             second are always allowed, so that quiet pools can retry; with `0%` none is.",
            r#""20%""#,
        ),
        key(
            "backoff",
            Kind::Duration(0, 60_000),
            Is("0ms"),
            "The pause before the second retry is a random part of this, before the third of twice as much, and so \
             on, up to ten times. The first retry never waits.",
            r#""25ms""#,
        ),
        key(
            "replay",
            Kind::Size(0, 1 << 20),
            Is("64KiB"),
            "How much of a request's body is kept so that it can be sent again. A longer one is not kept at all.",
            r#""256KiB""#,
        ),
        key(
            "header",
            Kind::Boolean,
            Is("false"),
            "Responses carry `X-Evenkeel-Attempts`: how many servers were sent the request.",
            "true",
        ),
    ],
    groups: &[],
};

pub(crate) static HEDGE: Section = Section {
    title: "hedge of [[route]]",
    doc: "A server that is silent for long is not waited for alone: the request goes to another one as well, whoever \
          answers first wins, and the other is told to stop. A status that the route retries wins only if nobody \
          else answers. Only for requests without a body whose method is among `retry.methods`, and not for those \
          that belong to a server (`sticky`); each counts as one of `retry.attempts` and against `retry.budget`.",
    keys: &[
        key(
            "after",
            Kind::Text(&HEDGE_AFTER),
            Required,
            "How long no byte of an answer may have come. `p95` is what 95 of 100 answers of the pool took lately; \
             until 50 have been seen nothing is hedged.",
            r#""p95""#,
        ),
        key(
            "max",
            Kind::Integer(1, 2),
            Is("1"),
            "How many other servers are asked, one after the other.",
            "1",
        ),
    ],
    groups: &[],
};
