//! The keys of `[listener.NAME]`.

use super::Absent::{Is, Means, Required};
use super::syntax::{LISTENER_ADDRESS, NETWORK, POOL_NAME};
use super::{DURATION, Kind, Section, key};

pub(crate) static LISTENER: Section = Section {
    title: "[listener.NAME]",
    doc: "Where clients connect. There must be at least one.",
    keys: &[
        key(
            "bind",
            Kind::OneOrList(&Kind::Address(&LISTENER_ADDRESS), 64),
            Required,
            "One or more addresses; a bare port means all addresses of this machine. Of two that overlap, the \
             narrower one gets the connections that are for both. Port 0 lets the kernel choose.",
            r#"[":80"]"#,
        ),
        key("protocol", Kind::OneOf(&["http"]), Is("http"), "What clients speak.", r#""http""#),
        key(
            "pool",
            Kind::Text(&POOL_NAME),
            Means("404 when no route takes a request"),
            "Where requests go that no route takes.",
            r#""app""#,
        ),
        key(
            "trusted_proxies",
            Kind::OneOrList(&Kind::Text(&NETWORK), 10_000),
            Means("nobody is trusted"),
            "Peers whose `X-Forwarded-*` and `X-Request-Id` are believed.",
            r#"["10.0.0.0/8"]"#,
        ),
        key(
            "timeout",
            Kind::Section(&TIMEOUT),
            Means("the defaults"),
            "What waits for a client.",
            r#"{ head = "10s", idle = "75s" }"#,
        ),
    ],
    groups: &[],
};

static TIMEOUT: Section = Section {
    title: "timeout of [listener.NAME]",
    doc: "What waits for a client.",
    keys: &[
        key(
            "head",
            DURATION,
            Is("10s"),
            "From the first byte of a request's head to its last; for the first one, from the accept.",
            r#""10s""#,
        ),
        key("body", DURATION, Is("30s"), "Between two reads of a request body.", r#""30s""#),
        key("idle", DURATION, Is("75s"), "A keep-alive connection without a request.", r#""75s""#),
        key("write", DURATION, Is("30s"), "A client that takes none of what is written to it.", r#""30s""#),
    ],
    groups: &[],
};
