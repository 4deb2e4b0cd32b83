//! Active health checks: the IO of one probe. What its result means is decided in `core::health`.

use std::future::Future;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use evenkeel_config::{PoolProtocol, Probe};
use evenkeel_core::health::ProbeFailure;
use evenkeel_net::{Io, Wire};
use evenkeel_tls::ClientTls;
use evenkeel_types::Address;
use h2::client::SendRequest;
use http::Request;

use super::error::ServerError;
use super::h1::read_head;
use crate::http::head::HeadLimits;

/// What a probe reads of an answer.
const LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 1_000, uri: 0 };
/// Bytes of a gRPC answer that are looked at; the one that is hoped for has seven.
const MESSAGE_MAX: usize = 1024;
/// What the health service is called, and what it answers (`grpc.health.v1`).
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
const SERVING: u8 = 1;

/// A server, and how it is spoken with.
#[derive(Debug, Clone, Copy)]
pub struct Probed<'a> {
    /// Where it is.
    pub address: &'a Address,
    /// What it speaks.
    pub protocol: PoolProtocol,
    /// `None` is in clear.
    pub tls: Option<&'a ClientTls>,
}

/// Probes a server once.
///
/// # Errors
/// Why the server does not count as healthy.
pub async fn probe(server: Probed<'_>, probe: &Probe, timeout: Duration) -> Result<(), ProbeFailure> {
    let probing = async {
        let io = connect(server).await.map_err(from_io)?;
        match probe {
            Probe::Tcp => Ok(()),
            Probe::Grpc { service } => {
                let asked = |handle| grpc(handle, server, service);
                over_http2(io, asked).await
            }
            Probe::Http { path, host, expect } => {
                let host = host.clone().unwrap_or_else(|| host_of(server.address));
                let status = match server.protocol {
                    PoolProtocol::Http1 => http1(&io, path, &host).await?,
                    PoolProtocol::Http2 => {
                        over_http2(io, |handle| http2(handle, server, path, &host)).await?
                    }
                };
                let expected = expect.iter().any(|(from, to)| (*from..=*to).contains(&status));
                if expected { Ok(()) } else { Err(ProbeFailure::Status(status)) }
            }
        }
    };
    tokio::time::timeout(timeout, probing).await.unwrap_or(Err(ProbeFailure::Timeout))
}

async fn connect(server: Probed<'_>) -> io::Result<Io> {
    let mut io = evenkeel_net::connect_from_reserve(server.address).await?;
    if let Some(tls) = server.tls {
        let name = tls.server_name(server.address).map_err(io::Error::other)?;
        io.connect_tls(tls.config(), name).await?;
    }
    Ok(io)
}

