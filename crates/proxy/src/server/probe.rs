//! Active health checks: the IO of one probe, which is a round trip like any other. What its result means is decided in
//! `core::health`.

mod grpc;
mod http;

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::{HttpProbe, Keepalive, PoolProtocol, Probe, ProxyProtocol};
use evenkeel_core::health::ProbeFailure;
use evenkeel_core::route::parse_host;
use evenkeel_net::proxy_protocol::Header;
use evenkeel_net::{Dial, Io};
use evenkeel_tls::ClientTls;
use evenkeel_types::{Address, Clock};

use super::error::ServerError;
use super::exchange::{AnswerBody, OutgoingHead, RoundTrip, Surroundings};
use super::h1::Ours;
use super::h2::Connections;
use super::pool::{Connection, Link};
use super::sender::written;
use super::upload::Passage;
use crate::body::{Advance, Body, BodyLimits, FromBytes, Source};
use crate::http::framing::Framing;
use crate::http::head::{HeadLimits, ResponseHead};
use crate::http::write;
use crate::worker::buffers::Buffers;
use crate::worker::timer::Timer;

/// What a probe reads of an answer.
const LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 1_000, uri: 0 };

/// A server, and how it is spoken with.
#[derive(Debug, Clone, Copy)]
pub struct Probed<'a> {
    /// Where it is.
    pub address: &'a Address,
    /// What it speaks.
    pub protocol: PoolProtocol,
    /// `None` is in clear.
    pub tls: Option<&'a ClientTls>,
    /// It wants a PROXY header first; a probe is a connection of the balancer's own.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How it is connected to.
    pub dial: &'a Dial,
}

/// What a probe asks.
struct Question<'q> {
    method: &'q str,
    path: &'q str,
    host: &'q str,
    /// Field lines besides `host`.
    fields: &'q str,
    body: Vec<u8>,
}

/// Probes a server once.
///
/// # Errors
/// Why the server does not count as healthy.
pub async fn probe(server: Probed<'_>, probe: &Probe, timeout: Duration) -> Result<(), ProbeFailure> {
    let probing = async {
        let io = connect(server, probe).await.map_err(from_io)?;
        match probe {
            Probe::Tcp => Ok(()),
            Probe::Http(probe) => {
                let HttpProbe { method, path, host, headers, expect, body } = probe;
                let host = host.clone().unwrap_or_else(|| host_of(server.address));
                let fields = http::fields(method, headers, server.protocol);
                let question = Question { method, path, host: &host, fields: &fields, body: Vec::new() };
                ask(io, server, question, timeout, async |head, _, answer| {
                    if !expect.iter().any(|(from, to)| (*from..=*to).contains(&head.status)) {
                        return Err(ProbeFailure::Status(head.status));
                    }
                    match body {
                        Some(text) => http::look_for(text, answer).await,
                        None => Ok(()),
                    }
                })
                .await
            }
            // The crate `databases` has those.
            Probe::Postgres(_) | Probe::Redis(_) => Err(ProbeFailure::Malformed),
            Probe::Grpc { service } => {
                let question = Question {
                    method: "POST",
                    path: grpc::HEALTH_CHECK,
                    host: &host_of(server.address),
                    fields: concat!(
                        "user-agent: evenkeel-health/",
                        env!("CARGO_PKG_VERSION"),
                        "\r\n",
                        "content-type: application/grpc\r\nte: trailers\r\n"
                    ),
                    body: grpc::check_request(service),
                };
                // It speaks HTTP/2, whatever the pool does.
                let server = Probed { protocol: PoolProtocol::Http2, ..server };
                ask(io, server, question, timeout, async |_, status, answer| {
                    let message = read(answer).await?;
                    let trailers = answer.body.trailers();
                    let status = write::value(trailers, b"grpc-status").map(<[u8]>::to_vec).or(status);
                    grpc::judge(&message, status.as_deref())
                })
                .await
            }
        }
    };
    tokio::time::timeout(timeout, probing).await.unwrap_or(Err(ProbeFailure::Timeout))
}

/// Where the request's host names the server, so does the `host` of a check; a check without one means the server's own.
async fn connect(server: Probed<'_>, probe: &Probe) -> io::Result<Io> {
    let mut io = server.dial.connect_from_reserve(server.address).await?;
    if let Some(version) = server.proxy_protocol {
        io.write_all(&mut [IoSlice::new(&written(&Header::local(), version))]).await?;
    }
    if let Some(tls) = server.tls {
        let host = match probe {
            Probe::Http(HttpProbe { host: Some(host), .. }) => parse_host(host).ok(),
            _ => None,
        };
        let host = host.map_or_else(|| "".into(), |(host, _)| host);
        let name = tls.server_name_for(server.address, tls.name_of_host(&host));
        let name = name.map_err(io::Error::other)?;
        io.connect_tls(tls.config(), name).await?;
    }
    Ok(io)
}

