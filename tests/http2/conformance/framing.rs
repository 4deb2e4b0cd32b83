//! Sections 3 and 4: the preface, the frame format, frame sizes, field blocks.

use crate::support::h2::fields;
use crate::support::h2::frames::{
    Code, PREFACE, continuation, data, flag, frame, headers, kind, ping, priority, setting, settings,
};
use crate::support::h2::{Case, Expect, bare, case};

const ZEROS: [u8; 8] = [0; 8];

/// The cases.
pub const CASES: &[Case] = &[
    bare(
        "http2/3.5/1",
        "client preface",
        |p| {
            p.send(PREFACE)?;
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 65_535)]))
        },
        Expect::Greeting,
    ),
    bare(
        "http2/3.5/2",
        "invalid preface",
        |p| p.send(b"INVALID CONNECTION PREFACE\r\n\r\n"),
        Expect::NotSpoken,
    ),
    case(
        "http2/4.1/1",
        "a frame of unknown type",
        |p| {
            p.send(frame(kind::UNKNOWN, flag::NONE, 0, ZEROS))?;
            p.send(ping(&ZEROS))
        },
        Expect::Pong(ZEROS),
    ),
    case(
        "http2/4.1/2",
        "undefined flags",
        |p| p.send(frame(kind::PING, 0x16, 0, ZEROS)),
        Expect::Pong(ZEROS),
    ),
    case(
        "http2/4.1/3",
        "the reserved bit",
        |p| p.send(frame(kind::PING, 0x16, 1 << 31, ZEROS)),
        Expect::Pong(ZEROS),
    ),
    case(
        "http2/4.2/1",
        "DATA of 2^14 bytes",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            let length = p.setting(setting::MAX_FRAME_SIZE, 16_384);
            p.send(data(1, flag::END_STREAM, vec![b'x'; length]))
        },
        Expect::Response,
    ),
    case(
        "http2/4.2/2",
        "DATA longer than SETTINGS_MAX_FRAME_SIZE",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            let length = p.setting(setting::MAX_FRAME_SIZE, 16_384) + 1;
            p.send(data(1, flag::END_STREAM, vec![b'x'; length]))
        },
        Expect::StreamError(&[Code::FRAME_SIZE]),
    ),
    case(
        "http2/4.2/3",
        "HEADERS longer than SETTINGS_MAX_FRAME_SIZE",
        |p| p.send(headers(1, flag::WHOLE, fields::get_then(&fields::long(5)))),
        Expect::ConnectionError(&[Code::FRAME_SIZE]),
    ),
    case(
        "http2/4.3/1",
        "a field block that cannot be decoded",
        |p| p.send(headers(1, flag::WHOLE, b"\x40")),
        Expect::ConnectionError(&[Code::COMPRESSION]),
    ),
    case(
        "http2/4.3/2",
        "PRIORITY within a field block",
        |p| {
            p.send(headers(1, flag::NONE, fields::get()))?;
            p.send(priority(1, 0))?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))
        },
        Expect::ConnectionError(&[Code::PROTOCOL]),
    ),
    case(
        "http2/4.3/3",
        "HEADERS on another stream within a field block",
        |p| {
            p.send(headers(1, flag::NONE, fields::get()))?;
            p.send(headers(3, flag::WHOLE, fields::get()))?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))
        },
        Expect::ConnectionError(&[Code::PROTOCOL]),
    ),
];
