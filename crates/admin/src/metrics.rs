//! `GET /metrics`: the registry's page, with what only the snapshot knows of the servers put in first.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::response::IntoResponse;
use evenkeel_core::health::State as Health;
use evenkeel_observe::Format;

use crate::context::Context;

/// Figures as OpenMetrics for a scraper that likes it best, else in the Prometheus text format
#[utoipa::path(get, path = "/metrics", tag = "process", responses((status = 200, content_type = "text/plain", body = String, description = "Version 0.0.4 of the format; or `application/openmetrics-text`, version 1.0.0.")))]
pub(crate) async fn metrics(State(context): State<Arc<Context>>, headers: HeaderMap) -> impl IntoResponse {
    take_in_servers(&context);
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = format(accept.flat_map(|value| value.split(',')));
    ([(CONTENT_TYPE, format.content_type()), (VARY, "accept")], context.registry.render_as(format))
}

/// The format that a scraper prefers, by the members of its `Accept` (RFC 9110, 12.5.1).
fn format<'a>(accept: impl Iterator<Item = &'a str>) -> Format {
    let (mut open, mut plain) = (0.0, 0.0);
    for member in accept {
        let mut parameters = member.split(';').map(str::trim);
        let quality = match parameters.next() {
            Some("application/openmetrics-text") => &mut open,
            Some("text/plain") => &mut plain,
            _ => continue,
        };
        let q = parameters.find_map(|parameter| parameter.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
        *quality = q.unwrap_or(0.0_f32).max(*quality);
    }
    if open > plain { Format::OpenMetrics } else { Format::Prometheus }
}

/// Brings the gauges of each configured server up to date.
fn take_in_servers(context: &Context) {
    let snapshot = context.snapshot.load();
    let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    context.registry.connections_limit.set(whole(snapshot.config.limits.connections));
    for state in snapshot.pools.iter().map(|pool| pool.state()) {
        let (config, pool) = (&state.config, &state.servers);
        let figures = context.registry.pool(&config.name);
        figures.panic.set(i64::from(pool.panic.is_some()));
        figures.backends.set(whole(pool.members.len()));
        figures.backends_up.set(whole(pool.members.usable_count()));
        figures.queue_limit.set(config.queue.as_ref().map_or(0, |_| whole(config.pending_max())));
        if config.wait_for_server.is_some() {
            figures.waiting_for_server.set(whole(pool.arrivals.waiting()));
        }
        for position in 0..pool.members.len() {
            let server = pool.members.server(position);
            let figures = context.registry.backend(&config.name, &server.id);
            figures.up.set(i64::from(pool.members.usable(position)));
            let state_of = pool.states[position].state;
            figures.set_state((state_of != Health::Up).then_some(state_of.as_str()));
            figures.weight_milli.set((pool.members.effective_weight(position) * 1e3).round() as i64);
            figures.in_flight.set(i64::from(server.load.in_flight()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_goes_to_those_that_prefer_it() {
        let check = |accept: &str, expected| assert_eq!(format(accept.split(',')), expected, "{accept}");
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        check(prometheus, Format::OpenMetrics);
        check("application/openmetrics-text; version=1.0.0; q=0.3, text/plain;q=0.5", Format::Prometheus);
        check("application/openmetrics-text;q=0", Format::Prometheus);
        check("application/openmetrics-text;q=lots", Format::Prometheus);
        check("*/*", Format::Prometheus);
        check("", Format::Prometheus);
    }
}
