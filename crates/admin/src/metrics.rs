//! `GET /metrics`: the registry's page, with what only the snapshot knows of the servers put in first.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::context::Context;

/// Figures in the Prometheus text format
#[utoipa::path(get, path = "/metrics", tag = "process", responses((status = 200, content_type = "text/plain", body = String, description = "Version 0.0.4 of the format.")))]
pub(crate) async fn metrics(State(context): State<Arc<Context>>) -> impl IntoResponse {
    take_in_servers(&context);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], context.registry.render())
}

/// Brings the gauges of each configured server up to date.
fn take_in_servers(context: &Context) {
    let snapshot = context.snapshot.load();
    for state in snapshot.pools.iter().map(|pool| pool.state()) {
        let (config, pool) = (&state.config, &state.servers);
        let figures = context.registry.pool(&config.name);
        figures.panic.set(i64::from(pool.panic.is_some()));
        if config.wait_for_server.is_some() {
            figures.waiting_for_server.set(i64::try_from(pool.arrivals.waiting()).unwrap_or(i64::MAX));
        }
        for position in 0..pool.members.len() {
            let server = pool.members.server(position);
            let figures = context.registry.backend(&config.name, &server.id);
            figures.up.set(i64::from(pool.members.usable(position)));
            figures.weight_milli.set((pool.members.effective_weight(position) * 1e3).round() as i64);
            figures.in_flight.set(i64::from(server.load.in_flight()));
        }
    }
}
