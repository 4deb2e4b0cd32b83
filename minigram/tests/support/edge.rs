//! An admin API of Evenkeel that notes purges, and fails while a test says so.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use minigram::app::edge::EdgeNode;
use serde_json::Value;
use tokio::net::TcpListener;

#[derive(Clone, Default)]
pub struct FakeEdge {
    port: u16,
    purged: Arc<Mutex<Vec<String>>>,
    /// How many of the next purges fail.
    failures: Arc<AtomicUsize>,
}

#[allow(dead_code, reason = "each program uses a part")]
impl FakeEdge {
    pub async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn on(listener: TcpListener) -> Self {
        let edge = Self { port: listener.local_addr().unwrap().port(), ..Self::default() };
        let purge = async |State(edge): State<Self>, Json(sent): Json<Value>| {
            let failed =
                edge.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if failed.is_ok() {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            let tag = sent["tag"].as_str().unwrap();
            let softly = if sent["soft"] == true { " softly" } else { "" };
            edge.purged.lock().unwrap().push(format!("{tag}{softly}"));
            StatusCode::OK
        };
        let router = Router::new().route("/cache/purge", post(purge)).with_state(edge.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        edge
    }

    pub fn node(&self) -> EdgeNode {
        EdgeNode { admin: format!("http://127.0.0.1:{}", self.port), token: None }
    }

    pub fn fail(&self, times: usize) {
        self.failures.store(times, Ordering::SeqCst);
    }

    /// What was purged since the last call: tags, with ` softly` if what has them is only stale.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.purged.lock().unwrap())
    }

    /// What was purged and not taken.
    pub fn purged(&self) -> Vec<String> {
        self.purged.lock().unwrap().clone()
    }
}
