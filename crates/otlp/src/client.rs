//! The collector, and the HTTP client that posts to it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use evenkeel_config::Tracing;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::KeyValue;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;

use crate::exporter::lock;

/// The path that spans are posted to (OTLP, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";
/// How long the collector may take for one batch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection to it may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Header fields that the configuration may add.
const HEADERS_MAX: usize = 32;

/// Where spans go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// The URL that spans are posted to.
    url: String,
    service_name: String,
    headers: Vec<(String, String)>,
}

impl Collector {
    /// The one that the configuration names.
    ///
    /// # Errors
    /// `headers_file` cannot be read, or has lines that are not header fields.
    pub fn of(tracing: &Tracing) -> Result<Self, String> {
        let base = tracing.otlp.trim_end_matches('/');
        let url = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
        let headers = match &tracing.headers_file {
            None => Vec::new(),
            Some(path) => headers(path)?,
        };
        Ok(Self { url, service_name: tracing.service_name.clone(), headers })
    }

    /// Its URL, for messages.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A client that posts to it.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn connect(&self) -> Result<Posting, String> {
        let client = Client { inner: self.http()?, last: Arc::default() };
        let last = Arc::clone(&client.last);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&self.url)
            .with_timeout(TIMEOUT)
            .with_headers(self.headers.iter().cloned().collect::<HashMap<_, _>>());
        let mut exporter = exporter.build().map_err(|error| error.to_string())?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource =
            Resource::builder().with_service_name(self.service_name.clone()).with_attribute(version);
        exporter.set_resource(&resource.build());
        Ok(Posting { exporter, last })
    }

    fn http(&self) -> Result<Http, String> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        if !self.url.starts_with("https:") {
            return Ok(Http::Clear(HyperClient::new(connector, TIMEOUT, None)));
        }
        let tls = evenkeel_tls::system_client().map_err(|error| error.to_string())?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1();
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Ok(Http::Tls(HyperClient::new(connector.wrap_connector(plain), TIMEOUT, None)))
    }
}

/// A client to one collector.
#[derive(Debug)]
pub(crate) struct Posting {
    pub(crate) exporter: SpanExporter,
    /// The cause of the last post that failed, which the exporter does not return.
    last: Arc<Mutex<Option<Failure>>>,
}

impl Posting {
    /// The cause, if the last post has failed.
    pub(crate) fn failure(&self) -> Option<Failure> {
        lock(&self.last).take()
    }
}

/// Why the collector did not take spans.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// In words.
    pub(crate) why: String,
    /// The same spans may be taken later (OTLP, "Retryable Response Codes").
    pub(crate) is_passing: bool,
}

#[derive(Debug)]
enum Http {
    Clear(HyperClient<HttpConnector>),
    Tls(HyperClient<HttpsConnector<HttpConnector>>),
}

#[derive(Debug)]
struct Client {
    inner: Http,
    last: Arc<Mutex<Option<Failure>>>,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answered = match &self.inner {
            Http::Clear(client) => client.send_bytes(request).await,
            Http::Tls(client) => client.send_bytes(request).await,
        };
        let failure = match &answered {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => {
                let status = answer.status();
                let is_passing = matches!(status.as_u16(), 429 | 502..=504);
                Some(Failure { why: format!("the collector answered {status}"), is_passing })
            }
            Err(error) => Some(Failure { why: chain(&**error), is_passing: true }),
        };
        *lock(&self.last) = failure;
        answered
    }
}

/// An error with those that it comes from.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    if error.is::<tokio::time::error::Elapsed>() {
        return format!("no answer within {} s", TIMEOUT.as_secs());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// The header fields in a file: `NAME: VALUE` in each line that is neither empty nor a comment.
fn headers(path: &Path) -> Result<Vec<(String, String)>, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let mut headers = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_token = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        match line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) {
            Some((key, value)) if is_token(key) && value.bytes().all(|b| (b' '..=b'~').contains(&b)) => {
                headers.push((key.to_ascii_lowercase(), value.to_owned()));
            }
            // The line itself may be a secret.
            _ => return Err(format!("line {} of {name} is not a header field, `NAME: VALUE`", at + 1)),
        }
    }
    if headers.len() > HEADERS_MAX {
        return Err(format!(
            "{name} has {} header fields, and at most {HEADERS_MAX} are allowed",
            headers.len()
        ));
    }
    Ok(headers)
}
