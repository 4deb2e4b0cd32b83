//! What is different on a tcp listener: which keys have a meaning there, and which defaults.

use std::time::Duration;

use super::listener::{HttpVersions, Listener, ListenerProtocol};
use super::route::Route;
use crate::diagnostic::Diagnostic;
use crate::read::Table;

/// `timeout.idle` and `timeout.write` of a tcp listener that says nothing of them. Whoever reads a long result page by page
/// takes nothing meanwhile, and that is no fault.
const TCP_IDLE: Duration = Duration::from_secs(600);

/// Keys of a listener that only HTTP gives a meaning.
const HTTP_ONLY: [&str; 6] =
    ["trusted_proxies", "http", "redirect_to_https", "misdirected", "half_close", "underscores"];

impl Listener {
    /// True if its connections are relayed as streams of bytes.
    pub fn is_tcp(&self) -> bool {
        self.protocol == ListenerProtocol::Tcp
    }

    /// True if it must know the server name that a client asks for before it can decide anything.
    pub fn has_passthrough(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.passthrough.is_empty())
    }

    /// The versions of HTTP that TLS offers to clients (ALPN): none on a tcp listener, where clients may speak anything.
    pub fn alpn(&self) -> HttpVersions {
        if self.is_tcp() { HttpVersions { http1: false, http2: false } } else { self.http }
    }

    /// Refuses what has no meaning on a tcp listener, and fills in its defaults.
    pub(super) fn finish_tcp(&mut self, table: &Table<'_>) {
        for key in HTTP_ONLY {
            refuse(table, key, key);
        }
        if let Some(limits) = table.peek("limits") {
            refuse(&limits, "requests_per_connection", "limits.requests_per_connection");
        }
        let timeout = table.peek("timeout");
        if let Some(timeout) = &timeout {
            refuse(timeout, "body", "timeout.body");
        }
        let has = |key| timeout.as_ref().is_some_and(|timeout| timeout.has(key));
        self.timeout.is_tcp = true;
        if !has("idle") {
            self.timeout.idle = TCP_IDLE;
        }
        if !has("write") {
            self.timeout.write = TCP_IDLE;
        }
    }

    /// What `show` leaves out of a tcp listener.
    pub(super) fn has_meaning(&self, key: &str) -> bool {
        !self.is_tcp() || !HTTP_ONLY.contains(&key)
    }
}

fn refuse(table: &Table<'_>, key: &str, shown: &str) {
    if let Some(span) = table.key_span(key) {
        table.reader.note(
            Diagnostic::error(format!("`{shown}` has no meaning on a tcp listener"))
                .at(span)
                .with_expected("only with `protocol = \"http\"`")
                .with_help("a tcp listener takes `bind`, `pool`, `tls`, `timeout` and `limits`"),
        );
    }
}

/// Notes in each route whether it is for tcp listeners. A route that names no listener is for those of HTTP.
pub(super) fn mark(routes: &mut [Route], listeners: &[Listener]) {
    let tcp: Vec<_> = listeners.iter().filter(|it| it.is_tcp()).map(|it| &it.name).collect();
    for route in routes.iter_mut().filter(|_| !tcp.is_empty()) {
        route.is_tcp = !route.listeners.is_empty() && route.listeners.iter().all(|name| tcp.contains(&name));
    }
}
