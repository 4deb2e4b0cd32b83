//! Reads `breaker`, `server_breaker`, `queue` and `concurrency` of a pool, `[overload]`, and a route's `priority`.

use super::table::Table;
use crate::diagnostic::Diagnostic;
use crate::model::{
    Breaker, Concurrency, ConcurrencyAlgorithm, Overload, Pool, Priority, Queue, QueueOrder, Trip,
};

pub(super) fn breaker(pool: &Table<'_>) -> Option<Breaker> {
    let table = pool.table("breaker")?;
    note_what_has_no_effect(&table, pool);
    let keys = ["max_connections", "max_pending", "max_requests", "max_retries", "failures", "slow"];
    if !keys.iter().any(|key| table.has(key)) {
        table.reader.note(
            Diagnostic::error("a `breaker` that limits nothing, and that nothing opens")
                .at(table.at.clone())
                .with_expected("expected a limit, `failures` or `slow`")
                .with_help("add `failures = \"50%\"`, or a limit such as `max_requests = 1000`"),
        );
    }
    let limit = |key| {
        let number = table.value(key)?.integer()?;
        u32::try_from(number).ok()
    };
    Some(Breaker {
        max_connections: limit("max_connections"),
        max_pending: table.small("max_pending"),
        max_requests: limit("max_requests"),
        max_retries: limit("max_retries"),
        trip: trip(&table),
    })
}

pub(super) fn server_breaker(pool: &Table<'_>) -> Option<Trip> {
    let table = pool.table("server_breaker")?;
    let read = trip(&table);
    if !table.has("failures") && !table.has("slow") {
        table.reader.note(
            Diagnostic::error("a `server_breaker` that nothing opens")
                .at(table.at.clone())
                .with_expected("expected `failures`, `slow` or both")
                .with_help("add `failures = \"50%\"`"),
        );
    }
    read
}

/// The circuit breaker; `None` if nothing opens it.
fn trip(table: &Table<'_>) -> Option<Trip> {
    let share = |key| table.value(key).and_then(|value| value.percent());
    let (failures, slow) = (share("failures"), share("slow"));
    let (asks_failures, asks_slow) = (table.has("failures"), table.has("slow"));
    let only_with = |key: &'static str, holds: bool, others: &str| {
        let Some(span) = table.key_span(key).filter(|_| !holds) else { return };
        table.reader.note(
            Diagnostic::error(format!("`{key}` has no effect without {others}"))
                .at(span)
                .with_expected(format!("only with {others}")),
        );
    };
    only_with("slow_after", asks_slow, "`slow`");
    for key in ["window", "requests_min", "open_for", "trials"] {
        only_with(key, asks_failures || asks_slow, "`failures` or `slow`");
    }
    if failures.is_none() && slow.is_none() {
        return None;
    }
    Some(Trip {
        failures,
        slow,
        slow_after: table.duration("slow_after"),
        window: table.duration("window"),
        requests_min: table.small("requests_min"),
        open_for: table.duration("open_for"),
        trials: table.small("trials"),
    })
}

pub(super) fn queue(pool: &Table<'_>) -> Option<Queue> {
    let table = pool.table("queue")?;
    Some(Queue {
        wait: table.duration("wait"),
        order: match table.word("order") {
            "newest-under-overload" => QueueOrder::NewestUnderOverload,
            _ => QueueOrder::First,
        },
    })
}

pub(super) fn concurrency(pool: &Table<'_>) -> Option<Concurrency> {
    let table = pool.table("concurrency")?;
    let (min, max) = (table.small("min"), table.small("max"));
    if min > max {
        table.reader.note(
            Diagnostic::error(format!("`min` is {min}, which is above `max`, {max}"))
                .at(table.key_span("min").unwrap_or_else(|| table.at.clone()))
                .with_expected("expected at most `max`"),
        );
    }
    let algorithm = match table.word("algorithm") {
        "aimd" => ConcurrencyAlgorithm::Aimd,
        _ => ConcurrencyAlgorithm::Gradient,
    };
    Some(Concurrency { algorithm, min, max: max.max(min) })
}

pub(super) fn overload(root: &Table<'_>) -> Overload {
    root.with("overload", |table| Overload {
        memory: table.value("memory").and_then(|value| value.size()),
        descriptors: table.value("descriptors").and_then(|value| value.percent()),
        delay: table.value("delay").and_then(|value| value.duration()),
    })
}

pub(super) fn priority(route: &Table<'_>) -> Priority {
    match route.word("priority") {
        "low" => Priority::Low,
        "high" => Priority::High,
        _ => Priority::Normal,
    }
}

/// Notes limits that nothing is held to.
fn note_what_has_no_effect(table: &Table<'_>, pool: &Table<'_>) {
    let shares = pool.value("protocol").is_some_and(|value| value.is_word("http2"));
    if let Some(span) = table.key_span("max_connections").filter(|_| shares) {
        table.reader.note(
            Diagnostic::error("requests share the connections of HTTP/2")
                .at(span)
                .with_expected("only with `protocol = \"http1\"`")
                .with_help("limit the requests: `max_requests`"),
        );
    }
    if let Some(span) = table.key_span("max_pending").filter(|_| !pool.has("queue")) {
        table.reader.note(
            Diagnostic::warning("`max_pending` has no effect without `queue`")
                .at(span)
                .with_expected("has no effect")
                .with_help("add `queue = { wait = \"1s\" }` to the pool"),
        );
    }
}

/// Notes a queue that no limit leads to.
pub(super) fn check(pool: &Pool, table: &Table<'_>) {
    let limits = pool.breaker.as_ref().is_some_and(|it| it.max_connections.or(it.max_requests).is_some());
    // A server without a limit always has room.
    let servers_fill = pool.backends.iter().all(|backend| backend.max_connections.is_some());
    if let Some(span) =
        table.key_span("queue").filter(|_| !limits && !servers_fill && pool.concurrency.is_none())
    {
        table.reader.note(
            Diagnostic::warning("nobody ever waits in this `queue`: no limit can be reached")
                .at(span)
                .with_expected("has no effect")
                .with_help("give each server `max_connections`, or the pool a `breaker` with `max_requests`"),
        );
    }
}
