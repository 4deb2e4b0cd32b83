//! `[pool.NAME]`: servers that do the same, and how one of them is chosen.

use std::net::IpAddr;
use std::time::Duration;

use evenkeel_types::{Address, BackendId, PoolName};

use super::discover::{DISCOVER, Discover};
use super::health::Health;
use super::outlier::Outlier;
use super::protect::{Breaker, Concurrency, Queue, Trip, WaitForServer};
use super::sticky::{STICKY, Sticky};
use super::tls::PoolTls;
use crate::declare::{
    Declared, Field, Rules, Setting, Shown, declared, default_of, keys, section, word_settings, words,
};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Is, Means, Required};
use crate::keys::syntax::{BACKEND_ADDRESS, HASH_KEY, IP_ADDRESS, NAME};
use crate::keys::{DAY_MS, DURATION, Group, Kind, Section, flat, key};
use crate::read::text::{Read, Refused, cookie_name, header_name};
use crate::read::{PoolLink, Table, Value, clip};
use crate::settings::{Text, text_settings};
use crate::show::{Lines, quote};

section! {
    /// Servers that do the same, and how one of them is chosen.
    #[derive(PartialEq)]
    pub struct Pool(PoolName) "[pool.NAME]" {
        /// How a server is chosen.
        algorithm: Algorithm = flat(&ALGORITHM),
        /// The servers. At least one that is no backup has a weight above zero, unless `discover` finds others.
        backends: Vec<Backend> = key(
            BACKENDS,
            Means("those of `discover` alone"),
            r#"["10.0.0.1:3000", { address = "10.0.0.2:3000", weight = 3 }]"#,
        ),
        /// Where further servers come from: DNS or a file. A server that appears is probed before it gets requests, if the
        /// pool has a `health`; one that is gone finishes the requests that it has. One that `backends` names as well is
        /// what `backends` says.
        discover: Option<Discover> = key(
            Kind::Section(&DISCOVER),
            Means("no other servers than `backends`"),
            r#"{ dns = "api.internal:8080" }"#,
        ),
        /// What the servers speak: `http1` is HTTP/1.1. `http2` without `tls` is HTTP/2 with prior knowledge.
        protocol: PoolProtocol = key(
            Kind::OneOf(PoolProtocol::WORDS),
            Is(PoolProtocol::Http1.word()),
            r#""http2""#,
        ),
        /// Sends a PROXY header at the start of each connection to a server, before TLS, which names the client. `v2` adds its
        /// TLS session and the request's id. Each connection then belongs to one connection of a client. Only with
        /// `protocol = "http1"`. Sessions of a udp listener take `v2` alone, at the start of each datagram.
        proxy_protocol: Option<ProxyProtocol> = key(
            Kind::OneOf(ProxyProtocol::WORDS),
            Means("none is sent"),
            r#""v2""#,
        ),
        /// Addresses of this machine from which connections to servers come, in turn. Each needs an address of its server's
        /// family among them. The kernel chooses the port.
        bind_from: Vec<IpAddr> = key(
            Kind::OneOrList(&Kind::Text(&IP_ADDRESS), 64),
            Means("the kernel chooses the address"),
            r#"["10.0.0.7", "10.0.0.8"]"#,
        ),
        /// For how long a connection to a server may be silent before the kernel asks whether the server is still there. It asks
        /// four times, every 15 seconds, and then the connection is closed.
        tcp_keepalive: Option<Duration> = key(Kind::DurationOrOff(1_000, 32_000_000), Is("off"), r#""60s""#),
        /// Speaks TLS with the servers; `true` is all defaults. Servers with checks by `kind = "postgres"` are asked for it first.
        tls: Option<PoolTls> = key(
            Kind::Either(&Kind::Boolean, &Kind::Section(PoolTls::SECTION)),
            Means("cleartext"),
            r#"{ server_name = "api.internal", ca = "certs/ca.pem" }"#,
        ),
        /// Which connections to servers are kept for further requests; a number alone is `idle`.
        keepalive: Keepalive = key(
            Kind::Either(&Kind::Integer(0, 10_000), &Kind::Section(Keepalive::SECTION)),
            Means("the defaults"),
            r#"{ idle = 128, requests = 1000, age = "1h" }"#,
        ),
        /// Tells the servers that a proxy stands before them, by `Via` (RFC 9110, 7.6.3). Some servers, such as nginx,
        /// do not compress what they send to a proxy.
        via: bool = key(Kind::Boolean, Is("true"), "false"),
        /// Keeps a client on its server.
        sticky: Option<Sticky> = key(
            Kind::Section(&STICKY),
            Means("each request is balanced by itself"),
            r#"{ cookie = "EVENKEEL", ttl = "1h" }"#,
        ),
        /// Active checks: asks each server whether it is well.
        health: Option<Health> = key(
            Kind::Section(Health::SECTION),
            Means("no active checks"),
            r#"{ path = "/health", interval = "5s" }"#,
        ),
        /// Passive checks: watches how live requests fare.
        outlier: Option<Outlier> = key(
            Kind::Section(Outlier::SECTION),
            Means("no passive checks"),
            r#"{ failures = 3, window = "30s", eject = "30s" }"#,
        ),
        /// When ejections leave a smaller share of the servers than this, ejected ones are used as well; backups,
        /// drained servers and those of weight 0 left out. `0%` is only when no server would be left. Only with
        /// `outlier`.
        panic: u32 = key(Kind::Percent(0, 100), Is("50%"), r#""50%""#),
        /// For how long a server that comes, or comes back, is spared: its weight grows from a tenth to the full one.
        slow_start: Option<Duration> = key(Kind::DurationOrOff(1_000, 3_600_000), Is("off"), r#""30s""#),
        /// Limits for the pool as a whole, and its circuit breaker.
        breaker: Option<Breaker> = key(
            Kind::Section(Breaker::SECTION),
            Means("no limits for the pool as a whole"),
            r#"{ max_requests = 10_000, failures = "50%" }"#,
        ),
        /// A circuit breaker for each server.
        server_breaker: Option<Trip> = key(
            Kind::Section(Trip::SECTION),
            Means("none"),
            r#"{ failures = "50%" }"#,
        ),
        /// Where requests wait for a permit when a limit is reached.
        queue: Option<Queue> = key(
            Kind::Section(Queue::SECTION),
            Means("503 at once when a limit is reached"),
            r#"{ wait = "1s" }"#,
        ),
        /// How long a request waits while the pool has no server that may be used; a duration alone is `at_most`. A
        /// request that gets no server in time is answered with 503 and `Retry-After`.
        wait_for_server: Option<WaitForServer> = key(
            Kind::Either(&DURATION, &Kind::Section(WaitForServer::SECTION)),
            Means("503 at once"),
            r#""3s""#,
        ),
        /// A limit on requests in flight that follows their latency.
        concurrency: Option<Concurrency> = key(
            Kind::Section(Concurrency::SECTION),
            Means("no such limit"),
            r#"{ algorithm = "gradient", min = 10, max = 1000 }"#,
        ),
        /// How long to wait for a server.
        timeout: PoolTimeout = key(
            Kind::Section(PoolTimeout::SECTION),
            Means("the defaults"),
            r#"{ connect = "1s", response = "30s" }"#,
        ),
    }
    groups &[Group::AnyOf(&["backends", "discover"])]
}

/// The servers of a pool, and of a file of servers.
pub(super) const BACKENDS: Kind = Kind::List(
    &Kind::Either(&Kind::Address(&BACKEND_ADDRESS, Address::backend), &Kind::Section(Backend::SECTION)),
    10_000,
);

impl Pool {
    /// A pool of these servers; everything else is at its default, as for a table of the file with `backends` alone.
    pub fn new(name: impl Into<PoolName>, backends: Vec<Backend>) -> Self {
        let defaults: Self = declared().expect("every key has a default");
        Self { name: name.into(), backends, ..defaults }
    }
}

impl Rules for Pool {
    fn finish(&mut self, table: &Table<'_>) {
        self.check_health(table);
        self.check_outlier(table);
        self.check_limits(table);
        self.check_discovery(table);
        self.check_proxy_protocol(table);
        self.check_bind_from(table);
        let servers = std::mem::take(&mut table.reader.links().servers);
        table.reader.links().pools.push(PoolLink {
            at: table.at.clone(),
            backends: table.key_span("backends").unwrap_or_else(|| table.at.clone()),
            servers,
            keys: table
                .section
                .keys()
                .filter_map(|key| Some((key.name, table.key_span(key.name)?)))
                .collect(),
            unnamed_check: table
                .peek("health")
                .filter(|health| !health.has("kind") && self.checks_by_connection())
                .and(table.key_span("health")),
        });
    }

    fn shown(&self, key: &str) -> Shown {
        match key {
            // Without passive checks it would be refused, because it has no effect.
            "panic" => Shown::only_if(self.outlier.is_some()),
            _ => Shown::Value,
        }
    }
}

words! {
    /// What the servers of a pool speak.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum PoolProtocol {
        /// HTTP/1.1
        Http1 = "http1",
        /// HTTP/2: by ALPN with TLS, by prior knowledge without.
        Http2 = "http2",
    }
}

words! {
    /// Which PROXY header servers get.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ProxyProtocol {
        /// Version 1: a line of text.
        V1 = "v1",
        /// Version 2: binary, with TLVs.
        V2 = "v2",
    }
}

word_settings!(PoolProtocol, ProxyProtocol);

words! {
    /// How a pool chooses a server.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Algorithm {
        /// In turn, by weight, smoothly interleaved. The default.
        RoundRobin = "round-robin",
        /// Fewest requests in flight per unit of weight.
        LeastConnections = "least-connections",
        /// Peak EWMA over two random choices.
        LeastResponseTime = "least-response-time",
        /// The less loaded of two random choices.
        PowerOfTwo = "power-of-two",
        /// By the client's address.
        IpHash = "ip-hash",
        /// Ring with bounded load.
        ConsistentHash(HashKey) = "consistent-hash",
        /// Lookup table.
        Maglev(HashKey) = "maglev",
        /// At random, by weight.
        Random = "random",
    }
}

