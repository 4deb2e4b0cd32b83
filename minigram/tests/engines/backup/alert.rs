//! An application server fails, Prometheus notices, and Alertmanager calls a webhook.

use std::net::Ipv4Addr;
use std::time::Instant;

use minigram::app::{App, AppSettings, serve};
use minigram::clock::Clock;
use minigram::leave::Leave;
use minigram::process::wait_until;
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::net::TcpListener;

use super::engines::{BOUND, Engines};
use crate::alerts::Receiver;

const ALERT: &str = "MinigramErrorRatioHigh";

/// A server of MiniGram answers well at first: no alert. Then its store breaks.
pub async fn errors_of_a_server_reach_the_webhook(engines: &Engines<'_>, alerts: &Receiver) {
    let folder = tempfile::tempdir().unwrap();
    let embedded = minigram::engines::Engines::embedded(folder.path(), Clock::System).await.unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (leave, leaving) = Leave::pair();
    let app = App::new(embedded, AppSettings::new("app-1", [7; 32])).unwrap();
    let server = tokio::spawn(serve(app, listener, leaving));
    let targets = json!([{ "targets": [address], "labels": { "service": "app-1" } }]);
    std::fs::write(engines.endpoints.targets.join("app.json"), targets.to_string()).unwrap();

    let client = reqwest::Client::new();
    let user = format!("http://{address}/api/v1/users/ada");
    let ask = async || client.get(&user).send().await.unwrap().status();
    let ratio = "api/v1/query?query=minigram:http_errors:ratio_rate1m";
    let query = format!("http://127.0.0.1:{}/{ratio}", engines.endpoints.prometheus);
    // Prometheus has counted requests, and no failed one.
    let is_counted = || async {
        assert_eq!(ask().await, 404);
        let query = client.get(&query).send().await;
        let found: Value = query.unwrap().json().await.unwrap();
        found["data"]["result"][0]["value"][1] == "0"
    };
    wait_until("Prometheus counts the server's requests", BOUND, is_counted).await.unwrap();
    assert_eq!(alerts.find(ALERT), None);

    let begun = Instant::now();
    let file = SqliteConnectOptions::new().filename(store_in(folder.path()));
    let mut store = SqliteConnection::connect_with(&file).await.unwrap();
    sqlx::raw_sql("ALTER TABLE users RENAME TO gone").execute(&mut store).await.unwrap();
    let has_come = || async {
        assert!(ask().await.is_server_error());
        alerts.find(ALERT).is_some()
    };
    wait_until("the alert", BOUND, has_come).await.unwrap();
    let alert = alerts.find(ALERT).unwrap();
    println!("the alert came {:.1} s after the first error", begun.elapsed().as_secs_f64());
    assert_eq!(alert["status"], "firing");
    assert_eq!(alert["labels"]["severity"], "critical");
    let summary = alert["annotations"]["summary"].as_str().unwrap();
    assert!(summary.contains("of all requests are answered 5xx, above 1 %"), "{summary}");
    leave.request();
    server.abort();
}

/// The file of the embedded store.
fn store_in(folder: &std::path::Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let mut stores = files.filter(|it| {
        let name = it.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("store") && !name.ends_with("-wal") && !name.ends_with("-shm")
    });
    stores.next().unwrap()
}
