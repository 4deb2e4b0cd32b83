//! Connections to the target, of either version of HTTP, and one exchange on them.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_rustls::TlsConnector;

use crate::record::{Answer, Failure, Fault};
use crate::scenario::Message;

/// Connections that a request goes over at most, if servers close them before they do anything about it.
const TRIES_MAX: u32 = 3;

/// Opens connections.
#[derive(Clone)]
pub struct Dialer {
    /// Where to; the first that answers is taken.
    pub addresses: Arc<[SocketAddr]>,
    /// How to speak TLS, and with whom.
    pub tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The version.
    pub http2: bool,
}

/// An open connection.
pub enum Sender {
    /// One exchange at a time.
    H1(http1::SendRequest<Full<Bytes>>),
    /// Streams.
    H2(http2::SendRequest<Full<Bytes>>),
}

impl Dialer {
    async fn dial(&self) -> Result<Sender, Failure> {
        let socket =
            TcpStream::connect(&*self.addresses).await.map_err(|why| failure(Fault::Connect, &why))?;
        // A delay that the kernel adds would be taken for the server's.
        let _ = socket.set_nodelay(true);
        let Some((connector, name)) = &self.tls else { return self.handshake(socket).await };
        let session = connector.connect(name.clone(), socket).await;
        let session = session.map_err(|why| failure(Fault::Tls, &why))?;
        if self.http2 && session.get_ref().1.alpn_protocol() != Some(b"h2") {
            let why = "the server did not agree to HTTP/2 (ALPN)".to_owned();
            return Err(Failure { fault: Fault::Protocol, why });
        }
        self.handshake(session).await
    }

    async fn handshake(&self, io: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<Sender, Failure> {
        // The request on a connection learns what goes wrong with it.
        if self.http2 {
            let (sender, connection) = http2::Builder::new(Local)
                .timer(TokioTimer::new())
                .handshake(TokioIo::new(io))
                .await
                .map_err(|why| of_hyper(&why))?;
            spawn_local(async move { drop(connection.await) });
            Ok(Sender::H2(sender))
        } else {
            let handshake = http1::handshake(TokioIo::new(io)).await;
            let (sender, connection) = handshake.map_err(|why| of_hyper(&why))?;
            spawn_local(async move { drop(connection.await) });
            Ok(Sender::H1(sender))
        }
    }
}

/// A place for one connection. Only streams of HTTP/2 share it.
pub struct Slot {
    dialer: Rc<Dialer>,
    /// No connection is used twice.
    once: bool,
    /// With the number of its connection.
    sender: tokio::sync::Mutex<Option<(Sender, u64)>>,
    opened: Cell<u64>,
}

impl Slot {
    /// Nothing is connected yet.
    pub fn new(dialer: Rc<Dialer>, once: bool) -> Self {
        Self { dialer, once, sender: tokio::sync::Mutex::new(None), opened: Cell::new(0) }
    }

    /// Connections that were opened.
    pub fn opened(&self) -> u64 {
        self.opened.get()
    }

    /// Sends a request, on the connection that is open or on a new one.
    ///
    /// # Errors
    /// There is no whole response.
    pub async fn exchange(&self, message: Message, split_by: Option<&HeaderName>) -> Result<Answer, Failure> {
        let mut tries = 1;
        loop {
            let (mut sender, number, is_new) = self.sender().await?;
            match send(&mut sender, message.clone(), split_by).await {
                Ok(answer) => {
                    if !self.once && matches!(sender, Sender::H1(_)) {
                        *self.sender.lock().await = Some((sender, number));
                    }
                    return Ok(answer);
                }
                // The server closes connections as it likes: the request goes over another one.
                Err((_, true)) if tries < TRIES_MAX && (!is_new || self.dialer.http2) => {
                    tries += 1;
                    let mut kept = self.sender.lock().await;
                    if kept.as_ref().is_some_and(|(_, other)| *other == number) {
                        *kept = None;
                    }
                }
                Err((failure, _)) => return Err(failure),
            }
        }
    }

    /// A connection that is open, its number, and whether it is new. One of HTTP/1.1 is taken from its place until it
    /// is put back.
    async fn sender(&self) -> Result<(Sender, u64, bool), Failure> {
        let mut kept = self.sender.lock().await;
        match kept.take() {
            Some((Sender::H1(mut sender), number)) => {
                let is_open = sender.ready().await.is_ok();
                if is_open {
                    return Ok((Sender::H1(sender), number, false));
                }
            }
            Some((Sender::H2(sender), number)) if !sender.is_closed() => {
                *kept = Some((Sender::H2(sender.clone()), number));
                return Ok((Sender::H2(sender), number, false));
            }
            _ => {}
        }
        let sender = self.dialer.dial().await?;
        let number = self.opened.get() + 1;
        self.opened.set(number);
        if let (Sender::H2(sender), false) = (&sender, self.once) {
            *kept = Some((Sender::H2(sender.clone()), number));
        }
        Ok((sender, number, true))
    }
}

/// One exchange; when it fails, whether the server has done nothing about the request.
async fn send(
    sender: &mut Sender,
    message: Message,
    split_by: Option<&HeaderName>,
) -> Result<Answer, (Failure, bool)> {
    let of = |why: &hyper::Error| (of_hyper(why), why.is_canceled() || why.is_closed() || is_refused(why));
    let response = match sender {
        Sender::H1(sender) => sender.send_request(message).await,
        Sender::H2(sender) => {
            sender.ready().await.map_err(|why| of(&why))?;
            sender.send_request(message).await
        }
    };
    let (head, mut body) = response.map_err(|why| of(&why))?.into_parts();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| (of_hyper(&why), false))?;
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    let value = split_by.and_then(|name| head.headers.get(name));
    let server = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok(Answer { status: head.status.as_u16(), bytes, server })
}

/// Runs what a connection of HTTP/2 spawns on its own thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// HTTP/2: the server ends the connection and has not begun with the stream, or refuses it (RFC 9113, 6.8 and 8.7).
fn is_refused(why: &hyper::Error) -> bool {
    let Some(why) = why.source().and_then(|source| source.downcast_ref::<h2::Error>()) else { return false };
    let reason = why.reason();
    why.is_remote()
        && (why.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
            || reason == Some(h2::Reason::REFUSED_STREAM))
}

fn of_hyper(why: &hyper::Error) -> Failure {
    let refused = || {
        let mut cause = why.source();
        while let Some(inner) = cause {
            if inner.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::InvalidData) {
                return true;
            }
            cause = inner.source();
        }
        false
    };
    let fault = if why.is_parse() || refused() { Fault::Protocol } else { Fault::Reset };
    failure(fault, why)
}

/// The whole chain of causes in one line.
fn failure(fault: Fault, why: &dyn Error) -> Failure {
    let mut text = why.to_string();
    let mut cause = why.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    Failure { fault, why: text }
}
