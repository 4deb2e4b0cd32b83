//! The keys of `[[route]]`.

use super::Absent::{Is, Means, Required};
use super::limit::{MIRROR, RATE_LIMIT, ROUTE_LIMITS};
use super::syntax::{
    BODY, HEADER_NAME, HEADER_VALUE, HOST, LISTENER_NAME, LOCATION, METHOD, NAME, NETWORK, PATH, POOL_NAME,
    QUERY_NAME, QUERY_VALUE, REGEX, STRIPPED,
};
use super::{DAY_MS, DURATION, Group, HEDGE, Kind, RETRY, Section, key};

pub(crate) static ROUTE: Section = Section {
    title: "[[route]]",
    doc: "Which request goes where. The most specific route wins, whatever the order in the file. All of the \
          conditions that a route names must hold. What is done with the request is said by \
          `pool`, `split`, `redirect` or `respond`.",
    keys: &[
        key(
            "name",
            Kind::Text(&NAME),
            Means("made from what it matches, as in `shop.example.com/api/*`"),
            "What logs and metrics call it.",
            r#""shop-api""#,
        ),
        key(
            "listener",
            Kind::OneOrList(&Kind::Text(&LISTENER_NAME), 256),
            Means("every http listener"),
            "Only requests that came in there.",
            r#""web""#,
        ),
        key(
            "host",
            Kind::OneOrList(&Kind::Text(&HOST), 10_000),
            Means("any host"),
            "Only requests for one of these hosts.",
            r#"["shop.example.com", "*.shop.example.com"]"#,
        ),
        key(
            "path",
            Kind::Text(&PATH),
            Means("any path"),
            "Only this path, or with `/*` at the end whatever is below it.",
            r#""/api/*""#,
        ),
        key(
            "path_regex",
            Kind::Text(&REGEX),
            Means("any path"),
            "Only paths that this matches as a whole, in linear time. At most 1,000 routes may have one.",
            r"'/users/\d+'",
        ),
        key(
            "method",
            Kind::OneOrList(&Kind::Text(&METHOD), 64),
            Means("any method"),
            "Only these methods.",
            r#"["GET", "POST"]"#,
        ),
        key(
            "headers",
            Kind::Map(&HEADER_NAME, &Kind::Text(&HEADER_VALUE), 64),
            Means("any"),
            "Only requests that carry all of these header fields with exactly these values.",
            r#"{ x-canary = "1" }"#,
        ),
        key(
            "query",
            Kind::Map(&QUERY_NAME, &Kind::Text(&QUERY_VALUE), 64),
            Means("any"),
            "Only requests that carry all of these query parameters with exactly these values.",
            r#"{ beta = "true" }"#,
        ),
        key(
            "client",
            Kind::OneOrList(&Kind::Text(&NETWORK), 10_000),
            Means("any address"),
            "Only clients with these addresses.",
            r#"["10.0.0.0/8"]"#,
        ),
        key(
            "pool",
            Kind::Text(&POOL_NAME),
            Means("-"),
            "Send the request to a server of this pool.",
            r#""api""#,
        ),
        key(
            "split",
            Kind::List(&Kind::Section(&SPLIT), 64),
            Means("-"),
            "Send the request to one of these pools, by weight.",
            r#"[{ pool = "blue", weight = 95 }, { pool = "green", weight = 5 }]"#,
        ),
        key(
            "redirect",
            Kind::Either(&Kind::Text(&LOCATION), &Kind::Section(&REDIRECT)),
            Means("-"),
            "Answer with a new location; a text alone is its `to`.",
            r#"{ to = "https://{host}{path}{query}", status = 308 }"#,
        ),
        key(
            "respond",
            Kind::Section(&RESPOND),
            Means("-"),
            "Answer at once.",
            r#"{ status = 200, body = "ok\n" }"#,
        ),
        key(
            "rewrite",
            Kind::Section(&REWRITE),
            Means("the path stays"),
            "What a server sees instead of the path that was asked for.",
            r#"{ strip_prefix = "/api" }"#,
        ),
        key(
            "request_headers",
            Kind::Section(&REQUEST_EDITS),
            Means("no change"),
            "Changes to the request's header fields on their way to a server.",
            r#"{ set = { x-env = "prod" }, remove = ["x-debug"] }"#,
        ),
        key(
            "response_headers",
            Kind::Section(&RESPONSE_EDITS),
            Means("no change"),
            "Changes to the response's header fields on their way to the client.",
            r#"{ set = { strict-transport-security = "max-age=63072000" } }"#,
        ),
        key(
            "priority",
            Kind::OneOf(&["low", "normal", "high"]),
            Is("normal"),
            "Whose requests are turned away first when the process is overloaded; those of `high` never are.",
            r#""high""#,
        ),
        key(
            "timeout",
            Kind::Section(&TIMEOUT),
            Means("the defaults"),
            "How long a request of this route may take.",
            r#"{ request = "30s", idle = "1h" }"#,
        ),
        key(
            "retry",
            Kind::Either(&Kind::Boolean, &Kind::Section(&RETRY)),
            Means("the defaults"),
            "When another server gets a request that one has failed; `false`: never, `true`: by the defaults.",
            r#"{ attempts = 3, on = ["connect", "reset", "503"], budget = "20%" }"#,
        ),
        key(
            "hedge",
            Kind::Section(&HEDGE),
            Means("one server at a time"),
            "Ask another server as well when one is slow to answer.",
            r#"{ after = "p95", max = 1 }"#,
        ),
        key(
            "deadline_header",
            Kind::Text(&HEADER_NAME),
            Means("servers are not told"),
            "The field in which servers are told how much time is left of `timeout.request`: `grpc-timeout` in the \
             format of gRPC, any other in whole milliseconds. A client that sends it shortens the time of its request.",
            r#""x-request-timeout-ms""#,
        ),
        key(
            "rate_limit",
            Kind::OneOrList(&Kind::Section(&RATE_LIMIT), 8),
            Means("no limit"),
            "How many requests may come.",
            r#"{ per = "client-ip", rate = "10/s", burst = 20 }"#,
        ),
        key(
            "limits",
            Kind::Section(&ROUTE_LIMITS),
            Means("those of `[limits]`"),
            "How large a request of this route may be.",
            r#"{ request_head = "8KiB", request_body = "1GiB" }"#,
        ),
        key(
            "mirror",
            Kind::Section(&MIRROR),
            Means("no copies"),
            "Sends copies of requests to another pool as well.",
            r#"{ pool = "shadow", percent = 5 }"#,
        ),
    ],
    groups: &[
        Group::ExactlyOne(&["pool", "split", "redirect", "respond"]),
        Group::AtMostOne(&["path", "path_regex"]),
    ],
};

