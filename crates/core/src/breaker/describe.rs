//! A pool's limits in words, for `explain`.

use evenkeel_config::{Pool, Trip};

/// What a request has to pass before it is given to a server of this pool, in a line; `None` if nothing.
pub fn describe(pool: &Pool) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(breaker) = &pool.breaker {
        let limits = [
            (breaker.max_connections, "connections in use"),
            (breaker.max_requests, "requests in flight"),
            (breaker.max_retries, "retries in flight"),
        ];
        parts.extend(limits.iter().filter_map(|(max, of)| Some(format!("at most {} {of}", (*max)?))));
        parts.extend(breaker.trip.as_ref().map(|trip| format!("open {}", opens(trip))));
    }
    if let Some(concurrency) = &pool.concurrency {
        parts.push(format!("between {} and {} in flight, by latency", concurrency.min, concurrency.max));
    }
    if let Some(trip) = &pool.server_breaker {
        parts.push(format!("a server is left out {}", opens(trip)));
    }
    if let Some(queue) = &pool.queue {
        parts.push(format!("{} may wait, {:?} each", pool.pending_max(), queue.wait));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn opens(trip: &Trip) -> String {
    let failures = trip.failures.map(|percent| format!("{percent}% fail"));
    let slow = trip.slow.map(|percent| format!("{percent}% take {:?}", trip.slow_after));
    let either: Vec<String> = failures.into_iter().chain(slow).collect();
    format!("for {:?} when {} within {:?}", trip.open_for, either.join(" or "), trip.window)
}
