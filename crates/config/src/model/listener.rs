//! `[listener.NAME]`: where clients connect.

use std::net::IpAddr;
use std::time::Duration;

use evenkeel_types::{Address, ListenerName, PoolName};
use ipnet::IpNet;

use super::limit::ListenerLimits;
use super::tls::ListenerTls;
use crate::declare::{Field, Rules, Shown, declared, section, word_settings, words};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Are, Is, Means, Required};
use crate::keys::syntax::{LISTENER_ADDRESS, NETWORK, POOL_NAME};
use crate::keys::{DURATION, Kind, Member, Section, key};
use crate::read::Table;
use crate::show::Lines;

section! {
    /// Where clients connect. There must be at least one.
    pub struct Listener(ListenerName) "[listener.NAME]" {
        /// One or more addresses; a bare port means all addresses of this machine. Of two that overlap, the narrower
        /// one gets the connections that are for both. Port 0 lets the kernel choose.
        bind: Vec<Address> = key(
            Kind::OneOrList(&Kind::Address(&LISTENER_ADDRESS, Address::listener), 64),
            Required,
            r#"[":80"]"#,
        ),
        /// Connections that the kernel completes before they are accepted; more than `net.core.somaxconn` it does not.
        backlog: u32 = key(Kind::Integer(1, 65_535), Is("4096"), "1024"),
        /// For how long a connection may be silent before the kernel asks whether the client is still there. It asks four times,
        /// every 15 seconds, and then the connection is closed.
        tcp_keepalive: Option<Duration> = key(Kind::DurationOrOff(1_000, 32_000_000), Is("60s"), r#""off""#),
        /// TCP Fast Open (RFC 7413): a request may come with the first packet. The number is of connections whose handshakes are
        /// not complete. The kernel must allow it: `net.ipv4.tcp_fastopen` 2 or 3.
        fast_open: Option<u32> = key(Kind::IntegerOr(1, 65_535, "off"), Is("off"), "256"),
        /// What clients speak. `tcp`: bytes, which are passed on as they come; `http`, `redirect_to_https`, `misdirected`,
        /// `half_close`, `underscores` and `trusted_proxies` have no meaning there. `udp`: datagrams, in sessions by the
        /// client's address; `tls`, `backlog`, `tcp_keepalive` and `fast_open` have no meaning there either.
        protocol: ListenerProtocol = key(
            Kind::OneOf(ListenerProtocol::WORDS),
            Is(ListenerProtocol::Http.word()),
            r#""http""#,
        ),
        /// Where requests, connections of a tcp listener, or sessions of a udp listener go that no route takes.
        pool: Option<PoolName> = key(
            Kind::Text(&POOL_NAME),
            Means("404 when no route takes a request; a tcp connection is closed, a datagram dropped"),
            r#""app""#,
        ),
        /// Peers whose `X-Forwarded-*` and `X-Request-Id` are believed. Where a PROXY header names the client, that client is the
        /// peer.
        trusted_proxies: Vec<IpNet> = key(
            Kind::OneOrList(&Kind::Text(&NETWORK), 10_000),
            Means("no peer is trusted"),
            r#"["10.0.0.0/8"]"#,
        ),
        /// Peers that must send a PROXY header (version 1 or 2) at the start of each connection, before TLS. The address in it is
        /// the client's in every respect. Others must not send one. A peer that sends none, a malformed
        /// one, or one that is not whole within `timeout.head` is disconnected. On a udp listener each datagram of such a peer
        /// begins with a header of version 2, and one that does not is dropped.
        accept_proxy_protocol: Vec<IpNet> = key(
            Kind::OneOrList(&Kind::Text(&NETWORK), 10_000),
            Means("no peer sends it"),
            r#"["10.0.0.0/8"]"#,
        ),
        /// Versions of HTTP that clients may speak. With `tls` a client chooses by ALPN; without, `2` means that it
        /// begins with HTTP/2 at once (prior knowledge).
        http: HttpVersions = key(
            Kind::OneOrList(&Kind::OneOf(HttpVersion::WORDS), 2),
            Are(HttpVersion::WORDS),
            r#"["1.1", "2"]"#,
        ),
        /// Clients speak TLS.
        tls: Option<ListenerTls> = key(
            Kind::Section(ListenerTls::SECTION),
            Means("cleartext"),
            r#"{ certificates = [{ cert = "certs/shop.pem", key = "certs/shop.key" }] }"#,
        ),
        /// Answers every request with 308 and its `https://` URL, at the port of the first listener with `tls` if the
        /// request named a port. Only without `tls`.
        redirect_to_https: bool = key(Kind::Boolean, Is("false"), "true"),
        /// Over TLS, what becomes of a request for a host that the certificate shown to the client is not for: `refuse`
        /// answers 421; `allow` serves it.
        misdirected: Misdirected = key(
            Kind::OneOf(Misdirected::WORDS),
            Is(Misdirected::Refuse.word()),
            r#""allow""#,
        ),
        /// What becomes of a request over HTTP/1.1 whose client ends its side of the connection before it has the
        /// response: `abort` ends the request, as most such clients have left; `serve` sends the response all the same.
        half_close: HalfClose = key(Kind::OneOf(HalfClose::WORDS), Is(HalfClose::Abort.word()), r#""serve""#),
        /// Request fields with `_` in their names, which CGI, WSGI and PHP read as `-`: `keep` passes them on, `drop` does
        /// not. Those that look like fields of framing, of a connection or of forwarding never reach a server.
        underscores: Underscores = key(
            Kind::OneOf(Underscores::WORDS),
            Is(Underscores::Keep.word()),
            r#""drop""#,
        ),
        /// Sessions at a time, over all workers. A datagram that would begin one more is dropped. Only with `protocol = "udp"`.
        max_sessions: u32 = key(Kind::Integer(1, 1_000_000), Is("16384"), "50_000"),
        /// Datagrams that go back to a client for each one that it has sent, until it shows that it gets them: by a datagram
        /// after an answer. Further ones are dropped, so that a forged address is not flooded. Only with `protocol = "udp"`.
        max_answers: Option<u32> = key(Kind::IntegerOr(1, 10_000, "off"), Is("8"), "2"),
        /// How long to wait for the client at each step.
        timeout: ListenerTimeout = key(
            Kind::Section(ListenerTimeout::SECTION),
            Means("the defaults"),
            r#"{ head = "10s", idle = "75s" }"#,
        ),
        /// What one client may take.
        limits: ListenerLimits = key(
            Kind::Section(ListenerLimits::SECTION),
            Means("the defaults"),
            r#"{ connections_per_client = 100, requests_per_connection = "100/s" }"#,
        ),
    }
}

impl Listener {
    /// A listener at these addresses; everything else is at its default, as for a table of the file with `bind` alone.
    pub fn new(name: impl Into<ListenerName>, bind: Vec<Address>) -> Self {
        let defaults: Self = declared().expect("every key but `bind` has a default");
        Self { name: name.into(), bind, ..defaults }
    }
}

impl Listener {
    /// True if a connection from this address must begin with a PROXY header.
    pub fn expects_proxy_header(&self, peer: IpAddr) -> bool {
        self.accept_proxy_protocol.iter().any(|network| network.contains(&peer))
    }

    fn check_proxy_protocol(&self, table: &Table<'_>) {
        let Some(span) = table.key_span("accept_proxy_protocol") else { return };
        if let Some(all) = self.accept_proxy_protocol.iter().find(|network| network.prefix_len() == 0) {
            table.reader.note(
                Diagnostic::warning(format!(
                    "`{all}` lets every client that reaches this listener choose its address"
                ))
                .at(span)
                .with_expected("expected the addresses of the proxies in front of it"),
            );
        } else if !self.bind.is_empty() && self.bind.iter().all(|bind| matches!(bind, Address::Unix(_))) {
            table.reader.note(
                Diagnostic::warning("peers on unix sockets have no address")
                    .at(span)
                    .with_expected("has no effect on this listener"),
            );
        }
    }
}

impl Rules for Listener {
    fn finish(&mut self, table: &Table<'_>) {
        table.reader.links().listeners.push(table.at.clone());
        self.check_proxy_protocol(table);
        self.refuse_sessions(table);
        if self.is_layer4() {
            return self.finish_layer4(table);
        }
        if !self.redirect_to_https {
            return;
        }
        if let Some(span) = table.key_span("redirect_to_https").filter(|_| table.has("tls")) {
            table.reader.note(
                Diagnostic::error("a listener with `tls` would redirect to itself")
                    .at(span)
                    .with_expected("only on a listener without `tls`")
                    .with_help("move it to the listener that clients reach by `http://`"),
            );
        }
        let message = "`pool` has no effect with `redirect_to_https`";
        table.warn_of("pool", message, "every request is redirected");
    }

    fn shown(&self, key: &str) -> Shown {
        Shown::only_if(self.has_meaning(key))
    }
}

words! {
    /// `protocol` of a listener.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ListenerProtocol {
        /// HTTP
        Http = "http",
        /// Any bytes.
        Tcp = "tcp",
        /// Any datagrams.
        Udp = "udp",
    }
}

words! {
    /// A version of HTTP that clients may speak.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum HttpVersion {
        /// HTTP/1.1, and 1.0.
        Http1 = "1.1",
        /// HTTP/2: by ALPN with TLS, by prior knowledge without.
        Http2 = "2",
    }
}