async fn http1(io: &Io, path: &str, host: &str) -> Result<u16, ProbeFailure> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {}\r\naccept: */*\r\nconnection: close\r\n\r\n",
        user_agent()
    );
    io.write_all(&mut [IoSlice::new(request.as_bytes())]).await.map_err(from_io)?;
    let mut buf = Vec::with_capacity(1024);
    // Interim responses are not what we asked for.
    loop {
        let head = read_head(io, &mut buf, &mut Vec::new(), LIMITS).await.map_err(from_answer)?;
        if head.status >= 200 {
            return Ok(head.status);
        }
        buf.drain(..head.len);
    }
}

/// Opens an HTTP/2 connection for as long as `work` takes.
async fn over_http2<T, F: Future<Output = Result<T, ProbeFailure>>>(
    io: Io,
    work: impl FnOnce(SendRequest<Bytes>) -> F,
) -> Result<T, ProbeFailure> {
    let wire = Wire::new(Rc::new(io), Vec::new());
    let (handle, connection) = h2::client::handshake(wire).await.map_err(from_h2)?;
    tokio::select! {
        biased;
        done = work(handle) => done,
        ended = connection => Err(ended.map_or_else(from_h2, |()| ProbeFailure::Reset)),
    }
}

fn head(server: Probed<'_>, method: &str, host: &str, path: &str) -> Result<Request<()>, ProbeFailure> {
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    Request::builder()
        .method(method)
        .uri(format!("{scheme}://{host}{path}"))
        .header("user-agent", user_agent())
        .body(())
        .map_err(|_| ProbeFailure::Malformed)
}

async fn http2(
    handle: SendRequest<Bytes>,
    server: Probed<'_>,
    path: &str,
    host: &str,
) -> Result<u16, ProbeFailure> {
    let mut handle = handle.ready().await.map_err(from_h2)?;
    let (response, _) = handle.send_request(head(server, "GET", host, path)?, true).map_err(from_h2)?;
    Ok(response.await.map_err(from_h2)?.status().as_u16())
}

/// The health protocol of gRPC: the server says of a service, or of itself, whether it serves.
async fn grpc(handle: SendRequest<Bytes>, server: Probed<'_>, service: &str) -> Result<(), ProbeFailure> {
    let mut handle = handle.ready().await.map_err(from_h2)?;
    let mut head = head(server, "POST", &host_of(server.address), HEALTH_CHECK)?;
    head.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    head.headers_mut().insert("te", http::HeaderValue::from_static("trailers"));
    let (response, mut body) = handle.send_request(head, false).map_err(from_h2)?;
    body.send_data(check_request(service), true).map_err(from_h2)?;
    let (parts, mut answer) = response.await.map_err(from_h2)?.into_parts();
    let mut message = BytesMut::new();
    while let Some(data) = answer.data().await {
        let data = data.map_err(from_h2)?;
        message.extend_from_slice(&data[..data.len().min(MESSAGE_MAX - message.len())]);
        // A server that says more than is looked at does not say that it serves.
        let _ = answer.flow_control().release_capacity(data.len());
    }
    let trailers = answer.trailers().await.map_err(from_h2)?;
    let status = trailers.as_ref().unwrap_or(&parts.headers).get("grpc-status");
    match status.map(http::HeaderValue::as_bytes) {
        Some(b"0") if serving_status(&message) == Some(SERVING) => Ok(()),
        Some(b"0") => Err(ProbeFailure::NotServing),
        Some(status) => Err(ProbeFailure::Grpc(String::from_utf8_lossy(status).into_owned())),
        None => Err(ProbeFailure::Malformed),
    }
}

/// `HealthCheckRequest { string service = 1; }`, framed; the name is at most 127 bytes long.
fn check_request(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.extend([0x0a, service.len() as u8]);
        message.extend(service.bytes());
    }
    let mut framed = vec![0, 0, 0, 0, message.len() as u8];
    framed.append(&mut message);
    framed.into()
}

/// Of `HealthCheckResponse { ServingStatus status = 1; }`, framed and not compressed; 0, unknown, is not written.
fn serving_status(mut framed: &[u8]) -> Option<u8> {
    if framed.remaining() < 5 || framed.get_u8() != 0 {
        return None;
    }
    let length = framed.get_u32() as usize;
    match framed.get(..length)? {
        [] => Some(0),
        [0x08, status] => Some(*status),
        _ => None,
    }
}

fn user_agent() -> &'static str {
    concat!("evenkeel-health/", env!("CARGO_PKG_VERSION"))
}

fn from_h2(error: h2::Error) -> ProbeFailure {
    match error.get_io() {
        Some(io) => from_io(io::Error::from(io.kind())),
        None if error.is_reset() || error.is_go_away() => ProbeFailure::Reset,
        None => ProbeFailure::Malformed,
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

fn from_answer(error: ServerError) -> ProbeFailure {
    match error {
        ServerError::Reset(error) => from_io(error),
        ServerError::Closed | ServerError::HeadCut => ProbeFailure::Reset,
        _ => ProbeFailure::Malformed,
    }
}
