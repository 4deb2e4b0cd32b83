//! A collector of traces, by OTLP over HTTP, that notes the spans which it receives.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Router, body::Bytes};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;

/// A span, and the `service.name` of the process that sent it.
pub struct Received {
    pub service: String,
    pub span: Span,
}

pub struct Collector {
    /// What a process is given to send traces here.
    pub url: String,
    spans: Arc<Mutex<Vec<Received>>>,
}

impl Collector {
    pub async fn start() -> Self {
        let spans = Arc::<Mutex<Vec<Received>>>::default();
        let take = async |State(spans): State<Arc<Mutex<Vec<Received>>>>, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            for sent in request.resource_spans {
                let service = service(sent.resource);
                let received = sent.scope_spans.into_iter().flat_map(|scope| scope.spans);
                let received = received.map(|span| Received { service: service.clone(), span });
                spans.lock().unwrap().extend(received);
            }
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(spans.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, spans }
    }

    /// All spans that were received so far.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.spans.lock().unwrap())
    }
}

fn service(resource: Option<Resource>) -> String {
    let attributes = resource.unwrap_or_default().attributes;
    let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
    match name.and_then(|name| name.value?.value) {
        Some(Value::StringValue(name)) => name,
        _ => String::new(),
    }
}

/// An id as `traceparent` and logs have it.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
