//! Active health checks: the IO of one probe. What its result means is decided in `core::health`.

use std::io::{self, IoSlice};
use std::time::Duration;

use evenkeel_config::Probe;
use evenkeel_core::health::ProbeFailure;
use evenkeel_types::Address;

use super::answer::AnswerError;
use super::h1::read_head;
use crate::h1::head::HeadLimits;

/// What a probe reads of an answer.
const LIMITS: HeadLimits = HeadLimits { bytes: 16 * 1024, fields: 100, uri: 0 };

/// Probes a server once.
///
/// # Errors
/// Why the server does not count as healthy.
pub async fn probe(address: &Address, probe: &Probe, timeout: Duration) -> Result<(), ProbeFailure> {
    let probing = async {
        let io = evenkeel_net::connect(address).await.map_err(from_io)?;
        let Probe::Http { path, host, expect } = probe else { return Ok(()) };
        let host = host.clone().unwrap_or_else(|| host_of(address));
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: evenkeel-health/{}\r\naccept: */*\r\nconnection: close\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        );
        io.write_all(&mut [IoSlice::new(request.as_bytes())]).await.map_err(from_io)?;
        let mut buf = Vec::with_capacity(1024);
        let mut status = 100;
        // Interim responses are not what we asked for.
        while matches!(status, 100..=199) {
            let head = read_head(&io, &mut buf, &mut Vec::new(), LIMITS).await.map_err(from_answer)?;
            status = head.status;
            buf.drain(..head.len);
        }
        let expected = expect.iter().any(|(from, to)| (*from..=*to).contains(&status));
        if expected { Ok(()) } else { Err(ProbeFailure::Status(status)) }
    };
    tokio::time::timeout(timeout, probing).await.unwrap_or(Err(ProbeFailure::Timeout))
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

fn from_answer(error: AnswerError) -> ProbeFailure {
    match error {
        AnswerError::Reset(error) => from_io(error),
        AnswerError::Closed => ProbeFailure::Reset,
        _ => ProbeFailure::Malformed,
    }
}
