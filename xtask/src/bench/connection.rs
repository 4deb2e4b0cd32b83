//! One connection and its requests, one at a time: to see that a proxy speaks what it should, and to hold it idle.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use crate::origin::{MESSAGE, MESSAGE_BYTES};
use crate::tls::{self, KeyExchange, SERVER_NAME};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a datagram, which may be lost while a proxy starts.
const DATAGRAM_PATIENCE: Duration = Duration::from_millis(500);
/// The body of the origin's answer.
const BODY: [u8; 128] = [b'x'; 128];
/// A client's first bytes (RFC 9113 section 3.4), with SETTINGS that leave everything at its default.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Requests after which the connection's window is opened by their answers.
const PER_WINDOW_UPDATE: u32 = 128;
/// The answer to SETTINGS.
const SETTINGS_ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";

/// What is spoken between client and proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1 in clear.
    Http1,
    /// HTTP/2 in clear, with prior knowledge.
    Http2,
    /// HTTP/1.1 over TLS.
    Http1Tls,
    /// HTTP/2 over TLS, by ALPN.
    Http2Tls,
    /// Anything over TCP. The origins answer as to HTTP/1.1, of which the proxy knows nothing.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Wire {
    /// True over TLS.
    pub fn tls(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2Tls)
    }

    /// True of HTTP/2.
    pub fn http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Http2Tls)
    }

    /// True where the proxy does not look into what it passes on.
    pub fn layer_4(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

/// An open connection.
pub struct Connection {
    stream: Stream,
    wire: Wire,
    /// Of the next request, in HTTP/2.
    stream_id: u32,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Datagrams(UdpSocket),
}

impl Connection {
    /// Connects to `address`; TLS with `exchange` and no other.
    ///
    /// # Errors
    /// No process listens there. A failed handshake shows at the first request.
    pub fn open(address: SocketAddr, wire: Wire, exchange: KeyExchange) -> io::Result<Self> {
        if wire == Wire::Udp {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(address)?;
            socket.set_read_timeout(Some(DATAGRAM_PATIENCE))?;
            return Ok(Self { stream: Stream::Datagrams(socket), wire, stream_id: 1 });
        }
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let stream = if wire.tls() {
            let alpn = if wire.http2() { "h2" } else { "http/1.1" };
            let config = tls::client(exchange, alpn).map_err(Error::other)?;
            let name = SERVER_NAME.try_into().map_err(Error::other)?;
            let session = ClientConnection::new(config, name).map_err(Error::other)?;
            Stream::Tls(Box::new(StreamOwned::new(session, socket)))
        } else {
            Stream::Clear(socket)
        };
        Ok(Self { stream, wire, stream_id: 1 })
    }

    /// Asks for `/` and reads the origin's small answer.
    ///
    /// # Errors
    /// Another answer, or none within 5 s.
    pub fn ask(&mut self) -> io::Result<()> {
        let wire = self.wire;
        let id = self.stream_id;
        self.stream_id += 2;
        match &mut self.stream {
            Stream::Clear(stream) if wire.http2() => ask_http2(stream, id, wire),
            Stream::Clear(stream) => ask_http1(stream),
            Stream::Tls(stream) if wire.http2() => {
                ask_http2(stream, id, wire)?;
                let chosen = stream.conn.alpn_protocol();
                if chosen == Some(b"h2") { Ok(()) } else { Err(Error::other("ALPN chose no h2")) }
            }
            Stream::Tls(stream) => ask_http1(stream),
            Stream::Datagrams(socket) => ask_datagram(socket),
        }
    }
}

fn ask_datagram(socket: &UdpSocket) -> io::Result<()> {
    socket.send(MESSAGE)?;
    let mut answer = [0; MESSAGE_BYTES + 1];
    let length = socket.recv(&mut answer)?;
    if length == MESSAGE_BYTES { Ok(()) } else { Err(Error::other(format!("an answer of {length} bytes"))) }
}

fn ask_http1(stream: &mut (impl Read + Write)) -> io::Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut held = Vec::new();
    while !held.ends_with(&BODY) {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        held.extend_from_slice(&buffer[..read]);
    }
    if held.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err(Error::other("the status is not 200")) }
}

