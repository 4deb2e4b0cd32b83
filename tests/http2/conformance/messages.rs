//! Sections 7 and 8: error codes, and what makes a request malformed.

use crate::support::h2::fields::{self, Field, GET};
use crate::support::h2::frames::{Code, data, flag, goaway, headers, ping, push_promise, rst_stream};
use crate::support::h2::peer::{Peer, Step};
use crate::support::h2::{Case, Expect, case};

const MARK: [u8; 8] = *b"evenkeel";
const MALFORMED: Expect = Expect::StreamError(&[Code::PROTOCOL]);

/// A request without a body, of these fields.
fn ask(peer: &mut Peer, fields: &[Field]) -> Step {
    peer.send(headers(1, flag::WHOLE, fields::block(fields)))
}

/// A plain GET with one more field at its end.
fn ask_with(peer: &mut Peer, name: &'static str, value: &'static str) -> Step {
    peer.send(headers(1, flag::WHOLE, fields::get_with(name, value)))
}

/// The cases.
pub const CASES: &[Case] = &[
    case(
        "http2/7/1",
        "GOAWAY with an unknown code",
        |p| {
            p.send(goaway(Code(0xff), b""))?;
            p.send(ping(&MARK))
        },
        Expect::PongOrClose(MARK),
    ),
    case(
        "http2/7/2",
        "RST_STREAM with an unknown code",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            p.send(rst_stream(1, Code(0xff)))?;
            p.send(ping(&MARK))
        },
        Expect::Pong(MARK),
    ),
    case(
        "http2/8.1/1",
        "a second HEADERS without END_STREAM",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            p.send(data(1, flag::NONE, "test"))?;
            p.send(headers(1, flag::END_HEADERS, fields::literal("x-test", "ok")))
        },
        MALFORMED,
    ),
    case("http2/8.1.2/1", "a name in upper case", |p| ask_with(p, "X-TEST", "ok"), MALFORMED),
    case("http2/8.1.2.1/1", "an unknown pseudo-header field", |p| ask_with(p, ":test", "ok"), MALFORMED),
    case(
        "http2/8.1.2.1/2",
        "a pseudo-header field of responses",
        |p| ask_with(p, ":status", "200"),
        MALFORMED,
    ),
    case(
        "http2/8.1.2.1/3",
        "a pseudo-header field among trailers",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            p.send(data(1, flag::NONE, "test"))?;
            p.send(headers(1, flag::END_HEADERS, fields::literal(":method", "POST")))
        },
        MALFORMED,
    ),
    case(
        "http2/8.1.2.1/4",
        "a pseudo-header field behind a regular one",
        |p| ask(p, &[("x-test", "ok"), GET[0], GET[1], GET[2], GET[3]]),
        MALFORMED,
    ),
    case(
        "http2/8.1.2.2/1",
        "a connection-specific field",
        |p| ask_with(p, "connection", "keep-alive"),
        MALFORMED,
    ),
    case(
        "http2/8.1.2.2/2",
        "TE with more than trailers",
        |p| ask(p, &[GET[0], GET[1], GET[2], GET[3], ("trailers", "test"), ("te", "trailers, deflate")]),
        MALFORMED,
    ),
    case(
        "http2/8.1.2.3/1",
        "an empty :path",
        |p| ask(p, &[GET[0], GET[1], (":path", ""), GET[3]]),
        MALFORMED,
    ),
    case("http2/8.1.2.3/2", "no :method", |p| ask(p, &[GET[2], GET[3]]), MALFORMED),
    case("http2/8.1.2.3/3", "no :scheme", |p| ask(p, &[GET[0], GET[2], GET[3]]), MALFORMED),
    case("http2/8.1.2.3/4", "no :path", |p| ask(p, &[GET[0], GET[1], GET[3]]), MALFORMED),
    case("http2/8.1.2.3/5", ":method twice", |p| ask_with(p, ":method", "GET"), MALFORMED),
    case("http2/8.1.2.3/6", ":scheme twice", |p| ask_with(p, ":scheme", "http"), MALFORMED),
    case("http2/8.1.2.3/7", ":path twice", |p| ask_with(p, ":path", "/"), MALFORMED),
    case(
        "http2/8.1.2.6/1",
        "content-length unlike the DATA",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post_with("content-length", "1")))?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        MALFORMED,
    ),
    case(
        "http2/8.1.2.6/2",
        "content-length unlike the sum of the DATA",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post_with("content-length", "1")))?;
            p.send(data(1, flag::NONE, "test"))?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        MALFORMED,
    ),
    case(
        "http2/8.2/1",
        "PUSH_PROMISE",
        |p| p.send(push_promise(1, 3, &fields::get())),
        Expect::ConnectionError(&[Code::PROTOCOL]),
    ),
];
