//! The keys of `[pool.NAME]`.

use super::Absent::{Is, Means, Required};
use super::protect::{BREAKER, CONCURRENCY, MAX_CONNECTIONS, QUEUE, SERVER_BREAKER};
use super::syntax::{
    BACKEND_ADDRESS, COOKIE_NAME, FILE, GRPC_SERVICE, HASH_KEY, HEADER_NAME, NAME, PROBE_HOST, PROBE_PATH,
    SERVER_NAME, STATUSES,
};
use super::{DAY_MS, DURATION, Group, Kind, Section, key};

pub(crate) static POOL: Section = Section {
    title: "[pool.NAME]",
    doc: "Servers that do the same, and how one of them is chosen.",
    keys: &[
        key(
            "algorithm",
            Kind::OneOf(&[
                "round-robin",
                "least-connections",
                "least-response-time",
                "power-of-two",
                "ip-hash",
                "consistent-hash",
                "maglev",
                "random",
            ]),
            Is("round-robin"),
            "How a server is chosen.",
            r#""least-connections""#,
        ),
        key(
            "hash_key",
            Kind::Text(&HASH_KEY),
            Means("`client-ip`"),
            "What `consistent-hash` and `maglev` hash: `client-ip`, `path`, `header:NAME` or `cookie:NAME`. Only with these \
             two.",
            r#""header:x-user""#,
        ),
        key(
            "backends",
            Kind::List(&Kind::Either(&Kind::Address(&BACKEND_ADDRESS), &Kind::Section(&BACKEND)), 10_000),
            Required,
            "The servers. At least one that is no backup has a weight above zero.",
            r#"["10.0.0.1:3000", { address = "10.0.0.2:3000", weight = 3 }]"#,
        ),
        key(
            "protocol",
            Kind::OneOf(&["http1", "http2"]),
            Is("http1"),
            "What the servers speak: `http1` is HTTP/1.1. `http2` without `tls` is HTTP/2 with prior knowledge.",
            r#""http2""#,
        ),
        key(
            "tls",
            Kind::Either(&Kind::Boolean, &Kind::Section(&TLS)),
            Means("cleartext"),
            "Speaks TLS with the servers; `true` is all defaults.",
            r#"{ server_name = "api.internal", ca = "certs/ca.pem" }"#,
        ),
        key(
            "keepalive",
            Kind::Integer(0, 10_000),
            Is("128"),
            "Idle connections kept per server and worker; 0 keeps none.",
            "128",
        ),
        key(
            "sticky",
            Kind::Section(&STICKY),
            Means("every request chooses anew"),
            "Keeps a client on its server.",
            r#"{ cookie = "EVENKEEL", ttl = "1h" }"#,
        ),
        key(
            "health",
            Kind::Section(&HEALTH),
            Means("no active checks"),
            "Active checks: asks each server whether it is well.",
            r#"{ path = "/health", interval = "5s" }"#,
        ),
        key(
            "outlier",
            Kind::Section(&OUTLIER),
            Means("no passive checks"),
            "Passive checks: watches how live requests fare.",
            r#"{ failures = 3, window = "30s", eject = "30s" }"#,
        ),
        key(
            "panic",
            Kind::Percent(0, 100),
            Is("50%"),
            "When ejections leave a smaller share of the servers than this, ejected ones are used as well; backups, \
             drained servers and those of weight 0 left out. `0%` is only when no server would be left. Only with \
             `outlier`.",
            r#""50%""#,
        ),
        key(
            "slow_start",
            Kind::DurationOrOff(1_000, 3_600_000),
            Is("off"),
            "For how long a server that comes, or comes back, is spared: its weight grows from a tenth to the full one.",
            r#""30s""#,
        ),
        key(
            "breaker",
            Kind::Section(&BREAKER),
            Means("no limits for the pool as a whole"),
            "Limits for the pool as a whole, and its circuit breaker.",
            r#"{ max_requests = 10_000, failures = "50%" }"#,
        ),
        key(
            "server_breaker",
            Kind::Section(&SERVER_BREAKER),
            Means("none"),
            "A circuit breaker for each server.",
            r#"{ failures = "50%" }"#,
        ),
        key(
            "queue",
            Kind::Section(&QUEUE),
            Means("503 at once when there is no place"),
            "Where requests wait for a place when a limit is reached.",
            r#"{ wait = "1s" }"#,
        ),
        key(
            "concurrency",
            Kind::Section(&CONCURRENCY),
            Means("no such limit"),
            "A limit on requests in flight that follows their latency.",
            r#"{ algorithm = "gradient", min = 10, max = 1000 }"#,
        ),
        key(
            "timeout",
            Kind::Section(&TIMEOUT),
            Means("the defaults"),
            "What waits for a server.",
            r#"{ connect = "1s", response = "30s" }"#,
        ),
    ],
    groups: &[],
};

