//! The same for a server of HTTP/2: how far a stream gets, what happens there, and who does it.

use loona_hpack::Decoder;

use super::server::Shared;
use super::wire::GARBAGE;
use super::{BODY, HALF};
use crate::support::h2::Serving;
use crate::support::h2::fields::literal;
use crate::support::h2::frames::{
    Code, Frame, data, flag, frame, goaway_after, headers, kind, rst_stream, window_update,
};
use crate::support::{Fault, Wire};

/// How far an exchange gets before the server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The connection is accepted, and nothing read of this request.
    Accepted,
    /// The request's HEADERS have been read.
    RequestHead,
    /// Some of the request's DATA has been read.
    RequestBody,
    /// All of the request has been read.
    Request,
    /// An interim response has been sent.
    Interim,
    /// HEADERS have been sent, which announce a length.
    Head,
    /// Half of a body of announced length has been sent.
    SizedBody,
    /// Half of a body whose length was not announced has been sent.
    OpenBody,
    /// All of the body has been sent, and trailers that would go on in a CONTINUATION.
    Trailers,
}

impl Stage {
    /// All, in the order in which an exchange comes by.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::RequestHead,
        Self::RequestBody,
        Self::Request,
        Self::Interim,
        Self::Head,
        Self::SizedBody,
        Self::OpenBody,
        Self::Trailers,
    ];

    /// True while nothing of a response has been sent.
    pub fn is_silent(self) -> bool {
        self < Self::Interim
    }
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The connection is closed in good order.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing more is sent or read.
    Hang,
    /// What is no frame follows, then the end.
    Garbage,
    /// GOAWAY says that the stream was not looked at; then the connection is closed.
    Unseen,
    /// GOAWAY says that the stream was the last one, and there was an error; then the connection is closed.
    Last,
    /// RST_STREAM, and the connection goes on.
    Stream(Code),
    /// The stream ends, and the connection goes on.
    End,
    /// The stream ends with more than was announced, and the connection goes on.
    Surplus,
}

impl Break {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Close,
        Self::Reset,
        Self::Hang,
        Self::Garbage,
        Self::Unseen,
        Self::Last,
        Self::Stream(Code::NO_ERROR),
        Self::Stream(Code::INTERNAL),
        Self::Stream(Code::REFUSED),
        Self::Stream(Code::CANCEL),
        Self::End,
        Self::Surplus,
    ];

    /// True if it needs a stream, and the connection outlives it.
    pub fn is_of_a_stream(self) -> bool {
        matches!(self, Self::Stream(_) | Self::End | Self::Surplus)
    }

    /// True if it says that nothing was done (RFC 9113, section 8.7): any request may be sent again.
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::Unseen | Self::Stream(Code::REFUSED))
    }
}

/// Serves a connection: takes each request as far as `at`, answers as far as that, and fails. If it was `kept`, the first
/// one is answered well.
pub fn serve(wire: &mut Wire, shared: &Shared, (at, how): (Stage, Break), kept: bool) -> Result<(), Fault> {
    if at == Stage::Accepted && !kept {
        strike(wire, shared, how, 1);
        return Ok(());
    }
    let mut server = Serving::greet(wire)?;
    let mut decoder = Decoder::new();
    let mut is_first = kept;
    loop {
        let frame = server.next()?;
        if frame.kind == kind::DATA {
            credit(&mut server, &frame);
        }
        if frame.kind != kind::HEADERS {
            continue;
        }
        let stream = frame.stream;
        let method = method(&decoder.decode(&frame.payload).unwrap(), shared);
        let until = if is_first { Stage::Request } else { at };
        if !read(&mut server, frame, until)? {
            continue;
        }
        if std::mem::take(&mut is_first) {
            server.send(whole(stream, &method));
            if at == Stage::Accepted {
                strike(server.wire, shared, how, stream + 2);
                return Ok(());
            }
            continue;
        }
        server.send(part(at, stream, &method));
        strike(server.wire, shared, how, stream);
        if !how.is_of_a_stream() {
            return Ok(());
        }
    }
}

