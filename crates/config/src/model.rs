//! What is true: the checked configuration, with every default filled in. Nothing downstream re-checks it.

mod limit;
mod protect;
mod retry;
mod tls;

pub use limit::*;
pub use protect::*;
pub use retry::*;
pub use tls::*;

use std::path::PathBuf;
use std::time::Duration;

use evenkeel_types::{Address, BackendId, ListenerName, PoolName, RouteName};
use ipnet::IpNet;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
    /// `[limits]`
    pub limits: Limits,
    /// `[redis]`; `None` when balancers count nothing together.
    pub redis: Option<Redis>,
    /// `[overload]`
    pub overload: Overload,
    /// `[listener.NAME]`, in file order.
    pub listeners: Vec<Listener>,
    /// `[[route]]`, in file order. A listener's `pool` is one more route, behind these, that matches all.
    pub routes: Vec<Route>,
    /// `[pool.NAME]`, in file order.
    pub pools: Vec<Pool>,
}

/// `[server]`: the process.
#[derive(Debug, Clone)]
pub struct Server {
    /// Data-path threads; `None` is one per core that this process may use.
    pub workers: Option<usize>,
    /// How long requests in flight may take to finish when the process leaves. Default 30 s.
    pub grace: Duration,
    /// A file whose content keys the sticky cookies, so that they tell nothing about a server.
    /// Every balancer in front of the same servers needs the same content.
    pub secret_file: Option<PathBuf>,
}

/// `[admin]`: API and /metrics.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it listens; `None` when switched off by `bind = "off"`. Default 127.0.0.1:9900.
    pub bind: Option<Address>,
    /// False when `bind` is the default: a port in use is then a warning instead of an error.
    pub explicit: bool,
    /// A file that holds the bearer token. Demanded when `bind` is not loopback (nor a unix socket).
    pub token_file: Option<PathBuf>,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    /// Where the access log goes. Default stdout.
    pub access: AccessLog,
    /// Default JSON.
    pub format: LogFormat,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to this file.
    File(PathBuf),
}

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// The combined log format of Apache httpd.
    Combined,
}

/// `[limits]`: process-wide.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Client connections open at once. Default 100,000.
    pub connections: usize,
    /// Bytes of a request's or response's head: start line and fields. Default 32 KiB, 1 KiB to 1 MiB.
    pub request_head: usize,
    /// Fields in a head. Default 100, at most 1,000.
    pub headers: usize,
    /// Bytes of a request target. Default 16 KiB.
    pub uri: usize,
    /// Bytes of a request body; `None` is no limit. Default none.
    pub request_body: Option<u64>,
    /// Bytes a second that a body must average, counted from 10 s after its start. Default 240.
    pub body_rate: u64,
}

/// `[listener.NAME]`
#[derive(Debug, Clone)]
pub struct Listener {
    /// NAME
    pub name: ListenerName,
    /// At least one address.
    pub bind: Vec<Address>,
    /// Where requests go that no route takes.
    pub pool: Option<PoolName>,
    /// Peers whose `X-Forwarded-*` and `X-Request-Id` are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// `http`: what clients may speak. Default both.
    pub http: HttpVersions,
    /// `tls`; `None` is cleartext.
    pub tls: Option<ListenerTls>,
    /// Every request is answered with 308 and its `https://` URL. Never with `tls`.
    pub redirect_to_https: bool,
    /// `timeout`
    pub timeout: ListenerTimeout,
    /// `limits`
    pub limits: ListenerLimits,
}

/// `http` of a listener: at least one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpVersions {
    /// `"1.1"`
    pub http1: bool,
    /// `"2"`: by ALPN with TLS, by prior knowledge without.
    pub http2: bool,
}

/// `timeout` of a listener: what waits for a client.
#[derive(Debug, Clone)]
pub struct ListenerTimeout {
    /// From a head's first byte to its last (for the first one, from the accept). Default 10 s.
    pub head: Duration,
    /// Between two reads of a request body. Default 30 s.
    pub body: Duration,
    /// A keep-alive connection without a request. Default 75 s.
    pub idle: Duration,
    /// A client that takes none of what we write to it. Default 30 s.
    pub write: Duration,
}

