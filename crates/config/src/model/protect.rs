//! What keeps pools and the process from being given more than they can do: limits, circuit breakers, queues.

use std::time::Duration;

use super::failure::{self, FailureOn};
use crate::declare::{Rules, Shown, default_of, section, word_settings, words};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Are, Is, Means};
use crate::keys::syntax::FAILURE_ON;
use crate::keys::{DURATION, Kind, flat, key};
use crate::read::{Table, Value};
use crate::show::quote;
use crate::value::show_duration;

section! {
    /// Limits for the pool as a whole, over all workers, and a circuit breaker: while too many requests fail, or
    /// take too long, all are answered with 503 at once. Beyond a limit requests wait in the `queue` if there is
    /// one, else they get 503 with `Retry-After`.
    #[derive(PartialEq, Eq)]
    pub struct Breaker "breaker of [pool.NAME]" {
        /// Connections in use. Only with `protocol = "http1"`: requests share those of HTTP/2.
        max_connections: Option<u32> = key(Kind::Integer(1, 1_000_000), Means("no limit"), "1000"),
        /// Requests that wait in the `queue`. Has an effect only with it.
        max_pending: u32 = key(Kind::Integer(1, 100_000), Is("100"), "100"),
        /// Requests in flight.
        max_requests: Option<u32> = key(Kind::Integer(1, 10_000_000), Means("no limit"), "10_000"),
        /// Retries and hedges that wait for an answer.
        max_retries: Option<u32> = key(Kind::Integer(0, 1_000_000), Means("no limit"), "50"),
        /// The circuit breaker.
        trip: Option<Trip> = flat(Trip::SECTION),
    }
}

impl Rules for Breaker {
    fn finish(&mut self, table: &Table<'_>) {
        let keys = ["max_connections", "max_pending", "max_requests", "max_retries", "failures", "slow"];
        if !keys.iter().any(|key| table.has(key)) {
            table.reader.note(
                Diagnostic::error("a `breaker` that limits nothing, and that nothing opens")
                    .at(table.at.clone())
                    .with_expected("expected a limit, `failures` or `slow`")
                    .with_help("add `failures = \"50%\"`, or a limit such as `max_requests = 1000`"),
            );
        }
        if !Trip::is_given(table) {
            Trip::note_what_has_no_effect(table);
        }
    }
}