impl Algorithm {
    /// What it hashes, if it hashes what the configuration says.
    fn hash_key(&mut self) -> Option<&mut HashKey> {
        match self {
            Self::ConsistentHash(key) | Self::Maglev(key) => Some(key),
            Self::RoundRobin | Self::LeastConnections | Self::LeastResponseTime => None,
            Self::PowerOfTwo | Self::IpHash | Self::Random => None,
        }
    }
}

keys! {
    static ALGORITHM "algorithm of [pool.NAME]" {
        /// How a server is chosen.
        algorithm = key(
            Kind::OneOf(Algorithm::WORDS),
            Is(Algorithm::RoundRobin.word()),
            r#""least-connections""#,
        ),
        /// What `consistent-hash` and `maglev` hash: `client-ip`, `path`, `header:NAME` or `cookie:NAME`. Only with
        /// these two.
        hash_key = key(Kind::Text(&HASH_KEY), Is("client-ip"), r#""header:x-user""#),
    }
}

impl Field for Algorithm {
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        let written = table.value(key).and_then(|value| value.word()).and_then(Self::from_word);
        let mut algorithm = written.unwrap_or(Self::RoundRobin);
        let hash_key: HashKey = Field::read(table, "hash_key")?;
        let word = algorithm.word();
        match (algorithm.hash_key(), table.key_span("hash_key")) {
            (Some(key), _) => *key = hash_key,
            (None, Some(span)) => table.reader.note(
                Diagnostic::error(format!("`hash_key` has no effect with the algorithm `{word}`"))
                    .at(span)
                    .with_expected("only with `consistent-hash` and `maglev`")
                    .with_help("add `algorithm = \"consistent-hash\"`, or leave `hash_key` out"),
            ),
            (None, None) => {}
        }
        Some(algorithm)
    }

    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines) {
        out.line(key, quote(self.word()));
        if let Some(hash_key) = self.clone().hash_key() {
            Field::show(hash_key, section, "hash_key", out);
        }
    }
}