/// Asks, and has `look` look at the final head, the `grpc-status` in it, and what follows.
async fn ask<T>(
    io: Io,
    server: Probed<'_>,
    question: Question<'_>,
    timeout: Duration,
    look: impl AsyncFnOnce(&ResponseHead, Option<Vec<u8>>, &mut AnswerBody<'_>) -> Result<T, ProbeFailure>,
) -> Result<T, ProbeFailure> {
    let (buffers, clock) = (Rc::new(Buffers::default()), Clock::start());
    let around = Surroundings { buffers: &buffers, clock, heads: LIMITS, unsent: None, of_connection: None };
    let limits = BodyLimits { stall: timeout, at_most: None, rate_min: 0, bytes_max: None };
    let Question { method, path, host, fields, body } = question;
    let lines = lines(method, path, host, fields, body.len(), server.protocol);
    let target = [path, "", ""];
    let mut head = OutgoingHead { lines, method, target, is_secure: server.tls.is_some(), upgrade: None };
    let (framing, is_empty) = (Framing::Length(body.len() as u64), body.is_empty());
    let body = RefCell::new(Body::new(Source::Bytes(FromBytes::new(body)), framing, clock, limits));
    let ours = Ours { reserved: &[], deadline: None, edits: &<_>::default(), underscores: false };
    let passage = Passage { buffers: &buffers, ours, heads: LIMITS, stall: timeout.into() };
    let connections = Connections::uncounted();
    let link = match server.protocol {
        PoolProtocol::Http1 => {
            Link::Http1(Connection { io: Rc::new(io), only: None, opened: clock.now(), served: 0 })
        }
        PoolProtocol::Http2 => {
            let opened = connections.open(Keepalive::default(), around, async { Ok(io) }).await;
            Link::Http2(opened.map_err(from_handshake)?)
        }
    };
    let mut timer = Timer::new(clock);
    let rest = (!is_empty).then_some(&body);
    let mut trip = RoundTrip::over(around, link);
    let mut sending = trip.send(&mut head, rest, &passage, &mut timer).await.map_err(from_server)?;
    let head = match trip.send_rest(&mut sending).await.map_err(from_server)? {
        Some(early) if early.status >= 200 => early,
        _ => trip.read_final_head(&mut timer, timeout.into()).await.map_err(from_server)?,
    };
    let (bytes, fields) = trip.head();
    let mut statuses = fields.iter().filter(|field| field.name.of_bytes(bytes) == b"grpc-status");
    let status = statuses.next().map(|field| field.value.of_bytes(bytes).to_vec());
    let mut answer = trip.into_body(&head, method == "HEAD", Framing::Empty, limits).map_err(from_server)?;
    look(&head, status, &mut answer).await
}

/// The head of a probe in the form of HTTP/1.1.
fn lines(
    method: &str,
    path: &str,
    host: &str,
    fields: &str,
    length: usize,
    protocol: PoolProtocol,
) -> Vec<u8> {
    let mut lines = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{fields}").into_bytes();
    if length > 0 && protocol == PoolProtocol::Http1 {
        write::content_length(&mut lines, length as u64);
    }
    // What belongs to a connection of HTTP/1.1 is left out of HTTP/2.
    lines.extend_from_slice(b"connection: close\r\n\r\n");
    lines
}

/// The start of an answer's body, which is read to its end.
async fn read(answer: &mut AnswerBody<'_>) -> Result<Vec<u8>, ProbeFailure> {
    let mut message = Vec::new();
    loop {
        match answer.body.advance().map_err(|error| from_server(ServerError::Body(error)))? {
            Advance::Piece => {
                let piece = answer.body.piece();
                message.extend_from_slice(&piece[..piece.len().min(grpc::MESSAGE_MAX - message.len())]);
            }
            Advance::End => return Ok(message),
            Advance::MustRead => {
                answer.body.read().await.map_err(|error| from_server(ServerError::Body(error)))?;
            }
        }
    }
}

fn host_of(address: &Address) -> String {
    match address {
        Address::Ip(ip) => ip.to_string(),
        Address::Name(name, port) => format!("{name}:{port}"),
        Address::Unix(_) => "localhost".into(),
    }
}

fn from_io(error: io::Error) -> ProbeFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeFailure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ProbeFailure::Reset,
        _ => ProbeFailure::Io(error.to_string()),
    }
}

/// What it means that no connection of HTTP/2 came about.
fn from_handshake(error: io::Error) -> ProbeFailure {
    match error.kind() {
        io::ErrorKind::Other => ProbeFailure::Malformed,
        io::ErrorKind::UnexpectedEof => ProbeFailure::Reset,
        _ => from_io(error),
    }
}

fn from_server(error: ServerError) -> ProbeFailure {
    match error {
        ServerError::Timeout => ProbeFailure::Timeout,
        // An error of the connection's protocol.
        ServerError::Reset(error) if error.kind() == io::ErrorKind::Other => ProbeFailure::Reset,
        ServerError::Reset(error) => from_io(error),
        ServerError::Closed | ServerError::HeadCut | ServerError::Unprocessed | ServerError::Body(_) => {
            ProbeFailure::Reset
        }
        _ => ProbeFailure::Malformed,
    }
}