/// `[[route]]`
#[derive(Debug, Clone)]
pub struct Route {
    /// `name`; else made from what it matches, unique within the file.
    pub name: RouteName,
    /// Empty: every http listener.
    pub listeners: Vec<ListenerName>,
    /// Empty: any host.
    pub hosts: Vec<HostMatch>,
    /// Default `Prefix("/")`, which matches every path.
    pub path: PathMatch,
    /// Empty: any method. Upper case as in the request; methods are case-sensitive (RFC 9110, 9.1).
    pub methods: Vec<String>,
    /// All must match: name in lower case, exact value.
    pub headers: Vec<(String, String)>,
    /// All must match: exact name and value, after percent-decoding.
    pub query: Vec<(String, String)>,
    /// Empty: any client address.
    pub clients: Vec<IpNet>,
    /// What is done with the request.
    pub action: Action,
    /// `rewrite`
    pub rewrite: Option<Rewrite>,
    /// `request_headers`
    pub request_headers: HeaderEdits,
    /// `response_headers`
    pub response_headers: HeaderEdits,
    /// `priority`
    pub priority: Priority,
    /// `timeout`
    pub timeout: RouteTimeout,
    /// `retry`
    pub retry: Retry,
    /// `hedge`
    pub hedge: Option<Hedge>,
    /// `deadline_header`
    pub deadline_header: Option<DeadlineHeader>,
    /// `rate_limit`: all of them hold.
    pub rate_limits: Vec<RateLimit>,
    /// `limits`
    pub limits: RouteLimits,
    /// `mirror`
    pub mirror: Option<Mirror>,
}

/// One pattern of a route's `host`; in lower case, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// `shop.example.com`
    Exact(String),
    /// `*.example.com`, held as `.example.com`; matches one label and more, never `example.com` itself.
    Wildcard(String),
}

/// A route's `path` or `path_regex`.
#[derive(Debug, Clone)]
pub enum PathMatch {
    /// `/exact`
    Exact(String),
    /// `/prefix/*`, held as `/prefix`: matches `/prefix` and whatever is below it. `/*` is held as `/`.
    Prefix(String),
    /// Matches the whole path. Linear time.
    Regex(regex::Regex),
}

/// What a route does with a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// `pool`
    Pool(PoolName),
    /// `split`: at least one weight is above zero.
    Split(Vec<(PoolName, u32)>),
    /// `redirect`
    Redirect(Redirect),
    /// `respond`
    Respond(Respond),
}

/// `redirect = "https://..."`, or `{ to = "...", status = 308 }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The new location. `{scheme}`, `{host}`, `{path}` and `{query}` (with its `?`) stand for the request's own.
    pub to: String,
    /// 301, 302, 303, 307 or 308. Default 302.
    pub status: u16,
}

/// `respond = { status = 200, body = "ok\n", content_type = "text/plain; charset=utf-8" }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// 200 to 599. Default 200.
    pub status: u16,
    /// Default empty. No body is possible with 204, 205 and 304.
    pub body: String,
    /// Default `text/plain; charset=utf-8`.
    pub content_type: String,
}

/// `rewrite`: what a server sees instead of the path that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// `strip_prefix = "/api"`: whole segments only; a path without it stays as it is.
    StripPrefix(String),
    /// `path = "/new/*"`: what the route's prefix matched is replaced by this.
    ReplacePrefix(String),
    /// `path = "/new"`: the whole path is replaced.
    ReplacePath(String),
}

/// `request_headers` or `response_headers`. Names in lower case; neither framing nor hop-by-hop fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Replaces every field of that name.
    pub set: Vec<(String, String)>,
    /// Adds one more field.
    pub add: Vec<(String, String)>,
    /// Removes every field of that name.
    pub remove: Vec<String>,
}

impl HeaderEdits {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// `timeout` of a route.
#[derive(Debug, Clone)]
pub struct RouteTimeout {
    /// From the head's last byte to the response's last. `None` (the default) is no limit.
    pub request: Option<Duration>,
    /// A tunnel (WebSocket) in which nothing moves. Default 1 h.
    pub idle: Duration,
}

/// `[pool.NAME]`
#[derive(Debug, Clone)]
pub struct Pool {
    /// NAME
    pub name: PoolName,
    /// `algorithm`
    pub algorithm: Algorithm,
    /// `backends`: at least one, ids unique.
    pub backends: Vec<Backend>,
    /// `protocol`: what the servers speak. Default HTTP/1.1.
    pub protocol: PoolProtocol,
    /// `tls`; `None` is cleartext.
    pub tls: Option<PoolTls>,
    /// Idle connections kept per server and worker. Default 128; 0 keeps none.
    pub keepalive: usize,
    /// `sticky`
    pub sticky: Option<Sticky>,
    /// `health`
    pub health: Option<Health>,
    /// `outlier`
    pub outlier: Option<Outlier>,
    /// `panic`, in hundredths: with a smaller share of servers left by ejections, ejected ones are used. Default 50.
    pub panic: u32,
    /// `slow_start`, 1 s to 1 h. Default none.
    pub slow_start: Option<Duration>,
    /// `breaker`
    pub breaker: Option<Breaker>,
    /// `server_breaker`
    pub server_breaker: Option<Trip>,
    /// `queue`
    pub queue: Option<Queue>,
    /// `concurrency`
    pub concurrency: Option<Concurrency>,
    /// `timeout`
    pub timeout: PoolTimeout,
}

/// What the servers of a pool speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolProtocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2: by ALPN with TLS, by prior knowledge without.
    Http2,
}

