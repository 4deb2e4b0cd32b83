//! The keys that limit clients and mirror requests: `[redis]`, and the tables below `[[route]]` and `[listener.NAME]`.

use super::Absent::{Is, Means, Required};
use super::syntax::{FILE, LIMIT_KEY, NAME, POOL_NAME, REDIS_PREFIX, REDIS_URL};
use super::{Kind, Section, key};

/// Of things in a second, minute or hour.
const RATE: Kind = Kind::Rate(1, 1_000_000);

pub(crate) static REDIS: Section = Section {
    title: "[redis]",
    doc: "Where balancers count together: the rate limits with `shared`. While it does not answer nobody waits for it; \
          it is asked again after 1 s, later every 10 s.",
    keys: &[
        key(
            "url",
            Kind::Text(&REDIS_URL),
            Required,
            "Its address; without a port 6379, without a number the database 0.",
            r#""redis://127.0.0.1:6379/0""#,
        ),
        key(
            "timeout",
            Kind::Duration(1, 10_000),
            Is("50ms"),
            "How long a request waits for its answer.",
            r#""50ms""#,
        ),
        key("prefix", Kind::Text(&REDIS_PREFIX), Is("evenkeel:"), "What all keys begin with.", r#""shop:""#),
        key(
            "password_file",
            Kind::Text(&FILE),
            Means("no password"),
            "A file that holds the password.",
            r#""/etc/evenkeel/redis""#,
        ),
    ],
    groups: &[],
};

pub(super) static RATE_LIMIT: Section = Section {
    title: "rate_limit of [[route]]",
    doc: "How many requests of one kind may come. Beyond it a request gets 429 with `Retry-After`. Of several limits \
          all must let a request pass, and one that is refused counts in none of them.",
    keys: &[
        key(
            "per",
            Kind::OneOrList(&Kind::Text(&LIMIT_KEY), 4),
            Means("`client-ip`"),
            "What requests have in common that are counted together; of a list, the combination. Requests without the \
             header or cookie are counted together. A client chooses its headers and cookies: they tell clients apart \
             only if a server checks them.",
            r#"["client-ip", "header:x-api-key"]"#,
        ),
        key("rate", RATE, Required, "How many, in the long run.", r#""10/s""#),
        key(
            "burst",
            Kind::Integer(1, 1_000_000),
            Means("what the rate comes to in a second, rounded up"),
            "How many at once, after a pause.",
            "20",
        ),
        key(
            "ipv6_prefix",
            Kind::Integer(1, 128),
            Is("64"),
            "Clients whose IPv6 addresses begin with the same bits, so many, are one client.",
            "56",
        ),
        key(
            "dry_run",
            Kind::Boolean,
            Is("false"),
            "Lets everything pass, and only counts and logs what it would refuse.",
            "true",
        ),
        key(
            "shared",
            Kind::Boolean,
            Is("false"),
            "Counts together with other balancers, in the Redis of `[redis]`. The route's name and the limit's are what \
             they must have in common.",
            "true",
        ),
        key(
            "when_redis_is_away",
            Kind::OneOf(&["local", "allow", "refuse"]),
            Is("local"),
            "What holds while Redis does not answer: this balancer counts for itself, everything passes, or nothing \
             does (503). Only with `shared`.",
            r#""local""#,
        ),
        key(
            "keys_max",
            Kind::Integer(64, 16_777_216),
            Is("65536"),
            "Keys remembered at a time, rounded up to a multiple of 16, each with 24 bytes. One that finds no room takes the \
             place of another that has used up little.",
            "65536",
        ),
        key(
            "name",
            Kind::Text(&NAME),
            Means("made of `per`, as in `client-ip`"),
            "What logs, metrics and the `RateLimit` field call it; no two limits of a route have the same.",
            r#""per-client""#,
        ),
    ],
    groups: &[],
};

pub(super) static ROUTE_LIMITS: Section = Section {
    title: "limits of [[route]]",
    doc: "Other limits for the requests of this route than `[limits]` has.",
    keys: &[
        key(
            "request_head",
            Kind::Size(128, 1 << 20),
            Means("that of `[limits]`"),
            "Bytes of a request's head, at most those of `[limits]`. A request beyond it gets 431.",
            r#""8KiB""#,
        ),
        key(
            "headers",
            Kind::Integer(1, 1_000),
            Means("that of `[limits]`"),
            "Fields in a request's head, at most those of `[limits]`. A request beyond it gets 431.",
            "50",
        ),
        key(
            "request_body",
            Kind::SizeOrOff(0, 1 << 50),
            Means("that of `[limits]`"),
            "Bytes of a request's body, fewer or more than `[limits]` has; `off` is no limit. A request beyond it gets \
             413.",
            r#""1GiB""#,
        ),
    ],
    groups: &[],
};

pub(super) static MIRROR: Section = Section {
    title: "mirror of [[route]]",
    doc: "Sends copies of requests to another pool as well, and throws its answers away. No client notices: nothing \
          waits for a copy, and what cannot be sent at once is dropped and counted. Copies carry `X-Evenkeel-Mirror: 1`. \
          What asks for an upgrade is not copied.",
    keys: &[
        key("pool", Kind::Text(&POOL_NAME), Required, "Who gets the copies.", r#""shadow""#),
        key("percent", Kind::Integer(1, 100), Is("100"), "How many of a hundred requests, at random.", "5"),
        key(
            "body",
            Kind::Size(0, 1 << 20),
            Is("64KiB"),
            "Bytes of a request's body that are copied; requests with longer ones are not.",
            r#""64KiB""#,
        ),
    ],
    groups: &[],
};

pub(super) static LISTENER_LIMITS: Section = Section {
    title: "limits of [listener.NAME]",
    doc: "What one client may take.",
    keys: &[
        key(
            "connections_per_client",
            Kind::Integer(1, 1_000_000),
            Means("no limit"),
            "Connections open at once from one address; of IPv6, from one network of 64 bits. Beyond, a connection is \
             closed at once. The `trusted_proxies` are excepted.",
            "100",
        ),
        key(
            "requests_per_connection",
            RATE,
            Means("no limit"),
            "Requests over one connection; at once, as many as the rate comes to in a second. Beyond, a request gets \
             429, and its connection is closed; one of HTTP/2 stays.",
            r#""100/s""#,
        ),
    ],
    groups: &[],
};