static SPLIT: Section = Section {
    title: "split of [[route]]",
    doc: "One share of the traffic. At least one weight is above zero, and no pool stands twice.",
    keys: &[
        key("pool", Kind::Text(&POOL_NAME), Required, "Who gets this share.", r#""blue""#),
        key(
            "weight",
            Kind::Integer(0, 1_000_000),
            Is("1"),
            "Its part of the sum of all weights; 0 gets nothing.",
            "95",
        ),
    ],
    groups: &[],
};

static REDIRECT: Section = Section {
    title: "redirect of [[route]]",
    doc: "The new location that the client is told.",
    keys: &[
        key(
            "to",
            Kind::Text(&LOCATION),
            Required,
            "Where the client is sent.",
            r#""https://{host}{path}{query}""#,
        ),
        key("status", Kind::Number(&[301, 302, 303, 307, 308]), Is("302"), "The status.", "308"),
    ],
    groups: &[],
};

static RESPOND: Section = Section {
    title: "respond of [[route]]",
    doc: "An answer that needs no server.",
    keys: &[
        key("status", Kind::Integer(200, 599), Is("200"), "The status.", "503"),
        key(
            "body",
            Kind::Text(&BODY),
            Means("empty"),
            "The body; impossible with 204, 205 and 304.",
            r#""back at six\n""#,
        ),
        key(
            "content_type",
            Kind::Text(&HEADER_VALUE),
            Is("text/plain; charset=utf-8"),
            "Its media type.",
            r#""text/html; charset=utf-8""#,
        ),
    ],
    groups: &[],
};

static REWRITE: Section = Section {
    title: "rewrite of [[route]]",
    doc: "What a server sees instead of the path that was asked for: exactly one of the two.",
    keys: &[
        key(
            "strip_prefix",
            Kind::Text(&STRIPPED),
            Means("-"),
            "Whole segments taken off the front; a path without them stays as it is.",
            r#""/api""#,
        ),
        key(
            "path",
            Kind::Text(&PATH),
            Means("-"),
            "With `/*` at the end: what the route's prefix matched is replaced by this. Without: the whole path is.",
            r#""/new/*""#,
        ),
    ],
    groups: &[Group::ExactlyOne(&["strip_prefix", "path"])],
};

const EDIT_DOC: &str = "First `remove`, then `set`, then `add`. Fields of a name that is removed or set are \
                        left out of trailers, too. The fields that belong to the connection and to framing cannot be \
                        touched.";

static REQUEST_EDITS: Section =
    Section { title: "request_headers of [[route]]", doc: EDIT_DOC, keys: &EDITS, groups: &[] };

static RESPONSE_EDITS: Section =
    Section { title: "response_headers of [[route]]", doc: EDIT_DOC, keys: &EDITS, groups: &[] };

static EDITS: [super::Key; 3] = [
    key(
        "set",
        Kind::Map(&HEADER_NAME, &Kind::Text(&HEADER_VALUE), 64),
        Means("nothing"),
        "Replaces every field of that name.",
        r#"{ x-env = "prod" }"#,
    ),
    key(
        "add",
        Kind::Map(&HEADER_NAME, &Kind::Text(&HEADER_VALUE), 64),
        Means("nothing"),
        "Adds one more field.",
        r#"{ vary = "origin" }"#,
    ),
    key(
        "remove",
        Kind::OneOrList(&Kind::Text(&HEADER_NAME), 64),
        Means("nothing"),
        "Removes every field of that name.",
        r#"["x-debug"]"#,
    ),
];

static TIMEOUT: Section = Section {
    title: "timeout of [[route]]",
    doc: "How long a request of this route may take.",
    keys: &[
        key(
            "request",
            Kind::DurationOrOff(1, DAY_MS),
            Is("off"),
            "From the last byte of the request's head to the last one of the response; `off` is no limit.",
            r#""30s""#,
        ),
        key("idle", DURATION, Is("1h"), "A tunnel (WebSocket) in which nothing moves.", r#""1h""#),
    ],
    groups: &[],
};