/// `hash_key`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HashKey {
    /// `client-ip` (the default)
    #[default]
    ClientIp,
    /// `path`
    Path,
    /// `header:NAME`, in lower case
    Header(String),
    /// `cookie:NAME`
    Cookie(String),
}

text_settings!(HashKey);

impl Text for HashKey {
    fn form(text: &str) -> Read<Self> {
        match text.split_once(':') {
            None if text == "client-ip" => Ok(Self::ClientIp),
            None if text == "path" => Ok(Self::Path),
            Some(("header", name)) => header_name(name).map(Self::Header),
            Some(("cookie", name)) => cookie_name(name).map(Self::Cookie),
            _ => Err(Refused(
                format!("`{}` is not a hash key", clip(text)),
                "write `client-ip`, `path`, `header:NAME` or `cookie:NAME`".into(),
            )),
        }
    }

    fn written(&self) -> String {
        match self {
            Self::ClientIp => "client-ip".into(),
            Self::Path => "path".into(),
            Self::Header(name) => format!("header:{name}"),
            Self::Cookie(name) => format!("cookie:{name}"),
        }
    }
}

section! {
    /// A server; where only its address matters, the address alone will do.
    #[derive(PartialEq, Eq)]
    pub struct Backend "backends of [pool.NAME]" {
        /// Where it is.
        address: Address = key(
            Kind::Address(&BACKEND_ADDRESS, Address::backend),
            Required,
            r#""10.0.0.2:3000""#,
        ),
        /// Its share; 0 takes no new request.
        weight: u32 = key(Kind::Integer(0, 1_000), Is("1"), "3"),
        /// What logs, metrics and the API call it.
        id as "name": BackendId = key(Kind::Text(&NAME), Means("its address"), r#""big""#),
        /// Used only when no other server is up.
        backup: bool = key(Kind::Boolean, Is("false"), "true"),
        /// Requests in flight at it, over all workers. A server that is full is passed over; when all are, requests
        /// wait in the pool's `queue` if there is one, else they get 503.
        max_connections: Option<u32> = key(Kind::Integer(1, 1_000_000), Means("no limit"), "500"),
    }
}

impl Backend {
    /// The server at this address; everything else is at its default.
    pub fn new(address: Address) -> Self {
        Self {
            id: address.to_string().into(),
            address,
            weight: default_of::<Self, _>("weight"),
            backup: default_of::<Self, _>("backup"),
            max_connections: None,
        }
    }
}

impl Rules for Backend {
    fn finish(&mut self, table: &Table<'_>) {
        table.reader.links().servers.push(table.at.clone());
        if self.id.as_str().is_empty() {
            self.id = self.address.to_string().into();
        }
    }

    fn short(value: &Value<'_>) -> Option<Self> {
        let address = value.address()?;
        value.reader.links().servers.push(value.span.clone());
        Some(Self::new(address))
    }

    fn shown(&self, key: &str) -> Shown {
        // An id that is the address need not, and perhaps cannot, be a name.
        Shown::only_if(key != "name" || self.id.as_str() != self.address.to_string())
    }
}

/// Empty where the server has no name of its own, until its table is read.
impl Setting for BackendId {
    fn read(value: &Value<'_>) -> Option<Self> {
        value.name().map(Self::from)
    }

    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        Some(default.unwrap_or_default().into())
    }

    fn show(&self, _: &'static Kind) -> String {
        quote(self.as_str())
    }
}