words! {
    /// `misdirected` of a listener.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Misdirected {
        /// 421
        Refuse = "refuse",
        /// The request is served.
        Allow = "allow",
    }
}

words! {
    /// `half_close` of a listener.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum HalfClose {
        /// The request ends.
        Abort = "abort",
        /// The client gets its response.
        Serve = "serve",
    }
}

words! {
    /// `underscores` of a listener.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Underscores {
        /// Fields with `_` in their names reach servers.
        Keep = "keep",
        /// They do not.
        Drop = "drop",
    }
}

word_settings!(ListenerProtocol, HttpVersion, HalfClose, Misdirected, Underscores);

/// `http` of a listener: at least one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpVersions {
    /// `"1.1"`
    pub http1: bool,
    /// `"2"`: by ALPN with TLS, by prior knowledge without.
    pub http2: bool,
}

impl Field for HttpVersions {
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        let named: Vec<HttpVersion> = Field::read(table, key)?;
        let takes = |version| named.is_empty() || named.contains(&version);
        Some(Self { http1: takes(HttpVersion::Http1), http2: takes(HttpVersion::Http2) })
    }

    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines) {
        let versions = [(self.http1, HttpVersion::Http1), (self.http2, HttpVersion::Http2)];
        let named: Vec<HttpVersion> = versions.into_iter().filter(|it| it.0).map(|it| it.1).collect();
        named.show(section, key, out);
    }
}

