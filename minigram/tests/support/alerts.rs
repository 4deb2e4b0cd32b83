//! A webhook, which Alertmanager calls.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::extract::{Json, State};
use axum::routing::post;
use serde_json::Value;

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

    /// The first alert of this name that has come, and has these labels.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<Value> {
        let alerts = self.alerts.lock().unwrap();
        let is_it = |it: &&Value| {
            it["labels"]["alertname"] == name
                && labels.iter().all(|(label, value)| it["labels"][label] == *value)
        };
        alerts.iter().find(is_it).cloned()
    }
}

async fn receive(State(alerts): State<Alerts>, Json(call): Json<Value>) {
    alerts.lock().unwrap().extend(call["alerts"].as_array().unwrap().iter().cloned());
}