section! {
    /// Which connections to servers are kept for further requests.
    #[derive(Copy, PartialEq, Eq)]
    pub struct Keepalive "keepalive of [pool.NAME]" {
        /// Idle connections kept per server and worker; 0 keeps none.
        idle: usize = key(Kind::Integer(0, 10_000), Is("128"), "128"),
        /// Requests that a connection carries at most.
        requests: Option<u32> = key(Kind::Integer(1, 1_000_000_000), Means("no limit"), "1000"),
        /// How old a connection may be when it is given another request; `off` is no limit.
        age: Option<Duration> = key(Kind::DurationOrOff(1, DAY_MS), Is("off"), r#""1h""#),
    }
}

impl Rules for Keepalive {
    fn short(value: &Value<'_>) -> Option<Self> {
        Some(Self { idle: usize::try_from(value.number()?).ok()?, requests: None, age: None })
    }

    fn shown_short(&self) -> Option<String> {
        (self.requests.is_none() && self.age.is_none()).then(|| self.idle.to_string())
    }
}

impl Default for Keepalive {
    /// What holds for a pool without `keepalive`.
    fn default() -> Self {
        declared().expect("every key of `keepalive` has a default")
    }
}

section! {
    /// How long to wait for a server.
    #[derive(PartialEq, Eq)]
    pub struct PoolTimeout "timeout of [pool.NAME]" {
        /// To connect.
        connect: Duration = key(DURATION, Is("5s"), r#""1s""#),
        /// From the last byte of the request to the head of the response, and between two reads of the response.
        response: Duration = key(DURATION, Is("60s"), r#""30s""#),
        /// From the head of a request with `Expect: 100-continue` until the balancer itself asks the client for the body,
        /// because the server has not said whether it wants it.
        continue_after as "continue": Duration = key(DURATION, Is("1s"), r#""1s""#),
        /// How long an idle connection to a server is kept.
        idle: Duration = key(DURATION, Is("60s"), r#""60s""#),
    }
}

impl Rules for PoolTimeout {}
