//! Sections 6.1 to 6.8: what the frames themselves must look like.

use crate::support::h2::fields;
use crate::support::h2::frames::{
    Code, continuation, data, flag, frame, header, headers, kind, ping, priority, rst_stream, setting,
    settings,
};
use crate::support::h2::{Case, Expect, case};

const ZEROS: [u8; 8] = [0; 8];
const MARK: [u8; 8] = *b"evenkeel";
const PROTOCOL: &[Code] = &[Code::PROTOCOL];
const FRAME_SIZE: &[Code] = &[Code::FRAME_SIZE];

/// The cases.
pub const CASES: &[Case] = &[
    case(
        "http2/6.1/1",
        "DATA on stream 0",
        |p| p.send(data(0, flag::END_STREAM, "test")),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.1/2",
        "DATA on a stream that is half closed",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::post()))?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        Expect::StreamError(&[Code::STREAM_CLOSED]),
    ),
    case(
        "http2/6.1/3",
        "DATA with more padding than payload",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post_with("content-length", "4")))?;
            p.send(data(1, flag::END_STREAM | flag::PADDED, b"\x06test"))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.2/1",
        "HEADERS without END_HEADERS, then PRIORITY",
        |p| {
            p.send(headers(1, flag::NONE, fields::get()))?;
            p.send(priority(1, 0))?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.2/2",
        "HEADERS without END_HEADERS, then HEADERS on another stream",
        |p| {
            p.send(headers(1, flag::NONE, fields::get()))?;
            p.send(headers(3, flag::WHOLE, fields::get()))?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.2/3",
        "HEADERS on stream 0",
        |p| p.send(headers(0, flag::WHOLE, fields::get())),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.2/4",
        "HEADERS with more padding than payload",
        |p| {
            let block = fields::get();
            let pad = u8::try_from(block.len() + 2).unwrap();
            p.send(headers(1, flag::WHOLE | flag::PADDED, [&[pad], block.as_slice()].concat()))
        },
        Expect::StreamError(PROTOCOL),
    ),
    case(
        "http2/6.3/1",
        "PRIORITY on stream 0",
        |p| p.send(priority(0, 0)),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.3/2",
        "PRIORITY of other than 5 bytes",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(frame(kind::PRIORITY, flag::NONE, 1, b"\x80\0\0\x01"))
        },
        Expect::StreamError(FRAME_SIZE),
    ),
    case(
        "http2/6.4/1",
        "RST_STREAM on stream 0",
        |p| p.send(rst_stream(0, Code::CANCEL)),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.4/2",
        "RST_STREAM on an idle stream",
        |p| p.send(rst_stream(1, Code::CANCEL)),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.4/3",
        "RST_STREAM of other than 4 bytes",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(frame(kind::RST_STREAM, flag::NONE, 1, [0; 3]))
        },
        Expect::StreamError(FRAME_SIZE),
    ),
    case(
        "http2/6.5/1",
        "SETTINGS with ACK and payload",
        |p| p.send(frame(kind::SETTINGS, flag::ACK, 0, [0])),
        Expect::ConnectionError(FRAME_SIZE),
    ),
    case(
        "http2/6.5/2",
        "SETTINGS on a stream",
        |p| p.send(frame(kind::SETTINGS, flag::NONE, 1, b"\0\x03\0\0\0\x64")),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.5/3",
        "SETTINGS of other than a multiple of 6 bytes",
        |p| p.send(frame(kind::SETTINGS, flag::NONE, 0, b"\0\x03\0")),
        Expect::StreamError(&[Code::PROTOCOL, Code::FRAME_SIZE]),
    ),
    case(
        "http2/6.5.2/1",
        "ENABLE_PUSH of 2",
        |p| p.send(settings(&[(setting::ENABLE_PUSH, 2)])),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.5.2/2",
        "INITIAL_WINDOW_SIZE of 2^31",
        |p| p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)])),
        Expect::ConnectionError(&[Code::FLOW_CONTROL]),
    ),
    case(
        "http2/6.5.2/3",
        "MAX_FRAME_SIZE of 2^14 - 1",
        |p| p.send(settings(&[(setting::MAX_FRAME_SIZE, (1 << 14) - 1)])),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.5.2/4",
        "MAX_FRAME_SIZE of 2^24",
        |p| p.send(settings(&[(setting::MAX_FRAME_SIZE, 1 << 24)])),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.5.2/5",
        "an unknown setting",
        |p| {
            p.send(settings(&[(0xff, 1)]))?;
            p.send(ping(&ZEROS))
        },
        Expect::Pong(ZEROS),
    ),
    case(
        "http2/6.5.3/1",
        "the last of several INITIAL_WINDOW_SIZE counts",
        |p| {
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 100), (setting::INITIAL_WINDOW_SIZE, 1)]))?;
            p.settings_ack()?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::Data(1),
    ),
    case(
        "http2/6.5.3/2",
        "SETTINGS are acknowledged",
        |p| p.send(settings(&[(setting::ENABLE_PUSH, 0)])),
        Expect::SettingsAck,
    ),
    case("http2/6.7/1", "PING is answered", |p| p.send(ping(&MARK)), Expect::Pong(MARK)),
    case(
        "http2/6.7/2",
        "PING with ACK is not answered",
        |p| {
            p.send(frame(kind::PING, flag::ACK, 0, b"invalid\0"))?;
            p.send(ping(&MARK))
        },
        Expect::Pong(MARK),
    ),
    case(
        "http2/6.7/3",
        "PING on a stream",
        |p| p.send(frame(kind::PING, flag::NONE, 1, ZEROS)),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.7/4",
        "PING of other than 8 bytes",
        |p| p.send(frame(kind::PING, flag::NONE, 0, [0; 6])),
        Expect::ConnectionError(FRAME_SIZE),
    ),
    case(
        "http2/6.8/1",
        "GOAWAY on a stream",
        |p| {
            p.send(header(8, kind::GOAWAY, flag::NONE, 1))?;
            p.send(ZEROS)
        },
        Expect::ConnectionError(PROTOCOL),
    ),
];