/// One request on stream `id`.
fn ask_http2(stream: &mut (impl Read + Write), id: u32, wire: Wire) -> io::Result<()> {
    let mut request = if id == 1 { PREFACE.to_vec() } else { Vec::new() };
    if id > 1 && (id - 1).is_multiple_of(2 * PER_WINDOW_UPDATE) {
        request.extend_from_slice(&[0, 0, 4, Frame::WINDOW_UPDATE, 0, 0, 0, 0, 0]);
        request.extend_from_slice(&(PER_WINDOW_UPDATE * BODY.len() as u32).to_be_bytes());
    }
    // From HPACK's static table (RFC 7541 appendix A): GET, the scheme, `/`; then `:authority` with a literal value.
    let scheme = if wire.tls() { 0x87 } else { 0x86 };
    let mut fields = vec![0x82, scheme, 0x84, 0x01, SERVER_NAME.len() as u8];
    fields.extend_from_slice(SERVER_NAME.as_bytes());
    // HEADERS with END_STREAM and END_HEADERS.
    request.extend_from_slice(&[0, 0, fields.len() as u8, 1, 0x05]);
    request.extend_from_slice(&id.to_be_bytes());
    request.extend_from_slice(&fields);
    stream.write_all(&request)?;
    let mut body = Vec::new();
    loop {
        let frame = Frame::read(stream)?;
        match frame.kind {
            Frame::DATA if frame.stream == id => {
                body.extend_from_slice(&frame.payload);
                if frame.flags & 0x01 != 0 {
                    return if body == BODY { Ok(()) } else { Err(Error::other("not the origin's answer")) };
                }
            }
            Frame::SETTINGS if frame.flags & 0x01 == 0 => stream.write_all(SETTINGS_ACK)?,
            Frame::HEADERS if frame.flags & 0x01 != 0 => {
                return Err(Error::other("an answer without a body"));
            }
            Frame::RST_STREAM | Frame::GOAWAY => return Err(ErrorKind::ConnectionReset.into()),
            _ => {}
        }
    }
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const WINDOW_UPDATE: u8 = 8;

    fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        stream.read_exact(&mut payload)?;
        Ok(Self { kind, flags, stream: u32::from_be_bytes([s0, s1, s2, s3]), payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A server that says what it says, and what it was told.
    struct Script {
        says: Cursor<Vec<u8>>,
        heard: Vec<u8>,
    }

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    fn asked(frames: &[Vec<u8>], id: u32) -> (io::Result<()>, Vec<u8>) {
        let mut script = Script { says: Cursor::new(frames.concat()), heard: Vec::new() };
        let result = ask_http2(&mut script, id, Wire::Http2);
        (result, script.heard)
    }

    #[test]
    fn an_answer_in_several_frames_is_whole_and_settings_are_acknowledged() {
        let settings = frame(Frame::SETTINGS, 0, 0, &[]);
        let head = frame(Frame::HEADERS, 4, 1, &[0x88]);
        let body = [frame(Frame::DATA, 0, 1, &BODY[..100]), frame(Frame::DATA, 1, 1, &BODY[100..])].concat();
        let (result, heard) = asked(&[settings, head, body], 1);
        assert!(result.is_ok(), "{result:?}");
        assert!(heard.starts_with(PREFACE) && heard.ends_with(SETTINGS_ACK));
    }

    #[test]
    fn a_later_request_has_no_preface() {
        let (result, heard) = asked(&[frame(Frame::DATA, 1, 3, &BODY)], 3);
        assert!(
            result.is_ok()
                && heard.starts_with(&frame(Frame::HEADERS, 5, 3, b"\x82\x86\x84\x01\x09localhost"))
        );
    }

    #[test]
    fn whatever_is_no_answer_of_the_origin_is_an_error() {
        for frames in [
            vec![frame(Frame::HEADERS, 5, 1, &[0x8d])],
            vec![frame(Frame::DATA, 1, 1, b"502")],
            vec![frame(Frame::DATA, 1, 3, &BODY)],
            vec![frame(Frame::RST_STREAM, 0, 1, &[0; 4])],
            vec![frame(Frame::GOAWAY, 0, 0, &[0; 8])],
            vec![],
        ] {
            assert!(asked(&frames, 1).0.is_err(), "{frames:?}");
        }
    }
}
