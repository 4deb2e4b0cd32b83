//! The log as JSON: one object a line, with the id of the trace in which the event happened.

use std::fmt;
use std::io::Write;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;

/// The field of a span that names its trace.
const TRACE_ID: &str = "trace_id";

/// Writes events as JSON.
pub(super) struct JsonLog<W> {
    service: &'static str,
    instance: String,
    writer: W,
}

/// A span's trace.
struct TraceId(String);

impl<W> JsonLog<W> {
    pub fn new(service: &'static str, instance: String, writer: W) -> Self {
        Self { service, instance, writer }
    }
}

impl<S, W> Layer<S> for JsonLog<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        remember(fields, id, &context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        remember(fields, id, &context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let (metadata, mut fields) = (event.metadata(), Fields::default());
        event.record(&mut fields);
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("time", Clock::System.now().rfc3339().into());
        put("level", metadata.level().as_str().into());
        put("service", self.service.into());
        put("instance", self.instance.clone().into());
        put("target", metadata.target().into());
        if let Some(trace) = context.event_scope(event).and_then(|mut scope| {
            scope.find_map(|span| span.extensions().get::<TraceId>().map(|trace| trace.0.clone()))
        }) {
            put(TRACE_ID, trace.into());
        }
        for (name, value) in fields.0 {
            line.entry(name).or_insert(value);
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // There is no other place to report that the log cannot be written.
        let _ = self.writer.make_writer_for(metadata).write_all(text.as_bytes());
    }
}

fn remember<S: Subscriber + for<'a> LookupSpan<'a>>(fields: Fields, id: &Id, context: &Context<'_, S>) {
    let trace = fields.0.get(TRACE_ID).and_then(Value::as_str);
    if let (Some(trace), Some(span)) = (trace, context.span(id)) {
        span.extensions_mut().replace(TraceId(trace.to_owned()));
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::join;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_says_which_trace_it_belongs_to() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = JsonLog::new("minigram-server", "app-1".to_owned(), move || writer.clone());
        let traces = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
        let spans = tracing_opentelemetry::layer().with_tracer(traces.tracer("minigram"));
        let subscriber = tracing_subscriber::registry().with(log).with(spans);
        let mut headers = reqwest::header::HeaderMap::new();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", parent.parse().unwrap());
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", trace_id = tracing::field::Empty);
            join(&span, &headers);
            span.in_scope(|| {
                let inner = tracing::info_span!("store");
                inner.in_scope(|| tracing::warn!(tries = 3, reason = %"it \"broke\"", "a call failed"));
            });
            let other = tracing::info_span!("request", trace_id = tracing::field::Empty);
            join(&other, &reqwest::header::HeaderMap::new());
            other.in_scope(|| tracing::info!("a trace begins"));
            tracing::info!("outside");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((&lines[0]["message"], &lines[0]["tries"]), (&"a call failed".into(), &3.into()));
        assert_eq!((&lines[0]["level"], &lines[0]["instance"]), (&"WARN".into(), &"app-1".into()));
        assert_eq!(lines[0]["reason"], "it \"broke\"");
        assert_eq!(lines[1]["trace_id"].as_str().unwrap().len(), 32);
        assert!(lines[2].get("trace_id").is_none());
    }
}
