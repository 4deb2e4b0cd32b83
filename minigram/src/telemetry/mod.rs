//! Logs and traces of a process: logs as JSON, one line an event, with the id of the trace that they belong to; traces
//! over OTLP.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use opentelemetry::global;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use reqwest::header::HeaderMap;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

mod export;
mod json;

/// What a process logs and traces.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// The kind of process, such as `minigram-server`.
    pub service: &'static str,
    /// Which one, such as `app-1`.
    pub instance: String,
    /// JSON, or text for people.
    pub json: bool,
    /// The file to which the log is appended. `None`: stderr.
    pub file: Option<PathBuf>,
    /// Which events, as in `info,minigram=debug`. `RUST_LOG` takes its place.
    pub filter: String,
    /// Where traces go, such as `http://127.0.0.1:4318`. `None`: they are not recorded.
    pub otlp: Option<String>,
    /// Part of the traces that begin here and are recorded, from 0 to 1. Traces that the client records are recorded.
    pub sample: f64,
}

/// Logs and traces, until the process ends.
#[derive(Debug)]
pub struct Telemetry {
    traces: SdkTracerProvider,
}

/// Starts logs and traces for the whole process. Must be called within a tokio runtime.
///
/// # Errors
/// The filter or the address is malformed, the file cannot be opened, or logs were started before.
pub fn start(settings: TelemetrySettings) -> anyhow::Result<Telemetry> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => filter,
        _ => settings.filter.clone(),
    };
    let filter = EnvFilter::try_new(&filter).with_context(|| format!("the log filter `{filter}`"))?;
    let writer = match &settings.file {
        Some(path) => {
            let file = File::options().create(true).append(true).open(path);
            BoxMakeWriter::new(Arc::new(file.with_context(|| format!("the log {}", path.display()))?))
        }
        None => BoxMakeWriter::new(io::stderr),
    };
    let log = if settings.json {
        json::JsonLog::new(settings.service, settings.instance.clone(), writer).boxed()
    } else {
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(settings.file.is_none()).boxed()
    };
    let traces = provider(&settings)?;
    let spans = tracing_opentelemetry::layer().with_tracer(traces.tracer("minigram"));
    tracing_subscriber::registry()
        .with(log)
        .with(spans)
        .with(filter)
        .try_init()
        .context("logs cannot start")?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends the spans that wait.
    pub async fn end(self) {
        // It blocks its thread, while the runtime sends.
        let ended = tokio::task::spawn_blocking(move || self.traces.shutdown()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}

/// Without a place to send traces to, none is recorded; what goes on in several processes has the same id all the same.
fn provider(settings: &TelemetrySettings) -> anyhow::Result<SdkTracerProvider> {
    let Some(otlp) = settings.otlp.as_deref() else {
        return Ok(SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build());
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(export::OnRuntime::new()?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", otlp.trim_end_matches('/')))
        .build()
        .with_context(|| format!("traces cannot be sent to {otlp}"))?;
    let resource = Resource::builder()
        .with_service_name(settings.service)
        .with_attribute(opentelemetry::KeyValue::new("service.instance.id", settings.instance.clone()))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample)));
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .with_sampler(sampler)
        .build())
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(reqwest::header::HeaderName::as_str).collect()
    }
}

/// Makes a span part of the trace that `traceparent` names (W3C Trace Context), and notes the trace's id in its field
/// `trace_id`. Without the header the span begins a trace.
pub fn join(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    let remote = parent.span().span_context().clone();
    // Fails if the span is not recorded.
    let _ = span.set_parent(parent.clone());
    let own = span.context().span().span_context().trace_id();
    let id = if remote.is_valid() { remote.trace_id() } else { own };
    span.record("trace_id", tracing::field::display(id));
}

/// The current span as `traceparent` names it, for what goes on in another process; `None` outside of any.
#[must_use]
pub fn traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    let flags = span.trace_flags().to_u8();
    span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
}

/// Makes a span part of the trace that this `traceparent` names, as [`join`] does.
pub fn follow(span: &Span, traceparent: Option<&str>) {
    let mut headers = HeaderMap::new();
    if let Some(Ok(value)) = traceparent.map(str::parse) {
        headers.insert("traceparent", value);
    }
    join(span, &headers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_belongs_to_the_trace_of_its_request_though_none_is_sent_anywhere() {
        let settings = TelemetrySettings {
            service: "minigram-server",
            instance: "app-1".to_owned(),
            json: true,
            file: None,
            filter: "info".to_owned(),
            otlp: None,
            sample: 1.0,
        };
        let traces = provider(&settings).unwrap();
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("minigram"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            assert_eq!(traceparent(), None);
            let begins = tracing::info_span!("request", trace_id = tracing::field::Empty);
            join(&begins, &HeaderMap::new());
            let named = begins.in_scope(traceparent).unwrap();
            let job = tracing::info_span!("job", trace_id = tracing::field::Empty);
            follow(&job, Some(&named));
            let follows = job.in_scope(traceparent).unwrap();
            let trace =
                |parent: &str| parent.split('-').nth(1).map(str::to_owned).filter(|id| id.len() == 32);
            assert!(trace(&named).is_some() && trace(&named) == trace(&follows), "{named} {follows}");
            assert!(follows.ends_with("-00"), "it is not recorded: {follows}");
        });
    }
}
