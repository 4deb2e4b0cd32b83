//! `GET /process`: which process this is, for commands that look for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use evenkeel_types::Time;
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::Context;
use crate::rounded::seconds;

/// Which process this is. All of it is cheap to answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Process {
    pid: u32,
    version: &'static str,
    /// The absolute path of its configuration file; none if it runs without one.
    #[schema(value_type = Option<String>)]
    config: Option<PathBuf>,
    /// The number of what is in force: 1 in a new process, also after an upgrade, and one more with each reload that took effect,
    /// each return to the previous configuration, and each change of a split.
    generation: u64,
    uptime_seconds: f64,
    /// Whether it accepts no more connections, and finishes requests in flight.
    leaving: bool,
}

/// Which process this is: its pid, version and configuration file
#[utoipa::path(get, path = "/process", tag = "process", responses((status = 200, body = Process, description = "The process.")))]
pub(crate) async fn process(State(context): State<Arc<Context>>) -> Json<Process> {
    Json(Process {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        config: context.source.clone(),
        generation: context.snapshot.load().generation,
        uptime_seconds: seconds(context.clock.now().since(Time::ZERO)),
        leaving: context.leaving.load(Ordering::Relaxed),
    })
}