section! {
    /// A circuit breaker for each server: one that is open is passed over. With `failures`, `slow` or both.
    #[derive(PartialEq, Eq)]
    pub struct Trip "server_breaker of [pool.NAME]" {
        /// It opens when at least this share of the requests that ended within `window` failed, as `on` says.
        failures: Option<u32> = key(Kind::Percent(1, 100), Means("failures do not open it"), r#""50%""#),
        /// Failures that count: `connect`: the server could not be reached. `reset`: the connection ended before the end
        /// of the answer, or the answer was malformed. `timeout`: no answer in time. A status, or all of `5xx`. Only with
        /// `failures`.
        on: FailureOn = key(
            Kind::OneOrList(&Kind::Text(&FAILURE_ON), 64),
            Are(failure::DEFAULT),
            r#"["connect", "reset", "timeout", "5xx"]"#,
        ),
        /// It opens when at least this share of the requests that ended within `window` took `slow_after` or longer.
        slow: Option<u32> = key(Kind::Percent(1, 100), Means("slowness does not open it"), r#""50%""#),
        /// From the start of a request to the head of its answer, but for the time that the client takes to send its
        /// body. Only with `slow`.
        slow_after: Duration = key(DURATION, Is("2s"), r#""2s""#),
        /// How long the end of a request is remembered. Only with `failures` or `slow`, as all that follow.
        window: Duration = key(Kind::Duration(100, 3_600_000), Is("10s"), r#""10s""#),
        /// Fewer requests than these within `window` say nothing.
        requests_min: u32 = key(Kind::Integer(1, 100_000), Is("20"), "20"),
        /// How long it stays open; doubled each time that a trial fails, up to ten times.
        open_for: Duration = key(DURATION, Is("10s"), r#""10s""#),
        /// Requests that go through at a time after that, as trials. It closes when so many have succeeded, and opens
        /// again when one fails.
        trials: u32 = key(Kind::Integer(1, 1_000), Is("3"), "3"),
    }
}

impl Rules for Trip {
    fn is_given(table: &Table<'_>) -> bool {
        table.has("failures") || table.has("slow")
    }

    fn finish(&mut self, table: &Table<'_>) {
        Self::note_what_has_no_effect(table);
        if !Self::is_given(table) {
            table.reader.note(
                Diagnostic::error("a `server_breaker` that nothing opens")
                    .at(table.at.clone())
                    .with_expected("expected `failures`, `slow` or both")
                    .with_help("add `failures = \"50%\"`"),
            );
        }
    }

    fn shown(&self, key: &str) -> Shown {
        Shown::only_if(match key {
            "slow_after" => self.slow.is_some(),
            "on" => self.failures.is_some(),
            _ => true,
        })
    }
}

impl Trip {
    fn note_what_has_no_effect(table: &Table<'_>) {
        let only_with = |key: &'static str, holds: bool, others: &str| {
            let Some(span) = table.key_span(key).filter(|_| !holds) else { return };
            table.reader.note(
                Diagnostic::error(format!("`{key}` has no effect without {others}"))
                    .at(span)
                    .with_expected(format!("only with {others}")),
            );
        };
        only_with("slow_after", table.has("slow"), "`slow`");
        only_with("on", table.has("failures"), "`failures`");
        for key in ["window", "requests_min", "open_for", "trials"] {
            only_with(key, Self::is_given(table), "`failures` or `slow`");
        }
    }
}

section! {
    /// How requests wait while no server of the pool may be used: all are down, starting, drained or of another role. The
    /// request that waits takes no permit meanwhile, and its body is not read.
    #[derive(Copy, PartialEq, Eq)]
    pub struct WaitForServer "wait_for_server of [pool.NAME]" {
        /// How long a request waits. It also waits for no longer than its own time allows.
        at_most: Duration = key(DURATION, Is("3s"), r#""3s""#),
        /// Requests that wait at a time. Beyond, a request is answered with 503 at once.
        requests: u32 = key(Kind::Integer(1, 100_000), Is("1000"), "1000"),
    }
}

impl Rules for WaitForServer {
    fn short(value: &Value<'_>) -> Option<Self> {
        Some(Self { at_most: value.duration()?, requests: default_of::<Self, _>("requests") })
    }

    fn shown_short(&self) -> Option<String> {
        (self.requests == default_of::<Self, u32>("requests")).then(|| quote(&show_duration(self.at_most)))
    }
}

section! {
    /// Where requests wait for a permit when a limit is reached: `max_connections` of every server, or one of the
    /// pool. At most `breaker.max_pending` wait, 100 without a `breaker`. A request that finds no room, or gets no
    /// permit in time, is answered with 503 and `Retry-After`.
    #[derive(PartialEq, Eq)]
    pub struct Queue "queue of [pool.NAME]" {
        /// How long a request is queued at most.
        wait: Duration = key(DURATION, Is("1s"), r#""1s""#),
        /// `first`: first come, first served. `newest-under-overload`: the newest first once the queue has not
        /// been empty for 100 ms, because the newest can still be answered in time when the oldest cannot.
        order: QueueOrder = key(
            Kind::OneOf(QueueOrder::WORDS),
            Is(QueueOrder::First.word()),
            r#""newest-under-overload""#,
        ),
    }
}

impl Rules for Queue {}

words! {
    /// Which queued request is next.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum QueueOrder {
        /// First come, first served. The default.
        First = "first",
        /// The newest, once the queue has not been empty for a while.
        NewestUnderOverload = "newest-under-overload",
    }
}

section! {
    /// A limit on requests in flight that follows their latency: it falls while answers are slower than usual, and
    /// grows while they are not. It begins at 20.
    #[derive(PartialEq, Eq)]
    pub struct Concurrency "concurrency of [pool.NAME]" {
        /// `gradient` follows how the usual latency compares with the present one (Netflix's Gradient2). `aimd` adds
        /// one while answers are at most half as slow again as usual, and takes a tenth when they are not.
        algorithm: ConcurrencyAlgorithm = key(
            Kind::OneOf(ConcurrencyAlgorithm::WORDS),
            Is(ConcurrencyAlgorithm::Gradient.word()),
            r#""gradient""#,
        ),
        /// The limit never falls below.
        min: u32 = key(Kind::Integer(1, 1_000_000), Is("10"), "10"),
        /// The limit never grows beyond.
        max: u32 = key(Kind::Integer(1, 1_000_000), Is("1000"), "1000"),
    }
}

impl Rules for Concurrency {
    fn finish(&mut self, table: &Table<'_>) {
        let Self { min, max, .. } = *self;
        if min > max {
            table.reader.note(
                Diagnostic::error(format!("`min` is {min}, which is above `max`, {max}"))
                    .at(table.key_span("min").unwrap_or_else(|| table.at.clone()))
                    .with_expected("expected at most `max`"),
            );
        }
        self.max = max.max(min);
    }
}

words! {
    /// How a limit follows latency.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ConcurrencyAlgorithm {
        /// By how the usual latency compares with the present one. The default.
        Gradient = "gradient",
        /// Up by one, down by a tenth.
        Aimd = "aimd",
    }
}

section! {
    /// What the process does when it runs short, in steps: connections carry no further request; requests of routes
    /// of `priority = "low"` get 503 with `Retry-After`; then those of `"normal"`; then new connections are closed,
    /// save on listeners that lead to a route of `"high"`. The admin API is never affected. Only what is given
    /// counts.
    #[derive(PartialEq, Eq)]
    pub struct Overload "[overload]" {
        /// Resident memory. The steps begin at 80, 90, 95 and 100 % of it.
        memory: Option<u64> = key(Kind::Size(1 << 20, 1 << 50), Means("memory does not count"), r#""2GiB""#),
        /// File descriptors, as a share of what the process may open. The steps begin at 80, 90, 95 and 100 % of it.
        descriptors: Option<u32> = key(Kind::Percent(1, 100), Means("descriptors do not count"), r#""90%""#),
        /// Event-loop lag of a worker. The steps begin at 1, 2, 4 and 8 times this.
        delay: Option<Duration> = key(Kind::Duration(1, 60_000), Means("delay does not count"), r#""100ms""#),
    }
}

impl Rules for Overload {}

words! {
    /// `priority` of a route.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum Priority {
        /// Turned away first.
        Low = "low",
        /// The default.
        #[default]
        Normal = "normal",
        /// Never turned away for an overload.
        High = "high",
    }
}

word_settings!(QueueOrder, ConcurrencyAlgorithm, Priority);
