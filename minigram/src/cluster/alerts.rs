//! The webhook that Alertmanager always calls: it writes each alert into a log, where `minigram logs` finds it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Json, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Bytes of one call, at most.
const BODY_BYTES_MAX: usize = 1024 * 1024;

type Log = Arc<Mutex<File>>;

/// Serves it on a free port of this machine; the task, and the URL.
pub async fn serve(state: &Path) -> anyhow::Result<(JoinHandle<()>, String)> {
    let path = state.join("logs/alerts.log");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let log: Log =
        Arc::new(Mutex::new(file.with_context(|| format!("{} cannot be opened", path.display()))?));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for alerts")?;
    let url = format!("http://{}/alerts", listener.local_addr().context("no port for alerts")?);
    let limit = DefaultBodyLimit::max(BODY_BYTES_MAX);
    let router = Router::new().route("/alerts", post(receive)).layer(limit).with_state(log);
    let served = async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!("alerts are no longer received: {error}");
        }
    };
    Ok((tokio::spawn(served), url))
}

/// Takes what Alertmanager sends: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.
async fn receive(State(log): State<Log>, Json(body): Json<Value>) -> StatusCode {
    let lines: String = body["alerts"].as_array().into_iter().flatten().map(line).collect();
    let written = log.lock().unwrap_or_else(PoisonError::into_inner).write_all(lines.as_bytes());
    match written {
        Ok(()) => StatusCode::NO_CONTENT,
        // Alertmanager repeats the call.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn line(alert: &Value) -> String {
    let is_firing = alert["status"] == "firing";
    let line = json!({
        "timestamp": alert[if is_firing { "startsAt" } else { "endsAt" }],
        "level": if is_firing { "WARN" } else { "INFO" },
        "message": format!("{} {}", alert["labels"]["alertname"].as_str().unwrap_or_default(), alert["status"].as_str().unwrap_or_default()),
        "summary": alert["annotations"]["summary"],
        "labels": alert["labels"],
    });
    format!("{line}\n")
}
