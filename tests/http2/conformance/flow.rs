//! Sections 6.9 and 6.10: flow control, and field blocks in pieces.

use crate::support::h2::fields;
use crate::support::h2::frames::{
    Code, continuation, data, flag, frame, headers, kind, setting, settings, window_update,
};
use crate::support::h2::{Case, Expect, case};

const MOST: u32 = (1 << 31) - 1;
const PROTOCOL: &[Code] = &[Code::PROTOCOL];

/// The cases.
pub const CASES: &[Case] = &[
    case(
        "http2/6.9/1",
        "WINDOW_UPDATE by 0",
        |p| p.send(window_update(0, 0)),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.9/2",
        "WINDOW_UPDATE by 0 on a stream",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::get()))?;
            p.send(window_update(1, 0))
        },
        Expect::StreamError(PROTOCOL),
    ),
    case(
        "http2/6.9/3",
        "WINDOW_UPDATE of other than 4 bytes",
        |p| p.send(frame(kind::WINDOW_UPDATE, flag::NONE, 0, b"\0\0\x01")),
        Expect::ConnectionError(&[Code::FRAME_SIZE]),
    ),
    case(
        "http2/6.9.1/1",
        "a window of 1 lets 1 byte through",
        |p| {
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 1)]))?;
            p.settings_ack()?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::Data(1),
    ),
    case(
        "http2/6.9.1/2",
        "the connection's window above 2^31 - 1",
        |p| {
            p.send(window_update(0, MOST))?;
            p.send(window_update(0, MOST))
        },
        Expect::GoAwayWith(Code::FLOW_CONTROL),
    ),
    case(
        "http2/6.9.1/3",
        "a stream's window above 2^31 - 1",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::get()))?;
            p.send(window_update(1, MOST))?;
            p.send(window_update(1, MOST))
        },
        Expect::ResetWith(Code::FLOW_CONTROL),
    ),
    case(
        "http2/6.9.2/1",
        "INITIAL_WINDOW_SIZE changes windows that exist",
        |p| {
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]))?;
            p.settings_ack()?;
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 1)]))
        },
        Expect::Data(1),
    ),
    case(
        "http2/6.9.2/2",
        "windows may become negative",
        |p| {
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 3)]))?;
            p.settings_ack()?;
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.frame(kind::DATA)?;
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 2)]))?;
            p.settings_ack()?;
            p.send(window_update(1, 2))
        },
        Expect::Data(1),
    ),
    case(
        "http2/6.9.2/3",
        "INITIAL_WINDOW_SIZE above 2^31 - 1",
        |p| p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)])),
        Expect::ConnectionError(&[Code::FLOW_CONTROL]),
    ),
    case(
        "http2/6.10/1",
        "several CONTINUATION frames",
        |p| {
            p.send(headers(1, flag::END_STREAM, fields::get()))?;
            p.send(continuation(1, flag::NONE, fields::long(1)))?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))
        },
        Expect::Response,
    ),
    case(
        "http2/6.10/2",
        "CONTINUATION, then another frame",
        |p| {
            p.send(headers(1, flag::NONE, fields::post()))?;
            p.send(continuation(1, flag::NONE, fields::long(1)))?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.10/3",
        "CONTINUATION on stream 0",
        |p| {
            p.send(headers(1, flag::END_STREAM, fields::get()))?;
            p.send(continuation(0, flag::END_HEADERS, fields::long(1)))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.10/4",
        "CONTINUATION behind HEADERS with END_HEADERS",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.10/5",
        "CONTINUATION behind CONTINUATION with END_HEADERS",
        |p| {
            p.send(headers(1, flag::END_STREAM, fields::get()))?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/6.10/6",
        "CONTINUATION behind DATA",
        |p| {
            p.send(headers(1, flag::NONE, fields::post()))?;
            p.send(data(1, flag::END_STREAM, "test"))?;
            p.send(continuation(1, flag::NONE, fields::long(1)))?;
            p.send(continuation(0, flag::END_HEADERS, fields::long(1)))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
];
