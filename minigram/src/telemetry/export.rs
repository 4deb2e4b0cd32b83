//! The HTTP client of the span exporter. Spans are exported by a thread of their own, outside the runtime that the
//! client needs, so each request is handed to the runtime.

use anyhow::Context as _;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

/// Sends by a runtime.
#[derive(Debug)]
pub(super) struct OnRuntime {
    runtime: Handle,
    http: reqwest::Client,
}

impl OnRuntime {
    /// Sends by the runtime that this is called in.
    pub fn new() -> anyhow::Result<Self> {
        let runtime = Handle::try_current().context("traces are sent by a tokio runtime")?;
        Ok(Self { runtime, http: reqwest::Client::new() })
    }
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request =
            self.http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let sent = self.runtime.spawn(async move {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
        });
        let (status, headers, body) = sent.await??;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
