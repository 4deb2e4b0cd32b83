//! `breaker`, `server_breaker`, `queue` and `concurrency` of a pool, and `[overload]`, as TOML.

use super::{Lines, percent, quote, time};
use crate::model::{
    Breaker, Concurrency, ConcurrencyAlgorithm, Overload, Pool, Priority, Queue, QueueOrder, Trip,
};
use crate::value::show_size;

pub(super) fn pool(out: &mut Lines, pool: &Pool) {
    match &pool.breaker {
        Some(it) => out.line("breaker", breaker(it)),
        None => out.comment("no breaker: no limits for the pool as a whole"),
    }
    match &pool.server_breaker {
        Some(it) => out.line("server_breaker", format_args!("{{ {} }}", trip(it).join(", "))),
        None => out.comment("no server_breaker"),
    }
    match &pool.queue {
        Some(Queue { wait, order }) => {
            let order = match order {
                QueueOrder::First => "first",
                QueueOrder::NewestUnderOverload => "newest-under-overload",
            };
            out.line("queue", format_args!("{{ wait = {}, order = {} }}", time(*wait), quote(order)));
        }
        None => out.comment("no queue: 503 at once when there is no place"),
    }
    match &pool.concurrency {
        Some(Concurrency { algorithm, min, max }) => {
            let algorithm = match algorithm {
                ConcurrencyAlgorithm::Gradient => "gradient",
                ConcurrencyAlgorithm::Aimd => "aimd",
            };
            let algorithm = quote(algorithm);
            out.line("concurrency", format_args!("{{ algorithm = {algorithm}, min = {min}, max = {max} }}"));
        }
        None => out.comment("no concurrency: no limit that follows latency"),
    }
}

pub(super) fn overload(out: &mut Lines, overload: &Overload) {
    out.header("[overload]");
    match overload.memory {
        Some(memory) => out.line("memory", quote(&show_size(memory))),
        None => out.comment("no memory: it does not count"),
    }
    match overload.descriptors {
        Some(share) => out.line("descriptors", percent(share)),
        None => out.comment("no descriptors: they do not count"),
    }
    match overload.delay {
        Some(delay) => out.line("delay", time(delay)),
        None => out.comment("no delay: it does not count"),
    }
}

pub(super) fn priority(out: &mut Lines, priority: Priority) {
    let word = match priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
    };
    out.line("priority", quote(word));
}

fn breaker(breaker: &Breaker) -> String {
    let limits = [
        ("max_connections", breaker.max_connections),
        ("max_pending", Some(breaker.max_pending)),
        ("max_requests", breaker.max_requests),
        ("max_retries", breaker.max_retries),
    ];
    let mut parts: Vec<String> =
        limits.iter().filter_map(|(key, limit)| Some(format!("{key} = {}", (*limit)?))).collect();
    parts.extend(breaker.trip.iter().flat_map(trip));
    format!("{{ {} }}", parts.join(", "))
}

fn trip(trip: &Trip) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(share) = trip.failures {
        parts.push(format!("failures = {}", percent(share)));
    }
    if let Some(share) = trip.slow {
        parts.push(format!("slow = {}, slow_after = {}", percent(share), time(trip.slow_after)));
    }
    parts.push(format!(
        "window = {}, requests_min = {}, open_for = {}, trials = {}",
        time(trip.window),
        trip.requests_min,
        time(trip.open_for),
        trip.trials
    ));
    parts
}
