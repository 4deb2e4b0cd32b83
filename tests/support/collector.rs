//! A collector of traces: it takes OTLP over HTTP as any other does, and decodes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as otlp};
use prost::Message;

use super::message::Request;
use super::{Evenkeel, Origin, Wire, eventually, pool};

/// A collector at a port of its own.
pub struct Collector {
    /// The server that it is.
    pub origin: Origin,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty for a root.
    pub parent: String,
    pub state: String,
    pub name: String,
    pub kind: SpanKind,
    pub nanoseconds: (u64, u64),
    /// Each value as text.
    pub attributes: BTreeMap<String, String>,
    /// Those of the process.
    pub resource: BTreeMap<String, String>,
    /// `None` unless it is an error.
    pub error: Option<String>,
}

impl Collector {
    /// One that takes everything.
    pub fn start() -> Self {
        Self::answering(|_, wire| {
            let body = ExportTraceServiceResponse::default().encode_to_vec();
            wire.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
                body.len()
            ));
            wire.send(body);
        })
    }

    /// One that answers like this, and keeps what it decodes in any case.
    pub fn answering(answer: impl Fn(&Request, &mut Wire) + Send + Sync + 'static) -> Self {
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let theirs = spans.clone();
        let origin = Origin::start(move |request, wire| {
            assert_eq!((request.method(), request.target()), ("POST", "/v1/traces"));
            assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
            let decoded = ExportTraceServiceRequest::decode(&*request.body.bytes).unwrap();
            theirs.lock().unwrap().extend(decoded.resource_spans.into_iter().flat_map(of_resource));
            answer(request, wire);
        });
        Self { origin, spans }
    }

    /// `[tracing]` with this collector, and more of its keys.
    pub fn tracing(&self, keys: &str) -> String {
        format!("[tracing]\notlp = \"http://{}\"\n{keys}\n", self.origin.address())
    }

    /// A balancer in front of `servers` that traces to it.
    pub fn traced(&self, tracing: &str, servers: &[&Origin], keys: &str) -> Evenkeel {
        Evenkeel::start(&(self.tracing(tracing) + &pool(servers, keys)))
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// The spans of the trace whose server span is like this; waits for it.
    pub fn trace(&self, like: impl Fn(&Span) -> bool) -> (Span, Vec<Span>) {
        let mut found = None;
        eventually("the trace came", || {
            let spans = self.spans();
            let server = spans.iter().find(|span| span.kind == SpanKind::Server && like(span)).cloned();
            found = server.map(|server| {
                let mut tries: Vec<_> = spans.into_iter().filter(|span| span.parent == server.id).collect();
                tries.sort_by_key(|of| of.nanoseconds);
                (server, tries)
            });
            found.is_some()
        });
        found.unwrap()
    }

    /// The trace of the request for this path.
    pub fn trace_of(&self, path: &str) -> (Span, Vec<Span>) {
        self.trace(|span| span.has("url.path") == Some(path))
    }
}

impl Span {
    /// An attribute.
    pub fn has(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }

    /// That the span has these attributes.
    #[track_caller]
    pub fn assert_has(&self, expected: &[(&str, &str)]) {
        for (key, value) in expected {
            assert_eq!(self.has(key), Some(*value), "{key} of {self:#?}");
        }
    }
}

fn of_resource(of: otlp::ResourceSpans) -> Vec<Span> {
    let resource = attributes(of.resource.unwrap_or_default().attributes);
    let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| of_span(span, &resource)).collect()
}

fn of_span(span: otlp::Span, resource: &BTreeMap<String, String>) -> Span {
    let status = span.status.clone().unwrap_or_default();
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: span.kind(),
        state: span.trace_state,
        name: span.name,
        nanoseconds: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: attributes(span.attributes),
        resource: resource.clone(),
        error: (status.code() == StatusCode::Error).then_some(status.message),
    }
}

fn attributes(of: Vec<KeyValue>) -> BTreeMap<String, String> {
    of.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