static BACKEND: Section = Section {
    title: "backends of [pool.NAME]",
    doc: "A server; where only its address matters, the address alone will do.",
    keys: &[
        key("address", Kind::Address(&BACKEND_ADDRESS), Required, "Where it is.", r#""10.0.0.2:3000""#),
        key("weight", Kind::Integer(0, 1_000), Is("1"), "Its share; 0 takes no new request.", "3"),
        key(
            "name",
            Kind::Text(&NAME),
            Means("its address"),
            "What logs, metrics and the API call it.",
            r#""big""#,
        ),
        key("backup", Kind::Boolean, Is("false"), "Used only when no other server is up.", "true"),
        MAX_CONNECTIONS,
    ],
    groups: &[],
};

static TLS: Section = Section {
    title: "tls of [pool.NAME]",
    doc: "TLS with servers. The files are read again when they change.",
    keys: &[
        key(
            "server_name",
            Kind::Text(&SERVER_NAME),
            Means("the host of each server's address"),
            "The name that a server's certificate must be for, and that it is asked for (SNI).",
            r#""api.internal""#,
        ),
        key(
            "ca",
            Kind::Text(&FILE),
            Means("those that the system trusts"),
            "Certificates, in PEM, of those who may have signed a server's.",
            r#""certs/ca.pem""#,
        ),
        key(
            "cert",
            Kind::Text(&FILE),
            Means("none is shown"),
            "The balancer's own certificate, in PEM, for servers that ask for one. Only with `key`.",
            r#""certs/balancer.pem""#,
        ),
        key(
            "key",
            Kind::Text(&FILE),
            Means("-"),
            "The private key of `cert`, in PEM, not encrypted.",
            r#""certs/balancer.key""#,
        ),
        key(
            "insecure_skip_verify",
            Kind::Boolean,
            Is("false"),
            "Takes whatever certificate a server shows. Whoever gets between may then read and change everything.",
            "false",
        ),
    ],
    groups: &[],
};

static STICKY: Section = Section {
    title: "sticky of [pool.NAME]",
    doc: "Keeps a client on its server for as long as that server is well: exactly one of `cookie`, `header` and \
          `app_cookie`.",
    keys: &[
        key(
            "cookie",
            Kind::Text(&COOKIE_NAME),
            Means("-"),
            "The name of a cookie that the balancer issues; its value tells nothing about the server.",
            r#""EVENKEEL""#,
        ),
        key(
            "header",
            Kind::Text(&HEADER_NAME),
            Means("-"),
            "Requests with equal values of this header field reach the same server.",
            r#""x-session""#,
        ),
        key(
            "app_cookie",
            Kind::Text(&COOKIE_NAME),
            Means("-"),
            "Requests with equal values of this cookie of the application reach the same server.",
            r#""JSESSIONID""#,
        ),
        key(
            "ttl",
            Kind::Duration(1_000, 400 * DAY_MS),
            Means("as long as the browser runs"),
            "The `Max-Age` of `cookie`, in whole seconds. Only with `cookie`.",
            r#""1h""#,
        ),
    ],
    groups: &[Group::ExactlyOne(&["cookie", "header", "app_cookie"])],
};

static HEALTH: Section = Section {
    title: "health of [pool.NAME]",
    doc: "Active checks: asks each server whether it is well.",
    keys: &[
        key(
            "kind",
            Kind::OneOf(&["http", "tcp", "grpc"]),
            Means("`http` when `path`, `host` or `expect` is given, else `tcp`"),
            "`http`: a GET is answered with an expected status. `tcp`: a connection is accepted. `grpc`: the health \
             service (`grpc.health.v1`) says that the server serves; only with `protocol = \"http2\"`.",
            r#""http""#,
        ),
        key("path", Kind::Text(&PROBE_PATH), Is("/"), "What is asked for. Only with `http`.", r#""/health""#),
        key(
            "host",
            Kind::Text(&PROBE_HOST),
            Means("the server's own"),
            "The `Host` field of the request. Only with `http`.",
            r#""shop.example.com""#,
        ),
        key(
            "expect",
            Kind::OneOrList(&Kind::Either(&Kind::Integer(100, 599), &Kind::Text(&STATUSES)), 64),
            Means("200 to 399"),
            "Statuses that count as healthy. Only with `http`.",
            r#"[200, "3xx"]"#,
        ),
        key(
            "service",
            Kind::Text(&GRPC_SERVICE),
            Is(""),
            "Of which service it is asked; empty is the server as a whole. Only with `grpc`.",
            r#""shop.Cart""#,
        ),
        key("interval", DURATION, Is("5s"), "Between two checks of a server.", r#""5s""#),
        key(
            "timeout",
            DURATION,
            Means("`2s`, or `interval` if that is less"),
            "For one check; at most `interval`.",
            r#""2s""#,
        ),
        key("fall", Kind::Integer(1, 100), Is("3"), "Failures in a row that take a server out.", "3"),
        key("rise", Kind::Integer(1, 100), Is("1"), "Successes in a row that bring it back.", "1"),
        key(
            "start_period",
            Kind::Duration(0, DAY_MS),
            Is("0s"),
            "How long a server that has never answered may take to boot before a failure counts.",
            r#""40s""#,
        ),
    ],
    groups: &[],
};

static OUTLIER: Section = Section {
    title: "outlier of [pool.NAME]",
    doc: "Passive checks: a server that fails live requests, or does worse than the others, is taken out for a while.",
    keys: &[
        key(
            "failures",
            Kind::Integer(1, 1_000),
            Is("3"),
            "Failures within `window` that take a server out.",
            "3",
        ),
        key("window", DURATION, Is("30s"), "How long a failure is remembered.", r#""30s""#),
        key(
            "eject",
            DURATION,
            Is("30s"),
            "How long it stays out the first time; doubled on each repeat, up to ten times.",
            r#""30s""#,
        ),
        key(
            "max_ejected",
            Kind::Percent(1, 100),
            Is("50%"),
            "Of the pool's servers, how many may be out at a time. One may always be, if another is up.",
            r#""50%""#,
        ),
        key(
            "success_rate",
            Kind::Decimal(0.1, 100.0),
            Means("success rates are not compared"),
            "Takes a server out whose success rate within `window` is this many standard deviations below that of the \
             others.",
            "1.9",
        ),
        key(
            "latency",
            Kind::Decimal(1.1, 1_000.0),
            Means("latencies are not compared"),
            "Takes a server out whose average latency within `window` is this many times the median of all servers'.",
            "3.0",
        ),
        key(
            "requests_min",
            Kind::Integer(1, 1_000_000),
            Is("50"),
            "Requests within `window` that a server must have had to be compared; three such servers are needed. Only \
             with `success_rate` or `latency`.",
            "50",
        ),
    ],
    groups: &[],
};

static TIMEOUT: Section = Section {
    title: "timeout of [pool.NAME]",
    doc: "What waits for a server.",
    keys: &[
        key("connect", DURATION, Is("5s"), "To connect.", r#""1s""#),
        key(
            "response",
            DURATION,
            Is("60s"),
            "From the last byte of the request to the head of the response, and between two reads of the response.",
            r#""30s""#,
        ),
        key("idle", DURATION, Is("60s"), "How long an idle connection to a server is kept.", r#""60s""#),
    ],
    groups: &[],
};
