//! TLS over a stream (RFC 8446, RFC 5246): rustls keeps the session, we move its records.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, BufRead, IoSlice, Write};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, HandshakeKind, ProtocolVersion,
    ServerConfig, ServerConnection,
};

use crate::stream::Stream;

/// Bytes of plaintext that wait in the session, encrypted, for a peer that is slow to take them.
const UNSENT_MAX: usize = 128 * 1024;

/// A TLS session.
#[derive(Debug)]
pub(crate) struct Session {
    connection: RefCell<Connection>,
    /// Plaintext may be waiting although nothing more has come from the peer.
    waiting: Cell<bool>,
}

/// What a handshake has come to.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The protocol that both sides chose, such as `h2` (RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// The name that the client asked for, in lower case.
    pub server_name: Option<String>,
    /// The version of TLS, such as `TLSv1.3`.
    pub version: Option<&'static str>,
    /// The cipher suite, by rustls' name for it.
    pub cipher: Option<&'static str>,
    /// It went on with an earlier session.
    pub is_resumed: bool,
    /// The peer's own certificate, which was verified.
    pub peer_certificate: Option<CertificateDer<'static>>,
}

impl Session {
    pub(crate) fn server(config: Arc<ServerConfig>) -> io::Result<Box<Self>> {
        ServerConnection::new(config).map(|c| Self::new(c.into())).map_err(io::Error::other)
    }

    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Box<Self>> {
        ClientConnection::new(config, name).map(|c| Self::new(c.into())).map_err(io::Error::other)
    }

    /// In a box, because it is large, and the futures that shake hands would be so too.
    fn new(mut connection: Connection) -> Box<Self> {
        connection.set_buffer_limit(Some(UNSENT_MAX));
        Box::new(Self { connection: RefCell::new(connection), waiting: Cell::new(false) })
    }

