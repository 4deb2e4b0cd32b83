//! What is different on tcp and udp listeners: which keys have a meaning there, and which defaults.

use std::time::Duration;

use evenkeel_types::{Address, ListenerName};

use super::listener::{HttpVersions, Listener, ListenerProtocol};
use super::route::Route;
use crate::diagnostic::Diagnostic;
use crate::read::Table;

/// `timeout.idle` and `timeout.write` of a tcp listener that says nothing of them. A client that reads a long result page by
/// page takes nothing meanwhile, and that is no fault.
const TCP_IDLE: Duration = Duration::from_secs(600);

/// `timeout.idle` of a udp listener that says nothing of it: as long as most firewalls remember a session.
const UDP_IDLE: Duration = Duration::from_secs(30);

/// Keys of a listener that only HTTP gives a meaning.
const HTTP_ONLY: [&str; 6] =
    ["trusted_proxies", "http", "redirect_to_https", "misdirected", "half_close", "underscores"];

/// Keys of a listener that have a meaning only where there are connections.
const CONNECTIONS_ONLY: [&str; 4] = ["tls", "backlog", "tcp_keepalive", "fast_open"];

/// Keys of a listener that have a meaning only where there are sessions.
const SESSIONS_ONLY: [&str; 2] = ["max_sessions", "max_answers"];

/// What a socket of a listener takes. An address of one kind has nothing to do with the same address of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Connections.
    Stream,
    /// Datagrams of UDP.
    Datagram,
}

impl Listener {
    /// What its sockets take.
    pub fn transport(&self) -> Transport {
        if self.is_udp() { Transport::Datagram } else { Transport::Stream }
    }

    /// True if its connections are relayed as streams of bytes.
    pub fn is_tcp(&self) -> bool {
        self.protocol == ListenerProtocol::Tcp
    }

    /// True if its datagrams are relayed in sessions.
    pub fn is_udp(&self) -> bool {
        self.protocol == ListenerProtocol::Udp
    }

    /// True if what it takes is relayed, and not understood.
    pub fn is_layer4(&self) -> bool {
        self.protocol != ListenerProtocol::Http
    }

    /// True if it must know the server name that a client asks for before it can decide anything.
    pub fn has_passthrough(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.passthrough.is_empty())
    }

    /// The versions of HTTP that TLS offers to clients (ALPN): none on a tcp listener, where clients may speak anything.
    pub fn alpn(&self) -> HttpVersions {
        if self.is_layer4() { HttpVersions { http1: false, http2: false } } else { self.http }
    }

    /// Refuses what has no meaning on a tcp or udp listener, and fills in its defaults.
    pub(super) fn finish_layer4(&mut self, table: &Table<'_>) {
        for key in HTTP_ONLY {
            self.refuse(table, key, key);
        }
        if self.is_udp() {
            CONNECTIONS_ONLY.iter().for_each(|key| self.refuse(table, key, key));
            self.refuse_unix(table);
        }
        if let Some(limits) = table.peek("limits") {
            for (key, shown) in [
                ("requests_per_connection", "limits.requests_per_connection"),
                ("http2_streams", "limits.http2_streams"),
                ("http2_resets", "limits.http2_resets"),
                ("http2_memory", "limits.http2_memory"),
            ] {
                self.refuse(&limits, key, shown);
            }
        }
        let timeout = table.peek("timeout");
        if let Some(timeout) = &timeout {
            self.refuse(timeout, "body", "timeout.body");
            for (key, shown) in [("head", "timeout.head"), ("write", "timeout.write")] {
                if self.is_udp() {
                    self.refuse(timeout, key, shown);
                }
            }
        }
        let has = |key| timeout.as_ref().is_some_and(|timeout| timeout.has(key));
        self.limits.is_layer4 = true;
        (self.timeout.is_tcp, self.timeout.is_udp) = (self.is_tcp(), self.is_udp());
        if !has("idle") {
            self.timeout.idle = if self.is_udp() { UDP_IDLE } else { TCP_IDLE };
        }
        if !has("write") {
            self.timeout.write = TCP_IDLE;
        }
    }

    /// Refuses what only sessions have on a listener of connections.
    pub(super) fn refuse_sessions(&self, table: &Table<'_>) {
        for key in SESSIONS_ONLY.iter().filter(|_| !self.is_udp()) {
            if let Some(span) = table.key_span(key) {
                let message =
                    format!("`{key}` has no meaning on a listener with `protocol = \"{}\"`", self.kind());
                table.reader.note(
                    Diagnostic::error(message).at(span).with_expected("only with `protocol = \"udp\"`"),
                );
            }
        }
    }

    fn refuse_unix(&self, table: &Table<'_>) {
        let unix = self.bind.iter().find(|bind| matches!(bind, Address::Unix(_)));
        if let (Some(unix), Some(span)) = (unix, table.value_span("bind")) {
            table.reader.note(
                Diagnostic::error(format!("`{unix}` is a unix socket, where no datagrams of UDP come"))
                    .at(span)
                    .with_expected("expected IP addresses and ports"),
            );
        }
    }

    /// What `show` leaves out of a tcp or udp listener, or of one of HTTP.
    pub(super) fn has_meaning(&self, key: &str) -> bool {
        let misplaced = self.is_layer4() && HTTP_ONLY.contains(&key)
            || self.is_udp() && CONNECTIONS_ONLY.contains(&key)
            || !self.is_udp() && SESSIONS_ONLY.contains(&key);
        !misplaced
    }

    /// `http`, `tcp` or `udp`.
    pub(crate) fn kind(&self) -> &'static str {
        self.protocol.word()
    }

    fn refuse(&self, table: &Table<'_>, key: &str, shown: &str) {
        let Some(span) = table.key_span(key) else { return };
        let (expected, help) = match (self.is_udp(), CONNECTIONS_ONLY.contains(&key)) {
            (true, true) if key == "tls" => {
                ("TLS runs over TCP", "leave it out: DTLS and QUIC pass through to the servers untouched")
            }
            (true, true) => ("there are no connections", "leave it out"),
            (true, false) => (
                "datagrams come whole",
                "a udp listener takes `bind`, `pool`, `timeout.idle`, `limits`, `max_sessions` and `max_answers`",
            ),
            (false, _) => (
                "only with `protocol = \"http\"`",
                "a tcp listener takes `bind`, `pool`, `tls`, `timeout` and `limits`",
            ),
        };
        table.reader.note(
            Diagnostic::error(format!("`{shown}` has no meaning on a {} listener", self.kind()))
                .at(span)
                .with_expected(expected)
                .with_help(help),
        );
    }
}

/// Notes in each route whether it is for tcp and udp listeners. A route that names no listener is for those of HTTP.
pub(super) fn mark(routes: &mut [Route], listeners: &[Listener]) {
    let layer4: Vec<_> = listeners.iter().filter(|it| it.is_layer4()).map(|it| &it.name).collect();
    for route in routes.iter_mut().filter(|_| !layer4.is_empty()) {
        let is_here = |name: &ListenerName| layer4.contains(&name);
        route.is_layer4 = !route.listeners.is_empty() && route.listeners.iter().all(is_here);
    }
}
