//! Groups generic/1 to generic/4: what every server must accept.

use crate::support::h2::fields;
use crate::support::h2::frames::{
    Code, PREFACE, continuation, data, dependency, flag, frame, goaway, headers, kind, padded, ping,
    priority, rst_stream, setting, settings, window_update,
};
use crate::support::h2::{Case, Expect, bare, case};

const MARK: [u8; 8] = *b"evenkeel";

/// The cases.
pub const CASES: &[Case] = &[
    bare(
        "generic/1/1",
        "client preface",
        |p| {
            p.send(PREFACE)?;
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 65_535)]))
        },
        Expect::Greeting,
    ),
    case(
        "generic/2/1",
        "PRIORITY on an idle stream",
        |p| {
            p.send(priority(1, 0))?;
            p.send(ping(&MARK))
        },
        Expect::Pong(MARK),
    ),
    case(
        "generic/2/2",
        "WINDOW_UPDATE on a half-closed (remote) stream",
        |p| {
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]))?;
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(window_update(1, 1))
        },
        Expect::AnyData,
    ),
    case(
        "generic/2/3",
        "PRIORITY on a half-closed (remote) stream",
        |p| {
            p.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]))?;
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(priority(1, 0))?;
            p.send(window_update(1, 1))
        },
        Expect::AnyData,
    ),
    case(
        "generic/2/4",
        "RST_STREAM on a half-closed (remote) stream",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(rst_stream(1, Code::CANCEL))?;
            p.send(ping(&MARK))
        },
        Expect::PongOrClose(MARK),
    ),
    case(
        "generic/2/5",
        "PRIORITY on a closed stream",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.response_end()?;
            p.send(priority(1, 0))?;
            p.send(ping(&MARK))
        },
        Expect::Pong(MARK),
    ),
    case(
        "generic/3.1/1",
        "DATA",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        Expect::Response,
    ),
    case(
        "generic/3.1/2",
        "several DATA frames",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            p.send(data(1, flag::NONE, "test"))?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        Expect::Response,
    ),
    case(
        "generic/3.1/3",
        "DATA with padding",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            p.send(data(1, flag::END_STREAM | flag::PADDED, padded(b"test", 6)))
        },
        Expect::Response,
    ),
    case("generic/3.2/1", "HEADERS", |p| p.send(headers(1, flag::WHOLE, fields::get())), Expect::Response),
    case(
        "generic/3.2/2",
        "HEADERS with padding",
        |p| p.send(headers(1, flag::WHOLE | flag::PADDED, padded(&fields::get(), 8))),
        Expect::Response,
    ),
    case(
        "generic/3.2/3",
        "HEADERS with priority",
        |p| {
            let payload = [dependency(0, false, 255), fields::get()].concat();
            p.send(headers(1, flag::WHOLE | flag::PRIORITY, payload))
        },
        Expect::Response,
    ),
    case(
        "generic/3.3/1",
        "PRIORITY with weight 1",
        |p| {
            p.send(frame(kind::PRIORITY, flag::NONE, 1, dependency(0, false, 0)))?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::Response,
    ),
    case(
        "generic/3.3/2",
        "PRIORITY with weight 256",
        |p| {
            p.send(priority(1, 0))?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::Response,
    ),
    case(
        "generic/3.3/3",
        "PRIORITY with a dependency",
        |p| {
            p.send(frame(kind::PRIORITY, flag::NONE, 3, dependency(1, false, 0)))?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::Response,
    ),
    case(
        "generic/3.3/4",
        "PRIORITY, exclusive",
        |p| {
            p.send(frame(kind::PRIORITY, flag::NONE, 1, dependency(0, true, 0)))?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::Response,
    ),
    case(
        "generic/3.3/5",
        "PRIORITY for an idle stream, then HEADERS on a lower one",
        |p| {
            p.send(priority(3, 0))?;
            p.send(headers(1, flag::WHOLE, fields::get()))
        },
        Expect::Response,
    ),
    case(
        "generic/3.4/1",
        "RST_STREAM",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::get()))?;
            p.send(rst_stream(1, Code::CANCEL))?;
            p.send(ping(&MARK))
        },
        Expect::PongOrClose(MARK),
    ),
    case(
        "generic/3.5/1",
        "SETTINGS",
        |p| {
            p.send(settings(&[
                (setting::HEADER_TABLE_SIZE, 4096),
                (setting::ENABLE_PUSH, 1),
                (setting::MAX_CONCURRENT_STREAMS, 100),
                (setting::INITIAL_WINDOW_SIZE, 65_535),
                (setting::MAX_FRAME_SIZE, 16_384),
                (setting::MAX_HEADER_LIST_SIZE, 100),
            ]))
        },
        Expect::SettingsAck,
    ),
    case("generic/3.7/1", "PING", |p| p.send(ping(&MARK)), Expect::Pong(MARK)),
    case("generic/3.8/1", "GOAWAY", |p| p.send(goaway(Code::NO_ERROR, b"bye")), Expect::Close),
    case(
        "generic/3.9/1",
        "WINDOW_UPDATE for the connection",
        |p| {
            p.send(window_update(0, 1))?;
            p.send(ping(&MARK))
        },
        Expect::Pong(MARK),
    ),
    case(
        "generic/3.9/2",
        "WINDOW_UPDATE for a stream",
        |p| {
            p.send(headers(1, flag::WHOLE, fields::get()))?;
            p.send(window_update(1, 1))
        },
        Expect::Response,
    ),
    case(
        "generic/3.10/1",
        "CONTINUATION",
        |p| {
            let block = fields::get();
            p.send(headers(1, flag::END_STREAM, &block[..5]))?;
            p.send(continuation(1, flag::END_HEADERS, &block[5..]))
        },
        Expect::Response,
    ),
    case(
        "generic/3.10/2",
        "several CONTINUATION frames",
        |p| {
            let block = fields::get();
            p.send(headers(1, flag::END_STREAM, &block[..5]))?;
            p.send(continuation(1, flag::NONE, &block[5..10]))?;
            p.send(continuation(1, flag::END_HEADERS, &block[10..]))
        },
        Expect::Response,
    ),
    case("generic/4/1", "GET", |p| p.send(headers(1, flag::WHOLE, fields::get())), Expect::Response),
    case(
        "generic/4/2",
        "HEAD",
        |p| {
            let mut head = fields::GET;
            head[0].1 = "HEAD";
            p.send(headers(1, flag::WHOLE, fields::block(&head)))
        },
        Expect::Response,
    ),
    case(
        "generic/4/3",
        "POST",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post()))?;
            p.send(data(1, flag::END_STREAM, "test"))
        },
        Expect::Response,
    ),
    case(
        "generic/4/4",
        "POST with trailers",
        |p| {
            p.send(headers(1, flag::END_HEADERS, fields::post_with("trailer", "x-test")))?;
            p.send(data(1, flag::NONE, "test"))?;
            p.send(headers(1, flag::WHOLE, fields::literal("x-test", "ok")))
        },
        Expect::Response,
    ),
];
