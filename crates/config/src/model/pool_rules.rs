//! What does not fit together within one `[pool.NAME]`, and what follows from several of its keys.

use std::collections::HashMap;

use evenkeel_types::{Address, BackendId};

use super::discover::Discover;
use super::health::Probe;
use super::outlier::Outlier;
use super::pool::{Backend, Pool, PoolProtocol};
use super::tls::Trust;
use crate::diagnostic::{Diagnostic, Span};
use crate::read::{Reader, Table, clip};

/// Requests that may be queued, without a `breaker` that says otherwise.
const PENDING_MAX: usize = 100;

/// Servers that it takes to say which one stands out.
const COMPARED_MIN: usize = 3;

impl Pool {
    pub(super) fn check_health(&self, table: &Table<'_>) {
        let asks_grpc = matches!(self.health.as_ref().map(|health| &health.probe), Some(Probe::Grpc { .. }));
        if let Some(span) =
            table.key_span("health").filter(|_| asks_grpc && self.protocol == PoolProtocol::Http1)
        {
            table.reader.note(
                Diagnostic::error("gRPC is spoken over HTTP/2")
                    .at(span)
                    .with_expected("only with `protocol = \"http2\"`")
                    .with_help("add `protocol = \"http2\"` to the pool"),
            );
        }
        let at_socket = self.backends.iter().find(|backend| matches!(backend.address, Address::Unix(_)));
        if let (Some(backend), Some(health)) = (at_socket, table.peek("health")) {
            health.warn_of(
                "port",
                format!("`{}` has no port: it is checked at its socket", backend.address),
                "has no effect for servers on unix sockets",
            );
        }
    }
}

impl Pool {
    /// True if its checks open a connection of TCP and do nothing more.
    pub(super) fn checks_by_connection(&self) -> bool {
        self.health.as_ref().is_some_and(|health| health.probe == Probe::Tcp)
    }

    pub(super) fn check_outlier(&self, table: &Table<'_>) {
        if let Some(span) = table.key_span("panic").filter(|_| !table.has("outlier")) {
            table.reader.note(
                Diagnostic::error("`panic` has no effect where no server is ever ejected")
                    .at(span)
                    .with_expected("only with `outlier`")
                    .with_help("add `outlier = {}`, or leave `panic` out"),
            );
        }
        let compares = self.outlier.as_ref().is_some_and(Outlier::compares) && self.discover.is_none();
        let compared = self.backends.iter().filter(|backend| backend.weight > 0).count();
        if let Some(span) =
            table.key_span("outlier").filter(|_| compares && (1..COMPARED_MIN).contains(&compared))
        {
            let servers = if compared == 1 { "one server has" } else { "two servers have" };
            table.reader.note(
                Diagnostic::warning(format!(
                    "only {servers} a weight above zero, and none can stand out among so few"
                ))
                .at(span)
                .with_expected("`success_rate` and `latency` compare three servers at least"),
            );
        }
    }
}

impl Pool {
    /// No connection from IPv4 leads to IPv6, nor the other way round.
    pub(super) fn check_bind_from(&self, table: &Table<'_>) {
        let Some(span) = table.key_span("bind_from").filter(|_| !self.bind_from.is_empty()) else { return };
        let lacks = |ipv4: bool| self.bind_from.iter().all(|ip| ip.is_ipv4() != ipv4);
        let addresses = self.backends.iter().map(|backend| &backend.address);
        let unreachable = addresses
            .filter_map(|address| if let Address::Ip(address) = address { Some(address) } else { None })
            .find(|address| lacks(address.is_ipv4()));
        if let Some(address) = unreachable {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            table.reader.note(
                Diagnostic::error(format!(
                    "no address of `bind_from` is {family}, as the server `{address}` is"
                ))
                .at(span)
                .with_expected(format!("expected an {family} address of this machine among them")),
            );
        }
    }

    /// Each connection of HTTP/2 carries requests of many clients, and a header names one.
    pub(super) fn check_proxy_protocol(&self, table: &Table<'_>) {
        if let Some(span) = table.key_span("proxy_protocol").filter(|_| self.protocol == PoolProtocol::Http2)
        {
            table.reader.note(
                Diagnostic::error("requests of many clients share the connections of HTTP/2")
                    .at(span)
                    .with_expected("only with `protocol = \"http1\"`")
                    .with_help("leave `proxy_protocol` out: servers get `X-Forwarded-For` with each request"),
            );
        }
    }
}

