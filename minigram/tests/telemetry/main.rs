//! A trace as it reaches a collector: the client's trace goes on in the server, down to the calls of engines. A process
//! has one log, so this is a process of its own.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use minigram::app::{App, AppSettings, Leaving};
use minigram::clock::Clock;
use minigram::domain::passwords::Passwords;
use minigram::embedded::blobs::ObjectBlobs;
use minigram::embedded::bus::MemoryBus;
use minigram::embedded::cache::MemoryCache;
use minigram::embedded::queue::SqliteQueue;
use minigram::embedded::sessions::MemorySessions;
use minigram::embedded::store::SqliteStore;
use minigram::engines::Engines;
use minigram::leave::Leave;
use minigram::ports::queue::Policy;
use minigram::telemetry::{self, TelemetrySettings};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

#[path = "../support/collector.rs"]
mod collector;

use collector::{Collector, hex};

const DEADLINE: Duration = Duration::from_secs(20);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

async fn engines(directory: &TempDir) -> Engines {
    let (file, clock) = (|name| directory.path().join(name), Clock::System);
    Engines {
        store: Arc::new(SqliteStore::open(&file("store"), clock.clone(), 100).await.unwrap()),
        sessions: Arc::new(MemorySessions::new(clock.clone(), 100)),
        cache: Arc::new(MemoryCache::new(clock.clone(), 1 << 20)),
        queue: Arc::new(SqliteQueue::open(&file("queue"), clock, Policy::default()).await.unwrap()),
        bus: Arc::new(MemoryBus::new(100, 64)),
        blobs: Arc::new(ObjectBlobs::local(&file("blobs")).unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_trace_goes_on_down_to_the_engines() {
    let collector = Collector::start().await;
    let telemetry = telemetry::start(TelemetrySettings {
        service: "minigram-server",
        instance: "app-1".to_owned(),
        json: true,
        file: None,
        filter: "info".to_owned(),
        otlp: Some(collector.url.clone()),
        sample: 0.0,
    })
    .unwrap();
    let directory = TempDir::new().unwrap();
    let mut settings = AppSettings::new("app-1", [7; 32]);
    settings.passwords = Passwords::weak(2);
    settings.leaving = Leaving { not_ready: Duration::ZERO, drain: DEADLINE };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/users", listener.local_addr().unwrap());
    let (leave, leaving) = Leave::pair();
    let engines = engines(&directory).await;
    let store = engines.store.clone();
    let app = App::new(engines, settings).unwrap();
    let serving = tokio::spawn(minigram::app::serve(app, listener, leaving));

    let http = reqwest::Client::new();
    let user = json!({"name": "ada", "password": "correct horse"});
    let signed_up = http.post(&url).json(&user).timeout(DEADLINE).send().await.unwrap();
    assert_eq!(signed_up.status(), 201);
    let traced = http.get(format!("{url}/ada")).header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(traced.timeout(DEADLINE).send().await.unwrap().status(), 200);
    let token =
        signed_up.json::<serde_json::Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    let photos = url.replace("users", "photos");
    let photo = http.post(photos).bearer_auth(token).body(&b"\xff\xd8\xff\xe0\0\x10JFIF"[..]);
    let posted = photo.header("traceparent", format!("00-{TRACE}-{PARENT}-01")).timeout(DEADLINE);
    assert_eq!(posted.send().await.unwrap().status(), 201);
    drop(http);
    leave.request();
    timeout(DEADLINE, serving).await.unwrap().unwrap().unwrap();
    timeout(DEADLINE, telemetry.end()).await.unwrap();

    let jobs = store.take_outbox(10, Duration::ZERO).await.unwrap();
    let received = collector.take();
    assert!(received.iter().all(|received| received.service == "minigram-server"));
    let spans: Vec<Span> = received.into_iter().map(|received| received.span).collect();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "others are not recorded: {spans:?}");
    let by_id: HashMap<&[u8], &Span> = spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
    let named = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {:?}", spans.iter().map(|s| &s.name).collect::<Vec<_>>()))
    };
    let request = named("GET /api/v1/users/{name}");
    assert_eq!(hex(&request.parent_span_id), PARENT);
    for call in ["Cache.look", "Store.user_by_name"] {
        assert_eq!(by_id[named(call).parent_span_id.as_slice()].name, request.name, "{call}");
    }

    // The jobs of the photo carry the trace on to the worker.
    let post = hex(&named("POST /api/v1/photos").span_id);
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        let expected = format!("00-{TRACE}-{post}-01");
        assert_eq!(minigram::domain::jobs::traceparent(&job.job), Some(expected), "{job:?}");
    }
}
