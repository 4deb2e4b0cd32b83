//! `[tracing]`: which requests are traced, and where their spans go.

use std::path::PathBuf;

use super::share::Share;
use crate::declare::{Rules, section, word_settings, words};
use crate::keys::Absent::{Are, Is, Means, Required};
use crate::keys::syntax::{FILE, OTLP_URL, SERVICE_NAME, SHARE};
use crate::keys::{Kind, key};
use crate::read::Table;

section! {
    /// Traces of OpenTelemetry: a span for each request and one for each try at a server. Requests that came with a trace
    /// context go on with its trace. Left out, no request is traced, and trace contexts pass through as they come.
    #[derive(PartialEq, Eq)]
    pub struct Tracing "[tracing]" {
        /// The collector: spans go to `/v1/traces` there, by OTLP over HTTP with protobuf.
        otlp: String = key(Kind::Text(&OTLP_URL), Required, r#""http://127.0.0.1:4318""#),
        /// How many of the requests are traced that came without a decision.
        sample: Share = key(Kind::Text(&SHARE), Is("10%"), r#""0.5%""#),
        /// Whose decision to trace or not to trace holds, in place of `sample`: that of the listener's `trusted_proxies`, of all
        /// clients, or of none. A client that may decide can have each of its requests traced.
        parent_decides: ParentDecides = key(
            Kind::OneOf(ParentDecides::WORDS),
            Is(ParentDecides::Trusted.word()),
            r#""trusted""#,
        ),
        /// The headers that carry the context, read in this order and all written: `tracecontext` is W3C Trace Context,
        /// `b3` the single header of B3, `b3multi` its `X-B3-` headers. Each form of B3 is read by both words.
        propagate: Vec<Propagation> = key(
            Kind::OneOrList(&Kind::OneOf(Propagation::WORDS), 3),
            Are(&[Propagation::TraceContext.word()]),
            r#"["tracecontext", "b3"]"#,
        ),
        /// What traces call this process: `service.name`.
        service_name: String = key(Kind::Text(&SERVICE_NAME), Is("evenkeel"), r#""edge""#),
        /// A file with further header fields for the collector, one `NAME: VALUE` a line, such as its token.
        headers_file: Option<PathBuf> = key(
            Kind::Text(&FILE),
            Means("no further fields"),
            r#""/etc/evenkeel/otlp-headers""#,
        ),
    }
}

impl Rules for Tracing {
    fn finish(&mut self, table: &Table<'_>) {
        let twice = self.propagate.iter().enumerate().find(|(at, word)| self.propagate[..*at].contains(word));
        if let Some((_, word)) = twice {
            let message = format!("`{}` is listed twice in `propagate`", word.word());
            table.warn_of("propagate", message, "once is enough");
            let mut seen = Vec::new();
            self.propagate.retain(|word| !seen.contains(word) && (seen.push(*word), true).1);
        }
    }
}

words! {
    /// Whose decision about a trace holds.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ParentDecides {
        /// That of trusted proxies.
        Trusted = "trusted",
        /// That of each client.
        All = "all",
        /// That of no client.
        None = "none",
    }
}

words! {
    /// A form in which trace contexts travel.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Propagation {
        /// W3C Trace Context: `traceparent` and `tracestate`.
        TraceContext = "tracecontext",
        /// B3 in a single header.
        B3 = "b3",
        /// B3 in several headers.
        B3Multi = "b3multi",
    }
}

word_settings!(ParentDecides, Propagation);
