//! What operators see of a process of workers: gauges of the queue, and `/metrics` and `/healthz`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::metrics::Metrics;
use super::pause::Pause;
use super::settings::WorkerSettings;
use crate::clock::Clock;
use crate::domain::jobs::TOPICS;
use crate::engines::Engines;
use crate::leave::Leave;
use crate::ports::Source;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Reads the gauges of queue and outbox until leaving is requested.
pub async fn gauges(
    engines: Engines,
    settings: Arc<WorkerSettings>,
    metrics: Arc<Metrics>,
    mut leave: Leave,
) {
    let mut pause = Pause::new();
    while !leave.is_requested() {
        match read(&engines, &metrics).await {
            Ok(()) => {
                pause.over();
                drop(timeout(settings.gauges_every, leave.requested()).await);
            }
            Err(error) => pause.after(&error, "the gauges were not read", "gauges", &mut leave).await,
        }
    }
}

async fn read(engines: &Engines, metrics: &Metrics) -> Result<(), Source> {
    metrics.outbox(engines.store.outbox_len().await?);
    for topic in TOPICS {
        let depth = engines.queue.depth(topic).await?;
        let oldest = engines.queue.oldest(topic).await?;
        let age = oldest.map_or(Duration::ZERO, |oldest| Clock::System.now().since(oldest));
        metrics.queue(topic, depth, age);
    }
    Ok(())
}

/// Serves `/metrics` and `/healthz` for as long as it is polled.
///
/// # Errors
/// The listener failed.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>) -> std::io::Result<()> {
    let routes = Router::new().route("/metrics", get(text)).route("/healthz", get(|| async { "ok\n" }));
    axum::serve(listener, routes.with_state(metrics)).await
}

async fn text(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
