//! From a traced request to spans with the attributes of OpenTelemetry's semantic conventions for HTTP.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use evenkeel_observe::{Ended, RequestTrace, TryTrace, Version};
use evenkeel_types::Address;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// Methods that have a name in the conventions; others are `_OTHER`.
const METHODS: [&str; 10] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"];

/// The spans of a request: its own, and one for each try.
pub(crate) fn spans(request: RequestTrace) -> Vec<SpanData> {
    let mut spans = Vec::with_capacity(1 + request.tries.len());
    spans.push(of_request(&request));
    spans.extend(request.tries.iter().enumerate().map(|(before, of)| of_try(&request, before, of)));
    spans
}

/// Attributes as they come together.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(key, value));
    }

    fn number(&mut self, key: &'static str, value: u64) {
        self.add(key, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn text(&mut self, key: &'static str, value: &str) {
        self.add(key, value.to_owned());
    }
}

fn of_request(of: &RequestTrace) -> SpanData {
    let mut has = Attributes::default();
    let method = method(&of.method, &mut has);
    has.text("url.scheme", of.scheme);
    has.text("url.path", &of.path);
    of.query.iter().for_each(|query| has.text("url.query", query));
    has.text("server.address", &of.host);
    of.port.iter().for_each(|port| has.number("server.port", (*port).into()));
    has.text("network.protocol.name", "http");
    has.text("network.protocol.version", version(of.version));
    let (client, peer) = of.client;
    if !client.is_unspecified() {
        has.text("client.address", &client.to_canonical().to_string());
    }
    peer.iter().for_each(|peer| network_peer(&mut has, *peer));
    of.user_agent.iter().for_each(|agent| has.text("user_agent.original", agent));
    if of.status != 0 {
        has.number("http.response.status_code", of.status.into());
    }
    has.number("http.request.body.size", of.bytes.0);
    has.number("http.response.body.size", of.bytes.1);
    has.text("evenkeel.request_id", &of.request_id);
    has.text("evenkeel.listener", &of.listener);
    let pattern = of.route.as_ref().and_then(|(_, pattern)| pattern.as_deref());
    pattern.iter().for_each(|pattern| has.text("http.route", pattern));
    of.route.iter().for_each(|(name, _)| has.text("evenkeel.route", name.as_str()));
    of.pool.iter().for_each(|pool| has.text("evenkeel.pool", pool.as_str()));
    of.server.iter().for_each(|server| has.text("evenkeel.server", server.as_str()));
    has.number("evenkeel.tries", of.tries.len() as u64);
    of.cache.iter().for_each(|cache| has.text("evenkeel.cache", cache.as_str()));
    has.text("evenkeel.ended", of.ended.as_str());
    of.reason.iter().for_each(|reason| has.text("evenkeel.reason", reason));
    let error = match (of.status, of.ended) {
        (500.., _) => Some(of.status.to_string()),
        (_, Ended::Complete | Ended::Refused | Ended::Tunnel) => None,
        (_, ended) => Some(ended.as_str().to_owned()),
    };
    error.iter().for_each(|error| has.text("error.type", error));
    let status = match error {
        Some(_) => Status::error(of.reason.clone().unwrap_or_default()),
        None => Status::Unset,
    };
    let name = pattern.map_or(Cow::Borrowed(method), |pattern| format!("{method} {pattern}").into());
    SpanData {
        parent_span_id: of.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: of.parent.is_some(),
        span_kind: SpanKind::Server,
        ..span(of, of.span_id, name, (of.began_unix_ns, of.ended_unix_ns), has, status)
    }
}

fn of_try(request: &RequestTrace, before: usize, of: &TryTrace) -> SpanData {
    let mut has = Attributes::default();
    let method = method(&request.method, &mut has);
    let (address, port) = match &of.address {
        Address::Ip(address) => (address.ip().to_string(), Some(address.port())),
        Address::Name(host, port) => (host.clone(), Some(*port)),
        Address::Unix(path) => (path.to_string_lossy().into_owned(), None),
    };
    has.text("server.address", &address);
    port.iter().for_each(|port| has.number("server.port", (*port).into()));
    if let Address::Ip(peer) = &of.address {
        network_peer(&mut has, *peer);
    }
    if before > 0 {
        has.number("http.request.resend_count", before as u64);
    }
    if of.status != 0 {
        has.number("http.response.status_code", of.status.into());
    }
    has.text("evenkeel.pool", of.pool.as_str());
    has.text("evenkeel.server", of.server.as_str());
    if of.is_hedge {
        has.add("evenkeel.hedge", true);
    }
    let status = match (&of.error, of.status) {
        (Some((word, why)), _) => {
            has.text("error.type", word);
            Status::error(why.clone())
        }
        (None, status @ 400..) => {
            has.text("error.type", &status.to_string());
            Status::error("")
        }
        _ => Status::Unset,
    };
    SpanData {
        parent_span_id: SpanId::from_bytes(request.span_id),
        span_kind: SpanKind::Client,
        ..span(request, of.span_id, Cow::Borrowed(method), (of.began_unix_ns, of.ended_unix_ns), has, status)
    }
}

/// What all spans have in common; it has no parent, and its kind is internal.
fn span(
    of: &RequestTrace,
    id: [u8; 8],
    name: Cow<'static, str>,
    (began, ended): (u64, u64),
    has: Attributes,
    status: Status,
) -> SpanData {
    // The members of a vendor are passed on in the header, and not kept in the span.
    let state = of.state.parse::<TraceState>().unwrap_or_default();
    let trace = TraceId::from_bytes(of.trace_id);
    SpanData {
        span_context: SpanContext::new(trace, SpanId::from_bytes(id), TraceFlags::SAMPLED, false, state),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name,
        start_time: time(began),
        end_time: time(ended.max(began)),
        attributes: has.0,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: InstrumentationScope::builder("evenkeel")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

fn time(unix_ns: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns)
}

/// The method, of which there are few.
fn method(method: &str, has: &mut Attributes) -> &'static str {
    match METHODS.iter().find(|known| **known == method) {
        Some(known) => {
            has.text("http.request.method", known);
            known
        }
        None => {
            has.text("http.request.method", "_OTHER");
            has.text("http.request.method_original", method);
            "HTTP"
        }
    }
}

fn network_peer(has: &mut Attributes, peer: SocketAddr) {
    let ip: IpAddr = peer.ip().to_canonical();
    has.text("network.peer.address", &ip.to_string());
    has.number("network.peer.port", peer.port().into());
}

/// The version without the protocol's name.
fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2",
    }
}
