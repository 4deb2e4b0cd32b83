//! Connections that begin with a PROXY header: whom they speak for; and what the headers to servers say.

use std::net::SocketAddr;

use evenkeel_config::Listener;
use evenkeel_net::proxy_protocol::{Carried, HeaderError, ReceiveError, Tls, Tlvs};
use evenkeel_net::{Handshake, Io, Peer};
use evenkeel_observe::ProxyHeaderResult;
use evenkeel_tls::ClientIdentity;

use crate::worker::Worker;
use crate::worker::timer::{Elapsed, Timer};

/// Reads the PROXY header that a connection from `peer` must begin with, before anything else is read: who the client is, and
/// where it connected to. `None` if there is none, which was counted and logged: the connection is to be closed.
pub async fn arrive(
    worker: &Worker,
    listener: &Listener,
    io: &Io,
    peer: Peer,
) -> Option<(Peer, Option<SocketAddr>)> {
    let mut timer = Timer::new(worker.clock);
    let read = timer.within(listener.timeout.head.into(), io.read_proxy_header()).await;
    let (result, why) = match &read {
        Ok(Ok(header)) => {
            let (result, destination) = match header.carried {
                Carried::Ip { destination, .. } => (ProxyHeaderResult::Client, Some(destination)),
                Carried::Unix => (ProxyHeaderResult::Client, None),
                Carried::Peer => (ProxyHeaderResult::Local, io.local_address()),
            };
            worker.metrics.proxy_header(result);
            return Some((header.client(peer), destination));
        }
        Ok(Err(error)) => (result_of(error), error.to_string()),
        Err(Elapsed) => (
            ProxyHeaderResult::Timeout,
            format!("no whole PROXY header within timeout.head ({:?})", listener.timeout.head),
        ),
    };
    worker.metrics.proxy_header(result);
    // A check of the port, which says nothing and closes, is not worth a message.
    if !matches!(read, Ok(Err(ReceiveError::Closed))) && worker.shared.may_say_unproxied(&listener.name) {
        let next = "further ones are counted in evenkeel_proxy_headers_total, and said again after a minute";
        tracing::warn!(listener = %listener.name, peer = %peer.ip(), %why, next, "closed a connection from a peer in accept_proxy_protocol");
    }
    None
}

/// What servers are sent of a TLS session with a client.
pub fn session(handshake: &Handshake, identity: Option<&ClientIdentity>) -> Tlvs {
    let value = |text: &str| Box::from(text.as_bytes());
    // The registry of IANA has no number in its names of the suites of TLS 1.3.
    let cipher = handshake.cipher.map(|name| name.replacen("TLS13_", "TLS_", 1));
    Tlvs {
        alpn: handshake.alpn.as_deref().map(Box::from),
        authority: handshake.server_name.as_deref().map(value),
        unique_id: None,
        tls: Some(Tls {
            version: handshake.version.map(value),
            cipher: cipher.as_deref().map(value),
            is_verified: handshake.peer_certificate.is_some(),
            common_name: identity.and_then(|identity| identity.common_name.as_deref()).map(value),
        }),
    }
}

fn result_of(error: &ReceiveError) -> ProxyHeaderResult {
    match error {
        ReceiveError::Header(HeaderError::Missing) => ProxyHeaderResult::Missing,
        ReceiveError::Header(HeaderError::Malformed(_)) => ProxyHeaderResult::Malformed,
        ReceiveError::Cut | ReceiveError::Closed | ReceiveError::Io(_) => ProxyHeaderResult::Closed,
    }
}