impl Pool {
    /// Requests that may wait in its queue.
    pub fn pending_max(&self) -> usize {
        self.breaker.as_ref().map_or(PENDING_MAX, |breaker| breaker.max_pending as usize)
    }

    /// True if its requests are counted against limits, or watched by a circuit breaker.
    pub fn is_guarded(&self) -> bool {
        self.breaker.is_some()
            || self.server_breaker.is_some()
            || self.concurrency.is_some()
            || self.backends.iter().any(|backend| backend.max_connections.is_some())
    }

    /// Notes limits that no request is held to, and a queue that no limit leads to.
    pub(super) fn check_limits(&self, table: &Table<'_>) {
        self.check_breaker(table);
        let limits = self.breaker.as_ref().is_some_and(|it| it.max_connections.or(it.max_requests).is_some());
        // A server without a limit always has room.
        let servers_fill = self.backends.iter().all(|backend| backend.max_connections.is_some());
        // A file may give each of its servers a limit.
        let may_fill = matches!(self.discover, Some(Discover::File(_)));
        if let Some(span) = table
            .key_span("queue")
            .filter(|_| !limits && !servers_fill && self.concurrency.is_none() && !may_fill)
        {
            table.reader.note(
                Diagnostic::warning("no request ever waits in this `queue`: no limit can be reached")
                    .at(span)
                    .with_expected("has no effect")
                    .with_help(
                        "give each server `max_connections`, or the pool a `breaker` with `max_requests`",
                    ),
            );
        }
    }

    fn check_breaker(&self, pool: &Table<'_>) {
        let Some(table) = pool.peek("breaker") else { return };
        let shares = self.protocol == PoolProtocol::Http2;
        if let Some(span) = table.key_span("max_connections").filter(|_| shares) {
            table.reader.note(
                Diagnostic::error("requests share the connections of HTTP/2")
                    .at(span)
                    .with_expected("only with `protocol = \"http1\"`")
                    .with_help("limit the requests: `max_requests`"),
            );
        }
        if let Some(span) = table.key_span("max_pending").filter(|_| !pool.has("queue")) {
            table.reader.note(
                Diagnostic::warning("`max_pending` has no effect without `queue`")
                    .at(span)
                    .with_expected("has no effect")
                    .with_help("add `queue = { wait = \"1s\" }` to the pool"),
            );
        }
    }
}

impl Pool {
    /// Notes certificates that servers found by name will hardly have: those of their addresses.
    pub(super) fn check_discovery(&self, table: &Table<'_>) {
        let name = match &self.discover {
            Some(Discover::Dns { name, .. } | Discover::Srv(name)) => {
                // A service belongs to the domain behind its labels (RFC 2782).
                let labels = name.trim_end_matches('.').split('.').skip_while(|label| label.starts_with('_'));
                labels.collect::<Vec<_>>().join(".")
            }
            Some(Discover::File(_)) | None => return,
        };
        let Some(tls) = self.tls.as_ref().filter(|tls| tls.server_name.is_none()) else { return };
        if tls.trust == Trust::Anything {
            return;
        }
        table.warn_with_help(
            "tls",
            "servers that DNS finds are known by their IP addresses, for which their certificates must be",
            "has no `server_name`",
            &format!("add the name that the certificates are for, as in `server_name = \"{name}\"`"),
        );
    }
}

/// Notes servers that have the same id or address; `of` is what they are servers of, and `spans` where each stands.
pub(crate) fn servers_differ(of: &str, backends: &[Backend], spans: &[Span], reader: &Reader) {
    let mut first: HashMap<&BackendId, &Backend> = HashMap::new();
    let mut at: HashMap<&Address, &Backend> = HashMap::new();
    for (backend, span) in backends.iter().zip(spans) {
        let same = *at.entry(&backend.address).or_insert(backend);
        if same.id != backend.id {
            reader.note(
                Diagnostic::warning(format!(
                    "servers `{}` and `{}` of {of} have the same address",
                    clip(same.id.as_str()),
                    clip(backend.id.as_str())
                ))
                .at(span.clone())
                .with_expected(format!("`{}` is the address of both", backend.address))
                .with_help("correct the address; to send one server more, raise its `weight`"),
            );
        }
        let Some(other) = first.insert(&backend.id, backend) else { continue };
        let help = if other.address == backend.address {
            "raise its `weight` to send it more"
        } else {
            "give each a `name` of its own"
        };
        reader.note(
            Diagnostic::error(format!("two servers of {of} are called `{}`", backend.id))
                .at(span.clone())
                .with_expected("expected a server that is not yet in the list")
                .with_help(help),
        );
    }
}