/// How a pool chooses a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Algorithm {
    /// In turn, by weight, smoothly interleaved. The default.
    RoundRobin,
    /// Fewest requests in flight per unit of weight.
    LeastConnections,
    /// Peak EWMA over two random choices.
    LeastResponseTime,
    /// The less loaded of two random choices.
    PowerOfTwo,
    /// By the client's address.
    IpHash,
    /// Ring with bounded load.
    ConsistentHash(HashKey),
    /// Lookup table.
    Maglev(HashKey),
    /// At random, by weight.
    Random,
}

/// `hash_key`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// `client-ip` (the default)
    ClientIp,
    /// `path`
    Path,
    /// `header:NAME`, in lower case
    Header(String),
    /// `cookie:NAME`
    Cookie(String),
}

/// One of a pool's `backends`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its `name`, or its address as written in full.
    pub id: BackendId,
    /// `address`
    pub address: Address,
    /// 0 to 1,000; 0 takes no new request. Default 1.
    pub weight: u32,
    /// Used only when no other server is up. Default false.
    pub backup: bool,
    /// Requests in flight at it at most.
    pub max_connections: Option<u32>,
}

/// `sticky`: exactly one of `cookie`, `header` and `app_cookie`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// `{ cookie = "EVENKEEL", ttl = "1h" }`: a cookie that we issue; without `ttl` it lives as long as the browser.
    Cookie {
        /// Its name.
        name: String,
        /// Its `Max-Age`.
        ttl: Option<Duration>,
    },
    /// `{ header = "x-session" }`: equal values reach the same server.
    Header(String),
    /// `{ app_cookie = "JSESSIONID" }`: equal values reach the same server.
    AppCookie(String),
}

/// `health`: active checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `kind` and what belongs to it.
    pub probe: Probe,
    /// Between two probes of a server. Default 5 s.
    pub interval: Duration,
    /// For one probe. Default 2 s, at most `interval`.
    pub timeout: Duration,
    /// Failures in a row that take a server out. Default 3.
    pub fall: u32,
    /// Successes in a row that bring it back. Default 1.
    pub rise: u32,
    /// How long a server that has never answered may take to boot. Default 0 s.
    pub start_period: Duration,
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// `kind = "http"`, the default when `path` is given: GET.
    Http {
        /// Default `/`.
        path: String,
        /// Default the server's own host.
        host: Option<String>,
        /// Statuses that count as healthy, as inclusive ranges; `[200]`, `["2xx", "301-302"]`. Default 200 to 399.
        expect: Vec<(u16, u16)>,
    },
    /// `kind = "grpc"`: the health service (`grpc.health.v1`) says that the server serves.
    Grpc {
        /// Of which service it is asked; empty, the default, is the server as a whole. At most 127 bytes.
        service: String,
    },
    /// `kind = "tcp"`: a connection is accepted.
    Tcp,
}

/// `outlier`: passive checks on live traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlier {
    /// Failures within `window` that take a server out. Default 3.
    pub failures: u32,
    /// Default 30 s.
    pub window: Duration,
    /// For how long, the first time; doubled on each repeat, up to ten times. Default 30 s.
    pub eject: Duration,
    /// Of the pool's servers, in hundredths, how many may be out at a time. Default 50.
    pub max_ejected: u32,
    /// Standard deviations below the others at which a success rate is an outlier. Default none.
    pub success_rate: Option<f64>,
    /// Times the median at which an average latency is an outlier. Default none.
    pub latency: Option<f64>,
    /// Requests within `window` without which a server is not compared. Default 50.
    pub requests_min: u64,
}

impl Outlier {
    /// True when servers are compared with one another.
    pub fn compares(&self) -> bool {
        self.success_rate.is_some() || self.latency.is_some()
    }
}

/// `timeout` of a pool: what waits for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTimeout {
    /// To connect. Default 5 s.
    pub connect: Duration,
    /// From the request's last byte to the response head, and between two reads of the response. Default 60 s.
    pub response: Duration,
    /// How long an idle connection to a server is kept. Default 60 s.
    pub idle: Duration,
}
