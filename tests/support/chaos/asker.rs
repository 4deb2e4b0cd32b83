//! A client of either version that asks, and says whether what came back was whole.

use loona_hpack::Decoder;

use crate::support::h2::Peer;
use crate::support::h2::fields::literal;
use crate::support::h2::frames::{data, flag, headers, kind};
use crate::support::{Client, Framing};

/// Bytes of every request body: less than a client of HTTP/2 may send unasked.
const BODY_LENGTH: usize = 48 * 1024;
/// Bytes of a DATA frame, and of a chunk.
const PIECE: usize = 16 * 1024;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// PUT with a body of announced length.
    Put,
    /// POST with a body of announced length.
    Post,
    /// POST with a body whose length is not announced.
    PostChunked,
}

impl Ask {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Get, Self::Head, Self::Put, Self::Post, Self::PostChunked];

    /// The method.
    pub fn method(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Post | Self::PostChunked => "POST",
        }
    }

    /// True when doing it twice is as good as doing it once (RFC 9110, section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        self.method() != "POST"
    }

    /// True when it has a body.
    pub fn has_body(self) -> bool {
        !matches!(self, Self::Get | Self::Head)
    }
}

/// Which version the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1, on a connection that is kept.
    Http1,
    /// HTTP/2 in clear.
    Http2,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A whole answer.
    Answer(u16, String),
    /// None, or one that the client could see was cut; and how.
    Cut(String),
}

/// One connection of a client.
pub enum Asker {
    /// HTTP/1.1; `None` once the balancer has said that it will close.
    Http1(Option<Client>),
    /// HTTP/2, the next stream, and the fields that both sides remember.
    Http2(Box<Peer>, u32, Decoder<'static>),
}

impl Asker {
    /// Takes over a fresh connection.
    pub fn new(client: Client, version: Version) -> Self {
        match version {
            Version::Http1 => Self::Http1(Some(client)),
            Version::Http2 => Self::Http2(Box::new(Peer::greeted(client)), 1, Decoder::new()),
        }
    }

    /// Asks for `path`, with `x-case: case`.
    pub fn ask(&mut self, ask: Ask, path: &str, case: &str) -> Seen {
        match self {
            Self::Http1(slot) => {
                let Some(mut client) = slot.take() else { return Seen::Cut("closed before".to_owned()) };
                let (seen, stays) = http1(&mut client, ask, path, case);
                *slot = stays.then_some(client);
                seen
            }
            Self::Http2(peer, next, decoder) => {
                let stream = *next;
                *next += 2;
                http2(peer, stream, decoder, ask, path, case)
            }
        }
    }

    /// True when another request may be sent. If not, the balancer has ended the connection, which is checked.
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::Http1(None))
    }
}

fn http1(client: &mut Client, ask: Ask, path: &str, case: &str) -> (Seen, bool) {
    let method = ask.method();
    let body = "b".repeat(BODY_LENGTH);
    let rest = match ask {
        Ask::Get | Ask::Head => "\r\n".to_owned(),
        Ask::Put | Ask::Post => format!("content-length: {BODY_LENGTH}\r\n\r\n{body}"),
        Ask::PostChunked => {
            let chunk = format!("{PIECE:x}\r\n{}\r\n", &body[..PIECE]);
            format!("transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(BODY_LENGTH / PIECE))
        }
    };
    client.send(format!("{method} {path} HTTP/1.1\r\nhost: test\r\nx-case: {case}\r\n{rest}"));
    match client.response(method) {
        Ok(response) => {
            assert_ne!(
                response.body.framing,
                Framing::UntilClose,
                "no way to tell a cut body from a whole one"
            );
            let stays = !response.lists("connection", "close");
            if !stays {
                client.assert_closed();
            }
            (Seen::Answer(response.status, response.text()), stays)
        }
        Err(fault) => {
            assert!(fault.is_end(), "{method} {path}: {fault:?}");
            (Seen::Cut(format!("{fault:?}")), false)
        }
    }
}

fn http2(
    peer: &mut Peer,
    stream: u32,
    decoder: &mut Decoder<'static>,
    ask: Ask,
    path: &str,
    case: &str,
) -> Seen {
    let length = BODY_LENGTH.to_string();
    let mut fields = vec![
        (":method", ask.method()),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
        ("x-case", case),
    ];
    if matches!(ask, Ask::Put | Ask::Post) {
        fields.push(("content-length", &length));
    }
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
    let mut request = headers(stream, if ask.has_body() { flag::END_HEADERS } else { flag::WHOLE }, block);
    if ask.has_body() {
        let pieces = BODY_LENGTH / PIECE;
        for piece in 1..=pieces {
            let last = if piece == pieces { flag::END_STREAM } else { flag::NONE };
            request.extend(data(stream, last, [b'b'; PIECE]));
        }
    }
    // It never fails: what went wrong is seen by the reads below.
    let _ = peer.send(request);
    read_http2(peer, stream, decoder)
}

fn read_http2(peer: &mut Peer, stream: u32, decoder: &mut Decoder<'static>) -> Seen {
    let (mut status, mut body) = (0, Vec::new());
    loop {
        let frame = match peer.next() {
            Ok(frame) if frame.kind == kind::GOAWAY => return Seen::Cut("GOAWAY".to_owned()),
            Ok(frame) if frame.stream == stream => frame,
            Ok(_) => continue,
            Err(fault) => return Seen::Cut(format!("{fault:?}")),
        };
        match frame.kind {
            kind::HEADERS => {
                assert!(frame.has(flag::END_HEADERS), "these heads fit into one frame");
                let fields = decoder.decode(&frame.payload).unwrap();
                if let Some((_, value)) = fields.iter().find(|(name, _)| name == b":status") {
                    status = std::str::from_utf8(value).unwrap().parse().unwrap();
                }
            }
            kind::DATA => body.extend_from_slice(&frame.payload),
            kind::RST_STREAM => return Seen::Cut(format!("RST_STREAM {}", frame.number(0))),
            _ => continue,
        }
        if frame.has(flag::END_STREAM) && matches!(frame.kind, kind::HEADERS | kind::DATA) {
            return Seen::Answer(status, String::from_utf8(body).unwrap());
        }
    }
}
