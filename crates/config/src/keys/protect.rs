//! The keys of what keeps pools and the process from being given more than they can do.

use super::Absent::{Is, Means};
use super::{DURATION, Key, Kind, Section, key};

const FAILURES: Key = key(
    "failures",
    Kind::Percent(1, 100),
    Means("failures do not open it"),
    "It opens when at least this share of the requests that ended within `window` failed: no connection, no answer in \
     time, a broken one, or 502 to 504.",
    r#""50%""#,
);
const SLOW: Key = key(
    "slow",
    Kind::Percent(1, 100),
    Means("slowness does not open it"),
    "It opens when at least this share of the requests that ended within `window` took `slow_after` or longer.",
    r#""50%""#,
);
const SLOW_AFTER: Key = key(
    "slow_after",
    DURATION,
    Is("2s"),
    "From the start of a request to the head of its answer, but for the time that the client takes to send its body. Only with `slow`.",
    r#""2s""#,
);
const WINDOW: Key = key(
    "window",
    Kind::Duration(100, 3_600_000),
    Is("10s"),
    "How long the end of a request is remembered. Only with `failures` or `slow`, as all that follow.",
    r#""10s""#,
);
const REQUESTS_MIN: Key = key(
    "requests_min",
    Kind::Integer(1, 100_000),
    Is("20"),
    "Fewer requests than these within `window` say nothing.",
    "20",
);
const OPEN_FOR: Key = key(
    "open_for",
    DURATION,
    Is("10s"),
    "How long it stays open; doubled each time that a trial fails, up to ten times.",
    r#""10s""#,
);
const TRIALS: Key = key(
    "trials",
    Kind::Integer(1, 1_000),
    Is("3"),
    "Requests that go through at a time after that, as trials. It closes when so many have succeeded, and opens again \
     when one fails.",
    "3",
);

pub(super) static BREAKER: Section = Section {
    title: "breaker of [pool.NAME]",
    doc: "Limits for the pool as a whole, over all workers, and a circuit breaker: while too many requests fail, or take \
          too long, all are answered with 503 at once. Beyond a limit requests wait in the `queue` if there is one, \
          else they get 503 with `Retry-After`.",
    keys: &[
        key(
            "max_connections",
            Kind::Integer(1, 1_000_000),
            Means("no limit"),
            "Connections in use. Only with `protocol = \"http1\"`: requests share those of HTTP/2.",
            "1000",
        ),
        key(
            "max_pending",
            Kind::Integer(1, 100_000),
            Is("100"),
            "Requests that wait in the `queue`. Has an effect only with it.",
            "100",
        ),
        key("max_requests", Kind::Integer(1, 10_000_000), Means("no limit"), "Requests in flight.", "10_000"),
        key(
            "max_retries",
            Kind::Integer(0, 1_000_000),
            Means("no limit"),
            "Retries and hedges that wait for an answer.",
            "50",
        ),
        FAILURES,
        SLOW,
        SLOW_AFTER,
        WINDOW,
        REQUESTS_MIN,
        OPEN_FOR,
        TRIALS,
    ],
    groups: &[],
};

pub(super) static SERVER_BREAKER: Section = Section {
    title: "server_breaker of [pool.NAME]",
    doc: "A circuit breaker for each server: one that is open is passed over. With `failures`, `slow` or both.",
    keys: &[FAILURES, SLOW, SLOW_AFTER, WINDOW, REQUESTS_MIN, OPEN_FOR, TRIALS],
    groups: &[],
};

pub(super) static QUEUE: Section = Section {
    title: "queue of [pool.NAME]",
    doc: "Where requests wait for a place when a limit is reached: `max_connections` of every server, or one of the pool. \
          At most `breaker.max_pending` wait, 100 without a `breaker`. Whoever finds no room, or waits in vain, gets 503 \
          with `Retry-After`.",
    keys: &[
        key("wait", DURATION, Is("1s"), "How long a request waits at most.", r#""1s""#),
        key(
            "order",
            Kind::OneOf(&["first", "newest-under-overload"]),
            Is("first"),
            "`first`: first come, first served. `newest-under-overload`: the newest first once somebody has been waiting for \
             100 ms without a break; it can still be answered in time when the oldest cannot.",
            r#""newest-under-overload""#,
        ),
    ],
    groups: &[],
};

pub(super) static CONCURRENCY: Section = Section {
    title: "concurrency of [pool.NAME]",
    doc: "A limit on requests in flight that follows their latency: it falls while answers are slower than usual, and \
          grows while they are not. It begins at 20.",
    keys: &[
        key(
            "algorithm",
            Kind::OneOf(&["gradient", "aimd"]),
            Is("gradient"),
            "`gradient` follows how the usual latency compares with the present one (Netflix's Gradient2). `aimd` adds one \
             while answers are at most half as slow again as usual, and takes a tenth when they are not.",
            r#""gradient""#,
        ),
        key("min", Kind::Integer(1, 1_000_000), Is("10"), "The limit never falls below.", "10"),
        key("max", Kind::Integer(1, 1_000_000), Is("1000"), "The limit never grows beyond.", "1000"),
    ],
    groups: &[],
};

pub(crate) static OVERLOAD: Section = Section {
    title: "[overload]",
    doc: "What the process does when it runs short, in steps: connections carry no further request; requests of routes of \
          `priority = \"low\"` get 503 with `Retry-After`; then those of `\"normal\"`; then new connections are \
          closed, save on listeners that lead to a route of `\"high\"`. The admin API is never affected. Only what is \
          given counts.",
    keys: &[
        key(
            "memory",
            Kind::Size(1 << 20, 1 << 50),
            Means("memory does not count"),
            "Resident memory. The steps begin at 80, 90, 95 and 100 % of it.",
            r#""2GiB""#,
        ),
        key(
            "descriptors",
            Kind::Percent(1, 100),
            Means("descriptors do not count"),
            "File descriptors, as a share of what the process may open. The steps begin at 80, 90, 95 and 100 % of it.",
            r#""90%""#,
        ),
        key(
            "delay",
            Kind::Duration(1, 60_000),
            Means("delay does not count"),
            "By how much a worker is late to do what it should. The steps begin at 1, 2, 4 and 8 times this.",
            r#""100ms""#,
        ),
    ],
    groups: &[],
};

pub(super) const MAX_CONNECTIONS: Key = key(
    "max_connections",
    Kind::Integer(1, 1_000_000),
    Means("no limit"),
    "Requests in flight at it, over all workers. A server that is full is passed over; when all are, requests wait in the \
     pool's `queue` if there is one, else they get 503.",
    "500",
);