section! {
    /// How long to wait for the client at each step.
    pub struct ListenerTimeout "timeout of [listener.NAME]" {
        /// From the first byte of a request's head to its last; for the first one, from the accept. The TLS handshake as
        /// well, and on a tcp listener with `sni` in its routes the wait for a client's first message.
        head: Duration = key(DURATION, Is("10s"), r#""10s""#),
        /// Between two reads of a request body. Only with HTTP.
        body: Duration = key(DURATION, Is("30s"), r#""30s""#),
        /// A keep-alive connection without a request. On a tcp listener: a connection in which nothing moves either way, and
        /// the default is `10m`. On a udp listener the same of a session, and the default is `30s`.
        idle: Duration = key(DURATION, Is("75s"), r#""75s""#),
        /// A client that takes none of what is written to it. On a tcp listener either side, and the default is `10m`.
        write: Duration = key(DURATION, Is("30s"), r#""30s""#),
        /// Of a tcp listener.
        is_tcp: bool = Member::Written,
        /// Of a udp listener.
        is_udp: bool = Member::Written,
    }
}

impl Rules for ListenerTimeout {
    fn shown(&self, key: &str) -> Shown {
        Shown::only_if(match key {
            "is_tcp" | "is_udp" => false,
            "idle" => true,
            _ => !(self.is_udp || self.is_tcp && key == "body"),
        })
    }
}
