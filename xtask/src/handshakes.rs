//! A load client that makes a full TLS handshake for every request, on a fresh connection that the server closes.
//!
//! wrk will not do: it keeps its TLS object over reconnects and so may resume, and it spends more on a handshake than
//! some servers do.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, Stream};

use crate::bench::generator::Report;
use crate::tls::{self, KeyExchange, SERVER_NAME};

/// How long a client waits for a server to accept, to go on, or to close.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a response, head and body.
const RESPONSE_MAX: u64 = 16 * 1024;
/// Bytes of a client thread's stack.
const STACK: usize = 256 * 1024;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// What `cargo xtask handshakes` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where to send requests for `/`.
    #[arg(long, value_name = "IP:PORT")]
    address: SocketAddr,
    /// Connections at a time, each with a thread of its own.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// The key exchange, which is the only one that is offered.
    #[arg(long, value_name = "NAME", default_value = "x25519")]
    key_exchange: KeyExchange,
    /// For how long new connections are made.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

/// Sends the load and prints a [`Report`] as JSON; each client's first error goes to stderr.
///
/// # Errors
/// A client failed to start.
pub fn run(options: &Options) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(&drive(options)?)?);
    Ok(())
}

fn drive(options: &Options) -> anyhow::Result<Report> {
    let config = tls::client(options.key_exchange, "http/1.1")?;
    let start = Instant::now();
    let end = start + Duration::from_secs(options.seconds);
    let clients: Vec<_> = (0..options.connections)
        .map(|_| {
            let (config, address) = (config.clone(), options.address);
            thread::Builder::new().stack_size(STACK).spawn(move || client(&config, address, end))
        })
        .collect::<Result<_, _>>()?;
    let mut sum = Report::default();
    for client in clients {
        let report = client.join().map_err(|_| anyhow!("a client panicked"))?;
        sum.requests += report.requests;
        sum.bytes += report.bytes;
        sum.errors += report.errors;
    }
    sum.duration_us = u64::try_from(start.elapsed().as_micros())?;
    Ok(sum)
}

/// One connection after the other until `end`.
fn client(config: &Arc<ClientConfig>, address: SocketAddr, end: Instant) -> Report {
    let mut report = Report::default();
    while Instant::now() < end {
        match handshake(config, address) {
            Ok(bytes) => {
                report.requests += 1;
                report.bytes += bytes as u64;
            }
            Err(error) => {
                if report.errors == 0 {
                    eprintln!("{error:#}");
                }
                report.errors += 1;
            }
        }
    }
    report
}

/// One connection, one handshake, one request, and the end that the server makes; the response's length.
fn handshake(config: &Arc<ClientConfig>, address: SocketAddr) -> anyhow::Result<usize> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE).context("cannot connect")?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut session = ClientConnection::new(config.clone(), SERVER_NAME.try_into()?)?;
    let mut stream = Stream::new(&mut session, &mut socket);
    stream.write_all(REQUEST).context("cannot send the request")?;
    let mut response = Vec::with_capacity(1024);
    // Servers differ in how they end a connection, so any end will do; only one that does not come is a fault.
    if let Err(error) = stream.take(RESPONSE_MAX).read_to_end(&mut response) {
        ensure!(error.kind() != ErrorKind::WouldBlock, "the server did not close the connection");
    }
    let whole = response.starts_with(b"HTTP/1.1 200") && response.ends_with(&[b'x'; 128]);
    ensure!(whole, "not the answer: {}", String::from_utf8_lossy(&response));
    let kind = session.handshake_kind();
    ensure!(kind == Some(HandshakeKind::Full), "the handshake was not a full one but {kind:?}");
    Ok(response.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;
    use std::sync::Mutex;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{NamedGroup, ServerConfig, ServerConnection};

    use crate::bench::certificate::Certificate;
    use crate::bench::install;

    type Seen = Arc<Mutex<Vec<(Option<HandshakeKind>, Option<NamedGroup>)>>>;

    /// A server that would resume sessions, answers every request with `answer` and closes.
    fn server(name: &str, answer: &'static str) -> (SocketAddr, Seen) {
        let dir = std::env::temp_dir().join(format!("xtask-handshakes-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let Certificate { cert, key } =
            Certificate::create(&install::find("openssl").unwrap(), &dir).unwrap();
        let (cert, key) =
            (CertificateDer::from_pem_file(cert).unwrap(), PrivateKeyDer::from_pem_file(key).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
        let config =
            ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![cert], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let kept = seen.clone();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut session = ServerConnection::new(config.clone()).unwrap();
                let mut stream = Stream::new(&mut session, &mut socket);
                let mut request = [0; REQUEST.len()];
                if stream.read_exact(&mut request).is_ok() {
                    let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
                    let group = session.negotiated_key_exchange_group().map(|group| group.name());
                    kept.lock().unwrap().push((session.handshake_kind(), group));
                }
            }
        });
        (address, seen)
    }

    fn driven(address: SocketAddr, key_exchange: KeyExchange) -> Report {
        drive(&Options { address, connections: 2, key_exchange, seconds: 1 }).unwrap()
    }

    #[test]
    fn every_request_has_a_full_handshake_with_the_key_exchange_that_was_asked_for() {
        let answer: &str = Box::leak(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(128)).into_boxed_str());
        let (address, seen) = server("full", answer);
        for (exchange, group) in [
            (KeyExchange::X25519, NamedGroup::X25519),
            (KeyExchange::X25519MlKem768, NamedGroup::X25519MLKEM768),
        ] {
            let report = driven(address, exchange);
            let seen = std::mem::take(&mut *seen.lock().unwrap());
            assert!(report.requests > 1 && report.errors == 0, "{report:?}");
            assert_eq!(seen.len() as u64, report.requests);
            assert!(seen.iter().all(|s| *s == (Some(HandshakeKind::Full), Some(group))), "{seen:?}");
        }
    }

    #[test]
    fn another_answer_is_an_error() {
        let (address, _) = server("wrong", "HTTP/1.1 502 Bad Gateway\r\n\r\n");
        let report = driven(address, KeyExchange::X25519);
        assert!(report.requests == 0 && report.errors > 0, "{report:?}");
    }
}