/// Reads a request that begins with `frame` as far as `until`; false if the client took it back.
fn read(server: &mut Serving<'_>, mut frame: Frame, until: Stage) -> Result<bool, Fault> {
    let stream = frame.stream;
    loop {
        let is_over = frame.stream == stream && frame.has(flag::END_STREAM) && frame.kind <= kind::HEADERS;
        let is_far = match until {
            Stage::Accepted | Stage::RequestHead => true,
            Stage::RequestBody => frame.kind == kind::DATA && frame.stream == stream,
            _ => false,
        };
        if is_over || is_far {
            return Ok(true);
        }
        frame = server.next()?;
        match frame.kind {
            kind::DATA => credit(server, &frame),
            kind::RST_STREAM if frame.stream == stream => return Ok(false),
            _ => {}
        }
    }
}

/// Lets the client send as much again.
fn credit(server: &mut Serving<'_>, frame: &Frame) {
    let length = u32::try_from(frame.payload.len()).unwrap();
    if length > 0 {
        server.send([window_update(0, length), window_update(frame.stream, length)].concat());
    }
}

fn strike(wire: &mut Wire, shared: &Shared, how: Break, stream: u32) {
    let last = match how {
        Break::Close => Vec::new(),
        Break::Reset => return wire.reset(),
        Break::Hang => return shared.end.wait(),
        Break::Stream(code) => rst_stream(stream, code),
        Break::End => data(stream, flag::END_STREAM, []),
        Break::Surplus => data(stream, flag::END_STREAM, BODY.repeat(2)),
        Break::Garbage => GARBAGE.to_vec(),
        Break::Unseen => goaway_after(stream.saturating_sub(2), Code::NO_ERROR, &[]),
        Break::Last => goaway_after(stream, Code::INTERNAL, &[]),
    };
    wire.send(last);
    if !how.is_of_a_stream() {
        wire.close();
    }
}

/// The method of a request, which is counted.
fn method(fields: &[(Vec<u8>, Vec<u8>)], shared: &Shared) -> String {
    let value = |wanted: &str| {
        let field = fields.iter().find(|(name, _)| name == wanted.as_bytes());
        field.map_or_else(String::new, |(_, value)| String::from_utf8(value.clone()).unwrap())
    };
    shared.came(value("x-case"));
    value(":method")
}

/// What is sent before the server fails at `stage`.
fn part(stage: Stage, stream: u32, method: &str) -> Vec<u8> {
    let half = || data(stream, flag::NONE, &BODY[..HALF]);
    let has_body = method != "HEAD";
    match stage {
        Stage::Accepted | Stage::RequestHead | Stage::RequestBody | Stage::Request => Vec::new(),
        Stage::Interim => {
            let block = [literal(":status", "103"), literal("link", "</a>")].concat();
            headers(stream, flag::END_HEADERS, block)
        }
        Stage::SizedBody if has_body => [head(stream, method, true), half()].concat(),
        Stage::OpenBody if has_body => [head(stream, method, false), half()].concat(),
        Stage::Trailers if has_body => {
            let trailers = frame(kind::HEADERS, flag::END_STREAM, stream, literal("x-trailer", "yes"));
            [head(stream, method, false), data(stream, flag::NONE, BODY), trailers].concat()
        }
        _ => head(stream, method, true),
    }
}

fn whole(stream: u32, method: &str) -> Vec<u8> {
    let body = if method == "HEAD" { Vec::new() } else { data(stream, flag::END_STREAM, BODY) };
    [head(stream, method, true), body].concat()
}

fn head(stream: u32, method: &str, is_sized: bool) -> Vec<u8> {
    let length = if is_sized { literal("content-length", &BODY.len().to_string()) } else { Vec::new() };
    let flags = if method == "HEAD" { flag::WHOLE } else { flag::END_HEADERS };
    headers(stream, flags, [literal(":status", "200"), length].concat())
}