    /// Goes on with the handshake until it is complete.
    ///
    /// # Errors
    /// The peers do not agree, or the connection failed; the peer has been sent the reason if that was possible.
    pub(crate) async fn shake_hands(&self, stream: &Stream) -> io::Result<Handshake> {
        poll_fn(|cx| self.poll_handshake(stream, cx)).await?;
        let connection = self.connection.borrow();
        Ok(Handshake {
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            server_name: match &*connection {
                Connection::Server(server) => server.server_name().map(str::to_owned),
                Connection::Client(_) => None,
            },
            version: connection.protocol_version().and_then(|version| match version {
                ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
                ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
                _ => None,
            }),
            cipher: connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()),
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            peer_certificate: connection
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|certificate| certificate.clone().into_owned()),
        })
    }

    fn poll_handshake(&self, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let progress = self.flush(stream).and_then(|()| {
                if self.connection.borrow().is_handshaking() {
                    self.take_in(stream).map(Some)
                } else {
                    Ok(None)
                }
            });
            let ready = match progress {
                Ok(None) => return Poll::Ready(Ok(())),
                Ok(Some(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(Some(_)) => continue,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                Err(_) if self.connection.borrow().wants_write() => stream.poll_writable(cx),
                Err(_) => stream.poll_readable(cx),
            };
            std::task::ready!(ready)?;
        }
    }

    /// Appends plaintext to `buf`. 0 is the end that the peer has declared; one that it has not is an error, for
    /// an attacker on the way can cut a connection.
    pub(crate) fn try_read(&self, stream: &Stream, buf: &mut Vec<u8>) -> io::Result<usize> {
        let room = buf.capacity() - buf.len();
        self.read(stream, room, |bytes| buf.extend_from_slice(bytes))
    }

    /// Hands plaintext to `take`, at most `room` bytes of it.
    fn read(&self, stream: &Stream, room: usize, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        loop {
            let read = self.take_plaintext(room, &mut take);
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.take_in(stream)?;
            // An answer that TLS itself owes; if it cannot go now, it goes along with what we write next.
            match self.flush(stream) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    fn take_plaintext(&self, room: usize, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        let mut reader = connection.reader();
        let mut read = 0;
        // True unless all of it is taken: what has come goes first, an end or a failure is still there afterwards.
        self.waiting.set(true);
        while read < room {
            let chunk = match reader.fill_buf() {
                Ok(chunk) if !chunk.is_empty() => chunk,
                end => {
                    let is_drained = end.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
                    self.waiting.set(!is_drained);
                    return if read > 0 { Ok(read) } else { end.map(|_| 0) };
                }
            };
            let taken = chunk.len().min(room - read);
            take(&chunk[..taken]);
            reader.consume(taken);
            read += taken;
        }
        Ok(read)
    }

    /// True when no plaintext has come. Records that are TLS's own affair are dealt with.
    pub(crate) fn is_quiet(&self, stream: &Stream) -> bool {
        let mut byte = Vec::with_capacity(1);
        self.try_read(stream, &mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Takes records from the socket, once.
    fn take_in(&self, mut stream: &Stream) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        let read = connection.read_tls(&mut stream)?;
        match connection.process_new_packets() {
            // A request may have come along with the end of the handshake.
            Ok(state) => self.waiting.set(state.plaintext_bytes_to_read() > 0 || state.peer_has_closed()),
            Err(error) => {
                // The alert that says why; whether it arrives makes no difference to us.
                let _ = connection.write_tls(&mut stream);
                return Err(io::Error::new(io::ErrorKind::InvalidData, Refused(error)));
            }
        }
        Ok(read)
    }

    /// Encrypts as much of the slices as has room, and sends what the kernel takes.
    pub(crate) fn try_write(&self, stream: &Stream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(stream)?;
        let written = self.connection.borrow_mut().writer().write_vectored(slices)?;
        match self.flush(stream) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(written),
        }
    }

    /// Sends what waits, encrypted; `WouldBlock` if some still does.
    pub(crate) fn flush(&self, mut stream: &Stream) -> io::Result<()> {
        let mut connection = self.connection.borrow_mut();
        while connection.wants_write() {
            if connection.write_tls(&mut stream)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Ready when a read may find plaintext.
    pub(crate) fn poll_readable(&self, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting.get() { Poll::Ready(Ok(())) } else { stream.poll_readable(cx) }
    }

    /// Declares the end of what we send.
    pub(crate) fn close(&self, stream: &Stream) {
        self.connection.borrow_mut().send_close_notify();
        // A peer that takes nothing any more learns of the end by the socket's.
        let _ = self.flush(stream);
    }
}

/// Why a session cannot be, in words: some causes have none in rustls, which prints their names.
#[derive(Debug)]
struct Refused(rustls::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rustls::Error::InvalidCertificate(fault) = &self.0 else { return self.0.fmt(f) };
        let words = match fault {
            CertificateError::BadEncoding => "is not well-formed",
            CertificateError::BadSignature => "has a signature that is not its authority's",
            CertificateError::UnknownIssuer => "is signed by no authority that is trusted here",
            CertificateError::Revoked => "has been revoked",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "is not made for this use"
            }
            CertificateError::UnhandledCriticalExtension => {
                "holds a critical extension that is not known here"
            }
            CertificateError::Other(cause) if cause.0.to_string() == "CaUsedAsEndEntity" => {
                "is that of an authority, and not one of the trusted certificates itself"
            }
            CertificateError::Other(_) => "breaks a rule of RFC 5280",
            // These say in words what was expected and what was found.
            CertificateError::NotValidForNameContext { .. }
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYetContext { .. } => return fault.fmt(f),
            CertificateError::Expired => "has expired",
            CertificateError::NotValidYet => "is not valid yet",
            CertificateError::NotValidForName => "is for another name",
            _ => "cannot be verified",
        };
        write!(f, "the certificate {words}")
    }
}

/// True if a handshake failed because one side refused the other's name or certificate: the peer sent an alert, or its
/// certificate is not valid for the name.
pub fn is_refused_handshake(error: &io::Error) -> bool {
    let refused = error.get_ref().and_then(|error| error.downcast_ref::<Refused>());
    refused.is_some_and(|Refused(error)| {
        matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_))
    })
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
