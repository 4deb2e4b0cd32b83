//! Section 5: stream states and numbers, concurrency, dependencies, errors, extensions.

use crate::support::h2::fields;
use crate::support::h2::frames::{
    Code, continuation, data, dependency, flag, frame, headers, kind, ping, priority, rst_stream, setting,
    settings, window_update,
};
use crate::support::h2::{Case, Expect, case};

const ZEROS: [u8; 8] = [0; 8];
const PROTOCOL: &[Code] = &[Code::PROTOCOL];
const CLOSED: &[Code] = &[Code::STREAM_CLOSED];
const CLOSED_OR_PROTOCOL: &[Code] = &[Code::STREAM_CLOSED, Code::PROTOCOL];

/// The cases.
pub const CASES: &[Case] = &[
    case(
        "http2/5.1/1",
        "idle: DATA",
        |p| p.send(data(1, flag::END_STREAM, "test")),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/5.1/2",
        "idle: RST_STREAM",
        |p| p.send(rst_stream(1, Code::CANCEL)),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/5.1/3",
        "idle: WINDOW_UPDATE",
        |p| p.send(window_update(1, 100)),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/5.1/4",
        "idle: CONTINUATION",
        |p| p.send(continuation(1, flag::END_HEADERS, fields::get())),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/5.1/5",
        "half closed (remote): DATA",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        Expect::StreamError(CLOSED),
    ),
    case(
        "http2/5.1/6",
        "half closed (remote): HEADERS",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::StreamError(CLOSED),
    ),
    case(
        "http2/5.1/7",
        "half closed (remote): CONTINUATION",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(continuation(1, flag::END_HEADERS, fields::get()))
        },
        Expect::StreamError(CLOSED_OR_PROTOCOL),
    ),
    case(
        "http2/5.1/8",
        "closed by RST_STREAM: DATA",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::get()))?;
            p.send(rst_stream(1, Code::CANCEL))?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        Expect::StreamError(CLOSED),
    ),
    case(
        "http2/5.1/9",
        "closed by RST_STREAM: HEADERS",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::get()))?;
            p.send(rst_stream(1, Code::CANCEL))?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::StreamError(CLOSED),
    ),
    case(
        "http2/5.1/10",
        "closed by RST_STREAM: CONTINUATION",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::get()))?;
            p.send(rst_stream(1, Code::CANCEL))?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))
        },
        Expect::StreamError(CLOSED_OR_PROTOCOL),
    ),
    case(
        "http2/5.1/11",
        "closed: DATA",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.response_end()?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        Expect::StreamError(CLOSED),
    ),
    case(
        "http2/5.1/12",
        "closed: HEADERS",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.response_end()?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::ConnectionError(CLOSED),
    ),
    case(
        "http2/5.1/13",
        "closed: CONTINUATION",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.response_end()?;
            p.send(continuation(1, flag::END_HEADERS, fields::long(1)))
        },
        Expect::ConnectionError(CLOSED_OR_PROTOCOL),
    ),
    case(
        "http2/5.1.1/1",
        "an even stream number",
        |p| p.send(headers(2, flag::WHOLE, fields::get())),
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/5.1.1/2",
        "a stream number below the one before",
        |p| {
            p.send(headers(5, flag::WHOLE, fields::get()))?;
            p.send(headers(3, flag::WHOLE, fields::get()))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
    case(
        "http2/5.1.2/1",
        "more streams than the server allows",
        |p| {
            let most = p.setting(setting::MAX_CONCURRENT_STREAMS, 0);
            if most == 0 {
                return Err("the server announces no limit".to_owned());
            }
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]))?;
            let streams = (1..).step_by(2).take(most + 1);
            p.send(streams.flat_map(|id| headers(id, flag::WHOLE, fields::get())).collect::<Vec<u8>>())
        },
        Expect::StreamError(&[Code::PROTOCOL, Code::REFUSED]),
    ),
    case(
        "http2/5.3.1/1",
        "HEADERS that depend on their own stream",
        |p| {
            let payload = [dependency(1, false, 255), fields::get()].concat();
            p.send(headers(1, flag::WHOLE | flag::PRIORITY, payload))
        },
        Expect::StreamError(PROTOCOL),
    ),
    case(
        "http2/5.3.1/2",
        "PRIORITY that depends on its own stream",
        |p| p.send(priority(1, 1)),
        Expect::StreamError(PROTOCOL),
    ),
    case(
        "http2/5.4.1/1",
        "an invalid PING closes the connection",
        |p| p.send(frame(kind::PING, flag::NONE, 3, ZEROS)),
        Expect::Close,
    ),
    case(
        "http2/5.4.1/2",
        "an invalid PING is told by GOAWAY (strict)",
        |p| p.send(frame(kind::PING, flag::NONE, 3, ZEROS)),
        Expect::GoAway,
    ),
    case(
        "http2/5.5/1",
        "a frame of unknown type",
        |p| {
            p.send(frame(kind::UNKNOWN, flag::NONE, 0, ZEROS))?;
            p.send(ping(&ZEROS))
        },
        Expect::Pong(ZEROS),
    ),
    case(
        "http2/5.5/2",
        "a frame of unknown type within a field block",
        |p| {
            p.send(headers(1, flag::END_STREAM, fields::get()))?;
            p.send(frame(kind::UNKNOWN, flag::NONE, 0, ZEROS))
        },
        Expect::ConnectionError(PROTOCOL),
    ),
];
