//! The keys of `[server]`, `[admin]`, `[log]` and `[limits]`.

use super::Absent::{Is, Means};
use super::syntax::{ACCESS, ADMIN_ADDRESS, FILE};
use super::{DAY_MS, Kind, Section, key};

pub(crate) static SERVER: Section = Section {
    title: "[server]",
    doc: "The process.",
    keys: &[
        key(
            "workers",
            Kind::IntegerOr(1, 1_024, "auto"),
            Is("auto"),
            "Data-path threads; `auto` is one per core that this process may use.",
            r#""auto""#,
        ),
        key(
            "grace",
            Kind::Duration(0, DAY_MS),
            Is("30s"),
            "How long requests in flight may take to finish when the process leaves.",
            r#""30s""#,
        ),
        key(
            "secret_file",
            Kind::Text(&FILE),
            Means("a key that every Evenkeel knows"),
            "A file whose content keys the sticky cookies, so that they tell nothing about a server. Every balancer in \
             front of the same servers needs the same content.",
            r#""/etc/evenkeel/secret""#,
        ),
    ],
    groups: &[],
};

pub(crate) static ADMIN: Section = Section {
    title: "[admin]",
    doc: "The API, `/metrics` and the health endpoints of the balancer itself.",
    keys: &[
        key(
            "bind",
            Kind::Address(&ADMIN_ADDRESS),
            Is("127.0.0.1:9900"),
            "Where it listens, or `off`. When it is left out and the default is taken by another process, that is a \
             warning instead of an error.",
            r#""127.0.0.1:9900""#,
        ),
        key(
            "token_file",
            Kind::Text(&FILE),
            Means("no token is asked for"),
            "A file that holds the bearer token. Demanded when `bind` is neither loopback nor a unix socket.",
            r#""/etc/evenkeel/token""#,
        ),
    ],
    groups: &[],
};

pub(crate) static LOG: Section = Section {
    title: "[log]",
    doc: "The access log: one line a request.",
    keys: &[
        key(
            "access",
            Kind::Text(&ACCESS),
            Is("stdout"),
            "Where it goes: `off`, `stdout`, or a file to which lines are appended.",
            r#""/var/log/evenkeel/access.log""#,
        ),
        key(
            "format",
            Kind::OneOf(&["json", "combined"]),
            Is("json"),
            "One JSON object a line, or the combined log format of Apache httpd.",
            r#""json""#,
        ),
    ],
    groups: &[],
};

pub(crate) static LIMITS: Section = Section {
    title: "[limits]",
    doc: "What the process takes on at most.",
    keys: &[
        key(
            "connections",
            Kind::Integer(1, 10_000_000),
            Is("100000"),
            "Client connections open at once.",
            "100_000",
        ),
        key(
            "request_head",
            Kind::Size(1 << 10, 1 << 20),
            Is("32KiB"),
            "Bytes of the head of a request or response: start line and fields. A request beyond it gets 431.",
            r#""32KiB""#,
        ),
        key(
            "headers",
            Kind::Integer(1, 1_000),
            Is("100"),
            "Fields in a head; over HTTP/2 each part of a divided cookie counts. A request beyond it gets 431.",
            "100",
        ),
        key(
            "uri",
            Kind::Size(64, 1 << 20),
            Is("16KiB"),
            "Bytes of a request target. A request beyond it gets 414.",
            r#""16KiB""#,
        ),
        key(
            "request_body",
            Kind::SizeOrOff(0, 1 << 50),
            Is("off"),
            "Bytes of a request body; `off` is no limit. A request beyond it gets 413.",
            r#""10MiB""#,
        ),
        key(
            "body_rate",
            Kind::Size(0, 1 << 30),
            Is("240B"),
            "Bytes a second that a request body must average, counted from 10 s after its start; 0 asks for nothing.",
            r#""240B""#,
        ),
    ],
    groups: &[],
};
