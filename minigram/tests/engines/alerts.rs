//! A webhook, which Alertmanager calls.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Json, State};
use axum::routing::post;
use minigram::process::wait_until;
use serde_json::Value;

/// How long an alert may take: it is due after 5 s, and the machine may be busy.
const BOUND: Duration = Duration::from_secs(60);

type Alerts = Arc<Mutex<Vec<Value>>>;

/// Takes alerts.
pub struct Receiver {
    pub url: String,
    alerts: Alerts,
}

impl Receiver {
    pub async fn start() -> Self {
        let alerts = Alerts::default();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/", post(receive)).with_state(Arc::clone(&alerts));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, alerts }
    }

    /// An alert of this name that has come.
    pub fn find(&self, name: &str) -> Option<Value> {
        let alerts = self.alerts.lock().unwrap();
        alerts.iter().find(|it| it["labels"]["alertname"] == name).cloned()
    }

    /// Waits for an alert about a node.
    pub async fn wait_for(&self, name: &str, node: &str) {
        let is_here = || async {
            let alerts = self.alerts.lock().unwrap();
            alerts.iter().any(|it| it["labels"]["alertname"] == name && it["labels"]["node"] == node)
        };
        wait_until(&format!("the alert {name} about {node}"), BOUND, is_here).await.unwrap();
    }
}

async fn receive(State(alerts): State<Alerts>, Json(call): Json<Value>) {
    alerts.lock().unwrap().extend(call["alerts"].as_array().unwrap().iter().cloned());
}
